import type { Client } from '../../../client/index.ts'
import { shown, shortDid } from '../../lib/shown.ts'

type Answer<K extends 'status' | 'peers' | 'trustGraph' | 'names'> = Awaited<ReturnType<Client[K]>>

export type Standing = 'self' | 'connected' | 'away' | 'known'

/** Somebody on the map. Texts are fit to show. */
export interface MeshNode {
  readonly did: string
  readonly peerId: string
  /** The operator's own name for it, else its short DID. */
  readonly label: string
  readonly name: string | undefined
  readonly level: number
  readonly standing: Standing
  readonly route: 'direct' | 'relayed' | undefined
  readonly addresses: readonly string[]
  readonly capabilities: readonly string[]
  readonly roles: readonly string[]
  readonly presence: string
  readonly lastSeen: number | undefined
}

export interface MeshEdge {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly kind: 'link' | 'word'
  /** Of a link. */
  readonly route: 'direct' | 'relayed' | undefined
  /** Of a word: what it says. */
  readonly level: number
}

export interface Mesh {
  readonly nodes: readonly MeshNode[]
  readonly edges: readonly MeshEdge[]
  /** Identities of the trust graph that were left out. */
  readonly leftOut: number
}

export interface MeshAnswers {
  readonly status: Answer<'status'>
  readonly peers: Answer<'peers'>
  readonly names: Answer<'names'>
  /** Without it there are links only. */
  readonly graph?: Answer<'trustGraph'> | undefined
}

/** Most that is drawn; the table shows them all. */
export const mapNodesMax = 500

/** Everybody this node is linked to, was linked to, or knows statements about: the linked first. */
export function meshOf({ status, peers, names, graph }: MeshAnswers): Mesh {
  const given = new Map(names.names.map(({ did, name }) => [did, name]))
  const rated = new Map((graph?.nodes ?? []).map((node) => [node.id, node.level]))
  const nodes = new Map<string, MeshNode>()
  const add = (did: string, more: Partial<MeshNode> & Pick<MeshNode, 'standing'>): void => {
    if (nodes.has(did)) return
    const name = given.get(did)
    nodes.set(did, {
      ...{ did, peerId: '', name, label: name === undefined ? shortDid(did) : shown(name, 64), level: rated.get(did) ?? 0 },
      ...{ route: undefined, addresses: [], capabilities: [], roles: [], presence: '', lastSeen: undefined },
      ...more,
    })
  }
  add(status.did, { ...wordsOf(status), standing: 'self', label: 'you', level: 4, peerId: status.peerId })
  for (const peer of peers.peers) add(peer.did, { ...wordsOf(peer), standing: 'connected', peerId: peer.peerId, route: peer.route, level: peer.level })
  for (const away of peers.away) add(away.did, { standing: 'away', peerId: away.peerId, lastSeen: away.lastSeen })
  for (const { id } of graph?.nodes ?? []) add(id, { standing: 'known' })
  return { nodes: [...nodes.values()], edges: edgesOf(status.did, nodes, graph), leftOut: graph?.leftOut.nodes ?? 0 }
}

type Words = Pick<MeshNode, 'addresses' | 'capabilities' | 'roles' | 'presence'>

/** What a node says of itself, fit to show. */
function wordsOf(said: { readonly [K in keyof Words]?: Words[K] | undefined }): Words {
  const { addresses = [], capabilities = [], roles = [], presence = '' } = said
  return {
    addresses: addresses.map((one) => shown(one, 160)),
    capabilities: capabilities.map((one) => shown(one, 64)),
    roles: roles.map((one) => shown(one, 64)),
    presence: shown(presence, 16),
  }
}

function edgesOf(self: string, nodes: ReadonlyMap<string, MeshNode>, graph: Answer<'trustGraph'> | undefined): readonly MeshEdge[] {
  const links = [...nodes.values()].flatMap(({ did, route, standing }): readonly MeshEdge[] =>
    standing === 'connected' ? [{ id: `link ${did}`, from: self, to: did, kind: 'link', route, level: 0 }] : [],
  )
  const words = (graph?.edges ?? [])
    .filter(({ issuer, subject }) => nodes.has(issuer) && nodes.has(subject))
    .map(({ id, issuer, subject, level }): MeshEdge => ({ id, from: issuer, to: subject, kind: 'word', route: undefined, level }))
  return [...links, ...words]
}

/** The part that is drawn: at most `mapNodesMax`, in the order of the list, with the edges between them. */
export function drawnPart({ nodes, edges }: Mesh): Pick<Mesh, 'nodes' | 'edges'> {
  if (nodes.length <= mapNodesMax) return { nodes, edges }
  const kept = nodes.slice(0, mapNodesMax)
  const dids = new Set(kept.map(({ did }) => did))
  return { nodes: kept, edges: edges.filter(({ from, to }) => dids.has(from) && dids.has(to)) }
}

/** Which events of a node change the map. */
export const meshEvents: ReadonlySet<string> = new Set(['connected', 'disconnected', 'identity', 'introduced', 'joined', 'attestation', 'gap'])

export const standingText: Readonly<Record<Standing, string>> = { self: 'this node', connected: 'connected', away: 'away', known: 'known by statements' }
