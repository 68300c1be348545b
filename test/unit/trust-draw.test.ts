import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import type { Did } from '../../src/base/index.ts'
import { computeTrust, drawGraph, viewGraph, viewNodesMax, type GraphViewOptions } from '../../src/trust/index.ts'
import { did, now, root, says, scope } from '../helpers/trust-graphs.ts'

const name = (who: Did): string => who.slice('did:key:z6Mk'.length)
const circle = ['anna', 'ben', 'carl'].map((friend) => says('root', friend, 3))
const given = [...circle, says('anna', 'zoe', 2), says('ben', 'zoe', 2), says('carl', 'zoe', -1), says('nobody', 'zoe', 4), says('zoe', 'tim', 1)]
const view = (options: GraphViewOptions = {}, attestations = given) => viewGraph(computeTrust({ root, scope, now, attestations }), { name, ...options })

/** Reads a document with a parser that refuses what is not well-formed, and lists its elements and texts. */
const parseXml = (text: string): { readonly tags: readonly string[]; readonly attributes: readonly string[]; readonly texts: readonly string[] } =>
  JSON.parse(
    execFileSync(
      '/usr/bin/python3',
      [
        '-c',
        [
          'import json,sys,xml.etree.ElementTree as e',
          'r=e.fromstring(sys.stdin.buffer.read())',
          'a=list(r.iter())',
          'print(json.dumps({"tags":[x.tag.split("}")[1] for x in a],"attributes":[k for x in a for k in x.attrib],"texts":[x.text for x in a if x.text]}))',
        ].join('\n'),
      ],
      { input: text, encoding: 'utf8' },
    ),
  ) as ReturnType<typeof parseXml>

/** The DOT this project writes: one statement a line, ids bare or quoted, attributes quoted. Throws for anything else. */
function parseDot(text: string): {
  readonly nodes: readonly string[]
  readonly edges: readonly (readonly [string, string])[]
  readonly labels: readonly string[]
} {
  const attributes = String.raw`\[(?:\w+=(?:\w+|"(?:[^"\\\n]|\\["\\])*")(?:, )?)+\]`
  const [first, ...rest] = text.trimEnd().split('\n')
  expect([first, rest.pop()]).toEqual(['digraph trust {', '}'])
  const nodes: string[] = []
  const edges: [string, string][] = []
  const labels: string[] = []
  for (const line of rest) {
    const [, from, to, label] = new RegExp(String.raw`^  (\w+)(?: -> (\w+))? (${attributes});$`).exec(line) ?? []
    if (from === undefined) throw new Error(`no DOT: ${line}`)
    if (to !== undefined) edges.push([from, to])
    else if (/^n\d/.test(from)) nodes.push(from)
    labels.push(label ?? '')
  }
  return { nodes, edges, labels }
}

test('as text everybody stands under who introduced him, with what others say', () => {
  expect(drawGraph(view(), 'text')).toBe(
    [
      'root  in /task/run',
      '├─ anna  trusted',
      '│  └─ zoe  distrust  (verified by ben, distrust of carl)',
      '├─ ben  trusted',
      '└─ carl  trusted',
      'not shown: 2 more identities, 2 more statements',
      '',
    ].join('\n'),
  )
})

test('around one stand the ways to it, all who speak about it, heard or not, and about whom it speaks', () => {
  const around = view({ subject: did('zoe') })
  expect(around.nodes.map(({ id, layer }) => [name(id), layer])).toEqual([
    ['root', 0],
    ['anna', 1],
    ['ben', 1],
    ['carl', 1],
    ['zoe', 2],
    ['nobody', undefined],
    ['tim', undefined],
  ])
  expect(drawGraph(around, 'text')).toContain('unheard: authority by nobody')
})

test('DOT and SVG say the same and are well-formed', () => {
  const around = view({ subject: did('zoe') })
  const dot = parseDot(drawGraph(around, 'dot'))
  const svg = parseXml(drawGraph(around, 'svg'))
  expect(dot.nodes).toHaveLength(7)
  expect(dot.edges).toHaveLength(8)
  expect(svg.tags.filter((tag) => tag === 'g')).toHaveLength(7)
  expect(svg.texts).toEqual(expect.arrayContaining(['anna', 'anna: zoe verified', 'carl: zoe distrust']))
})

test('a hostile name is text: nothing of it is an element, an attribute, a node or a line', () => {
  const hostile = [
    '"]; evil [label="x',
    'x\\',
    '</title><script>alert(1)</script>',
    "' onload='alert(1)",
    'a\nb -> c',
    '\x1b[2J\u{202e}x',
    '\ud800]]>&lt;',
    '\\N\\G<b>',
  ]
  const people = hostile.map((_, at) => says('root', `p${at}`, 3))
  const named = view({ name: (who) => hostile[Number(name(who).slice(1))] ?? 'me' }, people)
  const dot = parseDot(drawGraph(named, 'dot'))
  expect([dot.nodes.length, dot.edges.length]).toEqual([1 + hostile.length, hostile.length])
  const svg = parseXml(drawGraph(named, 'svg'))
  expect(new Set(svg.tags)).toEqual(new Set(['svg', 'title', 'defs', 'marker', 'path', 'rect', 'g', 'text']))
  expect(svg.attributes.filter((attribute) => /^on|href/.test(attribute))).toEqual([])
  expect(svg.texts).toContainEqual(expect.stringMatching(/^<\/title><script>alert/))
  const text = drawGraph(named, 'text')
  expect(text.split('\n')).toHaveLength(2 + hostile.length)
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  // Ids of a CSV are any strings too.
  const ids = hostile.map((id) => ({ ...says('root', 'x', 3), subject: id as Did, id }))
  parseXml(drawGraph(view({ name: undefined }, ids), 'svg'))
  expect(parseDot(drawGraph(view({ name: undefined }, ids), 'dot')).nodes).toHaveLength(1 + hostile.length)
})

test('a drawing has an end, and says what it leaves out', () => {
  const crowd = Array.from({ length: 900 }, (_, at) => says('root', `p${at}`, 3))
  const all = view({ nodesMax: 5_000 }, crowd)
  expect([all.nodes.length, all.leftOut]).toEqual([viewNodesMax, { nodes: 901 - viewNodesMax, edges: 901 - viewNodesMax }])
  const few = view({ nodesMax: 10 }, crowd)
  expect(few.nodes[0]?.id).toBe(root)
  for (const format of ['text', 'dot', 'svg'] as const) expect(drawGraph(few, format)).toContain('not shown: 891 more identities, 891 more statements')
  // Whom the question is about is in it however many speak about it.
  const about = Array.from({ length: 900 }, (_, at) => says(`p${at}`, 'zoe', 3))
  expect(view({ subject: did('zoe'), nodesMax: 10 }, [...circle, ...about]).nodes.map(({ id }) => id)).toContain(did('zoe'))
})
