import { createSeededRandom, type Did, didFromKey } from '../../src/base/index.ts'

/** A mesh to look at, as the API would tell of it: only benches have it. `nodes` identities, three statements each; two in five are connected. */
export function demoMesh(nodes: number): Readonly<Record<string, unknown>> {
  const random = createSeededRandom(6)
  const below = (most: number): number => new DataView(random.bytes(4).buffer).getUint32(0) % most
  const dids: readonly Did[] = Array.from({ length: nodes }, () => didFromKey(random.bytes(32)))
  const [self = '' as Did, ...others] = dids
  const connected = others.slice(0, Math.floor(nodes * 0.4))
  const away = others.slice(connected.length, Math.floor(nodes * 0.6))
  const words = ['message', 'ask', 'stream', 'task']
  const peers = connected.map((did, at) => ({
    ...{ did, peerId: did.slice(8), route: at % 3 === 0 ? 'relayed' : 'direct', direction: 'outbound', addresses: [`/ip4/10.0.0.${at % 250}/tcp/4001`] },
    ...{ level: (at % 6) - 1, capabilities: words, roles: ['peer'], presence: 'online' },
  }))
  return {
    '/v1/status': {
      ...{
        did: self,
        peerId: self.slice(8),
        kindDid: 'kind:agent:demo#ed25519',
        version: '0.0.0',
        startedAt: 0,
        addresses: [],
        ticket: '',
        peers: connected.length,
      },
      ...{ agents: [], capabilities: words, roles: ['peer'], presence: 'online', sandboxes: [] },
    },
    '/v1/peers': { peers, away: away.map((did) => ({ did, peerId: did.slice(8), lastSeen: 0 })) },
    '/v1/names': { names: others.filter((_, at) => at % 10 === 0).map((did, at) => ({ name: `peer ${at}`, did, since: 0 })) },
    '/v1/trust/graph': {
      ...{ scope: '/task/run', at: 0, root: self, subject: null, leftOut: { nodes: 0, edges: 0 } },
      nodes: dids.map((id, at) => ({ id, name: null, level: at === 0 ? 4 : (at % 6) - 1, layer: at === 0 ? 0 : 1 + (at % 4) })),
      edges: Array.from({ length: nodes * 3 }, (_, at) => {
        // Most statements are by few: those who were there first.
        const issuer = dids[Math.floor((below(1_000) / 1_000) ** 2 * nodes)] ?? self
        return {
          issuer,
          subject: dids[1 + below(nodes - 1)] ?? self,
          level: at % 20 === 0 ? -1 : 1 + (at % 3),
          id: at.toString(16).padStart(64, '0'),
          until: 9e12,
          isHeard: true,
        }
      }),
    },
  }
}
