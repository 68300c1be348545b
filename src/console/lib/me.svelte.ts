import type { Client } from '../../client/index.ts'

/** Who is logged in, as the node says; undefined before it has said so, and for a program. */
class Myself {
  value: Awaited<ReturnType<Client['me']>> | undefined = $state.raw()
}

export const me = new Myself()
