import { levelMark } from '../../lib/levels.ts'
import { type MeshNode, standingText } from './model.ts'

export type Column = 'label' | 'level' | 'standing' | 'route'

const order = ['self', 'connected', 'away', 'known']
const by: Readonly<Record<Column, (a: MeshNode, b: MeshNode) => number>> = {
  label: (a, b) => Number(a.name === undefined) - Number(b.name === undefined) || a.label.localeCompare(b.label, 'en'),
  level: (a, b) => b.level - a.level,
  standing: (a, b) => order.indexOf(a.standing) - order.indexOf(b.standing) || (b.lastSeen ?? 0) - (a.lastSeen ?? 0),
  route: (a, b) => (a.route ?? '~').localeCompare(b.route ?? '~', 'en'),
}

/** The map as a table: those in whom the words occur, sorted; equal ones by DID. */
export function rowsOf(
  nodes: readonly MeshNode[],
  { filter, column, isDown }: { readonly filter: string; readonly column: Column; readonly isDown: boolean },
): readonly MeshNode[] {
  const words = filter
    .toLowerCase()
    .split(/\s+/u)
    .filter((word) => word !== '')
  const kept = nodes.filter((node) => {
    const text = [
      node.label,
      node.did,
      node.peerId,
      levelMark(node.level).name,
      standingText[node.standing],
      node.route ?? '',
      ...node.capabilities,
      ...node.roles,
    ]
      .join(' ')
      .toLowerCase()
    return words.every((word) => text.includes(word))
  })
  const sorted = kept.toSorted((a, b) => by[column](a, b) || (a.did < b.did ? -1 : 1))
  return isDown ? sorted.toReversed() : sorted
}
