import { realClock, realRandom, toMeshError } from '../base/index.ts'
import type { Client } from '../client/index.ts'
import type { Context } from './context.ts'

/** Through the running node, else straight on the profile. A node that goes away before it answers may have done it: nothing is tried twice. */
export async function atNodeOr<T>(context: Context, atNode: (client: Client) => Promise<T>, offline: () => Promise<T>): Promise<T> {
  const client = await runningNode(context)
  return client === undefined ? await offline() : await atNode(client)
}

async function runningNode(context: Context): Promise<Client | undefined> {
  try {
    const client = await context.client()
    await client.identity({ signal: context.signal })
    return client
  } catch (error) {
    // It runs, and waits to be unsealed: it says so itself to whatever it does not do.
    if (toMeshError(error).code === 'ERR_SEALED') return await context.client()
    if (['ERR_NODE_DOWN', 'ERR_PROFILE_MISSING'].includes(toMeshError(error).code)) return undefined
    throw error
  }
}

export async function profileOf(
  context: Context,
): Promise<{ home: string; passphrase: Uint8Array | undefined; clock: typeof realClock; random: typeof realRandom }> {
  return { home: context.home, passphrase: await context.passphrase(), clock: realClock, random: realRandom }
}

/** The vault of a profile whose node does not run. */
export const vaultOf = async (context: Context) => {
  const { withVault } = await import('../node/index.ts')
  const profile = await profileOf(context)
  return <T>(act: Parameters<typeof withVault<T>>[1]): Promise<T> => withVault(profile, act)
}
