import type { Bench, Peer } from './harness.ts'

/** The script of a peer by its name. */
export const script = (name: string): URL => new URL(`./peers/${name}.ts`, import.meta.url)

/** Two processes, one of which asks the other. */
export interface Pair {
  readonly client: Peer
  readonly server: Peer
}

/** Something to compare with, connected. `flags` are of Node. */
export async function startPair(bench: Bench, name: 'libp2p' | 'grpc' | 'nats', argument?: unknown): Promise<Pair & { readonly address: unknown }> {
  const [client, server] = [bench.start(script(name)), bench.start(script(name))]
  const address = await server.ask('start', argument)
  await client.ask('connect', address)
  return { client, server, address }
}

/** Two nodes of ours, connected; an echo agent lives at the server. */
export async function startNodes(bench: Bench, name = 'nodes'): Promise<Pair & { readonly address: string }> {
  const [client, server] = [bench.start(script('node')), bench.start(script('node'))]
  const [address] = await Promise.all([server.ask<string>('start', bench.path(`${name}-server`)), client.ask('start', bench.path(`${name}-client`))])
  await server.ask('serve')
  await client.ask('connect', address)
  return { client, server, address }
}
