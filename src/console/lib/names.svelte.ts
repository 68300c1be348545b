import { api } from './api.ts'
import { Resource } from './resource.svelte.ts'

/** The operator's own names of peers, by DID. Made while a component is set up. */
export function petnames(): { of(did: string): string | undefined } {
  const names = new Resource(({ signal }) => api.names({ signal }))
  return { of: (did) => names.value?.names.find((name) => name.did === did)?.name }
}
