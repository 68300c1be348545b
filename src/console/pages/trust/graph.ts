import type { Client } from '../../../client/index.ts'
import { shown, shortDid } from '../../lib/shown.ts'
import type { Mesh } from '../mesh/model.ts'

type View = Awaited<ReturnType<Client['trustGraph']>>

/** The trust graph in the form the map draws: words only. */
export function graphMesh({ root, nodes, edges, leftOut }: View): Mesh & { readonly names: Readonly<Record<string, string>> } {
  const names = Object.fromEntries(nodes.flatMap(({ id, name }) => (id === root ? [[id, 'you']] : name === null ? [] : [[id, name]])))
  return {
    nodes: nodes.map(({ id, name, level }) => ({
      ...{
        did: id,
        peerId: '',
        name: name ?? undefined,
        level,
        route: undefined,
        addresses: [],
        capabilities: [],
        roles: [],
        presence: '',
        lastSeen: undefined,
      },
      label: id === root ? 'you' : name === null ? shortDid(id) : shown(name, 64),
      standing: id === root ? 'self' : 'connected',
    })),
    edges: edges.map(({ id, issuer, subject, level }) => ({ id, from: issuer, to: subject, kind: 'word', route: undefined, level })),
    leftOut: leftOut.nodes,
    names,
  }
}
