/** Whether `scope` is `path` or a folder above it: `/task` covers `/task/run`, not `/taskx`; `/` covers all. Source: trust/v1 section 2.1. */
export function scopeCovers(scope: string, path: string): boolean {
  if (scope === '/') return path.startsWith('/')
  return path === scope || (scope !== '' && path.startsWith(scope) && path[scope.length] === '/')
}

const authorityRoot = '/authority'

/** Whether `scope` lets an AUTHORITY name others in `path`: `/authority` for all, `/authority/task` for /task and below. `/` does not name it. Source: trust/v1 section 2.4. */
export function scopeNamesAuthority(scope: string, path: string): boolean {
  return scopeCovers(authorityRoot, scope) && scopeCovers(scope, path === '/' ? authorityRoot : authorityRoot + path)
}
