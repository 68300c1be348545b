import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { type Did, MeshError } from '../../base/index.ts'
import type { Client } from '../../client/index.ts'
import { drawFormats, drawGraph, type GraphView, viewNodesMax } from '../../trust/index.ts'
import { parseCount } from '../parse.ts'
import type { AddCommand } from '../program.ts'

interface Options {
  readonly scope: string
  readonly subject?: string
  readonly format: string
  readonly nodes?: string
  readonly out?: string
}

const formats = [...drawFormats, 'json'] as const

/** `trust graph`: who says what about whom, as text, JSON, DOT or SVG. */
export function addTrustGraphCommand(trust: Command, add: AddCommand): void {
  add<readonly [], Options>(
    trust,
    'graph',
    'who says what about whom, to look at',
    (command) =>
      command
        .option('--scope <path>', 'command path', '/task/run')
        .option('--subject <peer>', 'only around this one')
        .option('--format <format>', formats.join(', '), 'text')
        .option('--nodes <n>', `at most so many identities, up to ${viewNodesMax}`)
        .option('--out <file>', 'write it there'),
    async ({ client, print, signal }, _args, { scope, subject, format, nodes, out }) => {
      const wanted = formats.find((one) => one === format)
      if (wanted === undefined) throw new MeshError('ERR_USAGE', `'${format}' is no format`, { hint: formats.join(', ') })
      const most = nodes === undefined ? {} : { nodes: parseCount(nodes, '--nodes', viewNodesMax) }
      const view = await (await client()).trustGraph({ scope, ...(subject === undefined ? {} : { subject }), ...most }, { signal })
      const drawing = wanted === 'json' ? `${JSON.stringify(view, undefined, 2)}\n` : drawGraph(viewOf(view), wanted)
      if (out === undefined) {
        print('trust-graph', { ...view, ...(wanted === 'dot' || wanted === 'svg' ? { drawing } : {}) }, () => drawing.trimEnd())
        return
      }
      await writeFile(out, drawing).catch((cause: unknown) => {
        throw new MeshError('ERR_USAGE', `${out} cannot be written`, { cause, hint: 'name a file in a folder of yours' })
      })
      print('trust-graph', { ...view, file: out }, ({ file }) => `${file}  ${view.nodes.length} identities, ${view.edges.length} statements`)
    },
  )
}

function viewOf(view: Awaited<ReturnType<Client['trustGraph']>>): GraphView {
  const did = (text: string): Did => text as Did
  return {
    ...view,
    root: did(view.root),
    subject: view.subject === null ? undefined : did(view.subject),
    nodes: view.nodes.map(({ id, name, level, layer }) => ({
      id: did(id),
      name: name ?? undefined,
      level: level as GraphView['nodes'][number]['level'],
      layer: layer ?? undefined,
    })),
    edges: view.edges.map((edge) => ({
      ...edge,
      issuer: did(edge.issuer),
      subject: did(edge.subject),
      level: edge.level as GraphView['edges'][number]['level'],
    })),
  }
}
