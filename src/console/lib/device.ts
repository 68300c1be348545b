const storageKey = 'kindmesh.device'

/**
 * What this browser was given with an earlier login: it tells the device from others at the next one, and opens nothing by itself.
 * Source: auth/v1 section 13
 */
export const device = {
  get token(): string | undefined {
    return localStorage.getItem(storageKey) ?? undefined
  },
  keep(token: string | null): void {
    if (token !== null) localStorage.setItem(storageKey, token)
  },
}
