/** Whether `scope` is `path` or a folder above it: `/task` covers `/task/run`, not `/taskx`; `/` covers all. Source: trust/v1 section 2.1. */
export function scopeCovers(scope: string, path: string): boolean {
  if (scope === '/') return path.startsWith('/')
  return path === scope || (scope !== '' && path.startsWith(scope) && path[scope.length] === '/')
}

/** The scope that lets an AUTHORITY name others wherever its statement covers; it covers no command itself. Source: trust/v1 section 2.4. */
export const scopeOfNaming = 'authority/*'
/** An older spelling, with a narrower form. */
const namingRoot = '/authority'

/** Whether `scope` lets an AUTHORITY name others in `path`: `authority/*` and `/authority` everywhere, `/authority/task` in /task and below. `/` does not. Source: trust/v1 section 2.4. */
export function scopeNamesAuthority(scope: string, path: string): boolean {
  if (scope === scopeOfNaming) return true
  return scopeCovers(namingRoot, scope) && scopeCovers(scope, path === '/' ? namingRoot : namingRoot + path)
}
