/** Scopes in a field, with blanks or commas between; undefined when one of them is none. Source: trust/v1 section 1.3. */
export function scopesIn(text: string, most = 8): readonly string[] | undefined {
  const scopes = text.split(/[\s,]+/u).filter((scope) => scope !== '')
  const isScope = (scope: string): boolean => scope.length <= 64 && (scope === '/' || scope === 'authority/*' || /^(?:\/[a-z0-9][a-z0-9_.-]*)+$/u.test(scope))
  return scopes.length >= 1 && scopes.length <= most && scopes.every(isScope) ? [...new Set(scopes)] : undefined
}

/** Scopes a form offers. */
export const usualScopes: readonly string[] = ['/task/run', '/message/send', '/agent/ask', '/file/send', '/']
