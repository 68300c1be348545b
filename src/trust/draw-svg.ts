import type { Did } from '../base/index.ts'
import type { GraphView, ViewNode } from './graph-view.ts'
import { plainLabel } from './label.ts'
import { levelName, statementLevelName } from './types.ts'

const columnWidth = 260
const boxWidth = 190
const rowHeight = 36
const boxHeight = 26
const margin = 30

/** By level from distrust to AUTHORITY. */
const fills = ['#f4c7c3', '#eeeeee', '#e3edf9', '#c3dbf5', '#9ec5ee', '#f6dfa4'] as const

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (char) => entities[char] ?? '')

interface Place {
  readonly x: number
  readonly y: number
}

/** One column a layer, the root at the left; those whom nothing that counts reaches at the right. No script, no link, nothing from outside. */
export function svgOf(view: GraphView): string {
  const { nodes, edges, leftOut, scope } = view
  const places = layOut(view)
  const all = [...places.values()]
  const width = all.reduce((most, { x }) => Math.max(most, x), 0) + boxWidth + margin
  const height = all.reduce((most, { y }) => Math.max(most, y), 0) + boxHeight + 2 * margin
  const labels = new Map(nodes.map((node) => [node.id, plainLabel(node)]))
  const foot = `${scope}${leftOut.nodes + leftOut.edges > 0 ? `; not shown: ${leftOut.nodes} more identities, ${leftOut.edges} more statements` : ''}`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(`Trust in ${scope}`)}</title>`,
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#666"/></marker></defs>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...edges.map(({ issuer, subject, level, isHeard }) => {
      const from = places.get(issuer) as Place
      const to = places.get(subject) as Place
      const words = `${labels.get(issuer) ?? ''}: ${labels.get(subject) ?? ''} ${statementLevelName(level)}`
      const look = `stroke="${level > 0 ? '#666' : '#c00'}" stroke-opacity="0.7"${isHeard ? '' : ' stroke-dasharray="4 3"'}`
      return `<path d="${arc(from, to)}" fill="none" ${look} marker-end="url(#arrow)"><title>${escaped(words)}</title></path>`
    }),
    ...nodes.map((node) => boxOf(node, places.get(node.id) as Place, node.id === view.subject)),
    `<text x="${margin}" y="${height - margin / 2}" fill="#666">${escaped(foot)}</text>`,
    '</svg>',
    '',
  ].join('\n')
}

const boxOf = (node: ViewNode, { x, y }: Place, isSubject: boolean): string =>
  [
    `<g><title>${escaped(`${plainLabel({ ...node, name: undefined }, Infinity)} ${levelName(node.level)}`)}</title>`,
    `<rect x="${x}" y="${y}" width="${boxWidth}" height="${boxHeight}" rx="5" fill="${fills[node.level + 1] ?? '#eeeeee'}" stroke="#444"${isSubject ? ' stroke-width="3"' : ''}/>`,
    `<text x="${x + 8}" y="${y + 17}">${escaped(plainLabel(node, 26))}</text></g>`,
  ].join('')

function arc(from: Place, to: Place): string {
  const isForward = to.x > from.x
  const x1 = from.x + (isForward ? boxWidth : boxWidth / 2)
  const y1 = from.y + (isForward ? boxHeight / 2 : boxHeight)
  const x2 = to.x + (isForward ? 0 : boxWidth / 2)
  const y2 = to.y + (isForward ? boxHeight / 2 : 0)
  const bend = isForward ? (x2 - x1) / 2 : 40
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
}

/** Within a column everybody stands near the middle of those who speak for them. */
function layOut({ nodes, edges }: GraphView): ReadonlyMap<Did, Place> {
  const last = nodes.reduce((most, { layer }) => Math.max(most, layer ?? 0), 0) + 1
  const columns = Map.groupBy(nodes, ({ layer }) => layer ?? last)
  const speakers = Map.groupBy(edges, ({ subject }) => subject)
  const places = new Map<Did, Place>()
  const numbers = [...columns.keys()].sort((a, b) => a - b)
  numbers.forEach((number, column) => {
    const wish = ({ id }: ViewNode): number => {
      const ys = (speakers.get(id) ?? []).flatMap(({ issuer }) => places.get(issuer)?.y ?? [])
      return ys.length === 0 ? Infinity : ys.reduce((sum, y) => sum + y, 0) / ys.length
    }
    const wishes = new Map((columns.get(number) ?? []).map((node) => [node, wish(node)]))
    const sorted = [...wishes].sort(([a, x], [b, y]) => (x === y ? (a.id < b.id ? -1 : 1) : x - y))
    sorted.forEach(([{ id }], row) => places.set(id, { x: margin + column * columnWidth, y: margin + row * rowHeight }))
  })
  return places
}
