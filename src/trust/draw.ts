import type { Did } from '../base/index.ts'
import type { TrustEdge } from './edges.ts'
import type { GraphView, ViewNode } from './graph-view.ts'
import { svgOf } from './draw-svg.ts'
import { plainLabel } from './label.ts'
import { levelName, statementLevelName } from './types.ts'

export const drawFormats = ['text', 'dot', 'svg'] as const
export type DrawFormat = (typeof drawFormats)[number]

/** A drawing of a part of the graph. Names and ids of strangers are in it as text and nothing else. Source: trust/v1 section 3.5. */
export function drawGraph(view: GraphView, format: DrawFormat): string {
  if (format === 'svg') return svgOf(view)
  return format === 'dot' ? dotOf(view) : textOf(view)
}

/** Who was introduced by whom, each under the one nearest to the root; the others that speak about it stand behind it. */
function textOf({ nodes, edges, root, subject, leftOut, scope }: GraphView): string {
  const of = new Map(nodes.map((node) => [node.id, node]))
  const label = (did: Did): string => plainLabel(of.get(did) ?? { id: did, name: undefined })
  const speakers = Map.groupBy(edges, (edge) => edge.subject)
  const parents = new Map<Did, Did>()
  for (const { id, layer } of nodes) {
    const parent = (speakers.get(id) ?? []).find(
      ({ issuer, isHeard, level }) => layer !== undefined && isHeard && level > 0 && (of.get(issuer)?.layer ?? Infinity) < layer,
    )
    if (parent !== undefined) parents.set(id, parent.issuer)
  }
  const children = Map.groupBy(
    nodes.filter(({ id }) => parents.has(id)),
    ({ id }) => parents.get(id) as Did,
  )
  const said = ({ id }: ViewNode): string => {
    const others = (speakers.get(id) ?? []).filter(({ issuer, level }) => issuer !== parents.get(id) || level <= 0)
    return others.length === 0 ? '' : `  (${others.map((edge) => `${wordOf(edge)} ${label(edge.issuer)}`).join(', ')})`
  }
  const lineOf = (node: ViewNode): string => `${label(node.id)}  ${levelName(node.level)}${node.id === subject ? '  <<' : ''}${said(node)}`

  const lines = [`${label(root)}  in ${scope}`]
  const grow = (did: Did, indent: string): void => {
    const below = children.get(did) ?? []
    below.forEach((node, at) => {
      const isLast = at === below.length - 1
      lines.push(`${indent}${isLast ? '└─' : '├─'} ${lineOf(node)}`)
      grow(node.id, `${indent}${isLast ? '   ' : '│  '}`)
    })
  }
  grow(root, '')
  const apart = nodes.filter(({ id }) => id !== root && !parents.has(id))
  if (apart.length > 0) lines.push('no word that counts leads to:', ...apart.map((node) => `   ${lineOf(node)}`))
  if (leftOut.nodes + leftOut.edges > 0) lines.push(leftOutOf(leftOut))
  return `${lines.join('\n')}\n`
}

const wordOf = ({ level, isHeard }: TrustEdge): string =>
  `${isHeard ? '' : 'unheard: '}${level > 0 ? `${statementLevelName(level)} by` : `${statementLevelName(level)} of`}`

const leftOutOf = ({ nodes, edges }: GraphView['leftOut']): string => `not shown: ${nodes} more identities, ${edges} more statements`

const quoted = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`

function dotOf({ nodes, edges, leftOut, subject, scope }: GraphView): string {
  const numbers = new Map(nodes.map(({ id }, at) => [id, `n${at}`]))
  return [
    'digraph trust {',
    `  graph [rankdir=LR, label=${quoted(leftOut.nodes + leftOut.edges > 0 ? `${scope}; ${leftOutOf(leftOut)}` : scope)}];`,
    '  node [shape=box, style=rounded];',
    ...nodes.map(
      (node) =>
        `  ${numbers.get(node.id) ?? ''} [label=${quoted(`${plainLabel(node)} ${levelName(node.level)}`)}, tooltip=${quoted(plainLabel({ ...node, name: undefined }, Infinity))}${node.id === subject ? ', penwidth=3' : ''}];`,
    ),
    ...edges.map(
      ({ issuer, subject: about, level, isHeard }) =>
        `  ${numbers.get(issuer) ?? ''} -> ${numbers.get(about) ?? ''} [label=${quoted(statementLevelName(level))}${level > 0 ? '' : ', color=red'}${isHeard ? '' : ', style=dashed'}];`,
    ),
    '}',
    '',
  ].join('\n')
}
