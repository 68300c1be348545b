/**
 * Measures the node against what it is built on, both in the same run: `npm run bench -- skeleton klp [--json] [--quick | --full]`.
 * Figures of another machine or another day mean little; ratios keep.
 */
import { parseArgs } from 'node:util'
import { createBench, type Row, type Suite } from './harness.ts'
import { api } from './suites/api.ts'
import { auth } from './suites/auth.ts'
import { box } from './suites/box.ts'
import { consoleMap } from './suites/console-map.ts'
import { consolePage } from './suites/console-page.ts'
import { klpAsk } from './suites/klp-ask.ts'
import { klpBox } from './suites/klp-box.ts'
import { klpMemory } from './suites/klp-memory.ts'
import { klpSession } from './suites/klp-session.ts'
import { klpStream } from './suites/klp-stream.ts'
import { memory } from './suites/memory.ts'
import { network } from './suites/network.ts'
import { sandbox } from './suites/sandbox.ts'
import { sandboxAnalysis } from './suites/sandbox-analysis.ts'
import { sandboxLevels } from './suites/sandbox-levels.ts'
import { sandboxRemote } from './suites/sandbox-remote.ts'
import { sandboxWorkerd } from './suites/sandbox-workerd.ts'
import { store } from './suites/store.ts'
import { trust } from './suites/trust.ts'
import { trustSync } from './suites/trust-sync.ts'
import { trustReplay } from './suites/trust-data.ts'
import { trustBook } from './suites/trust-book.ts'
import { vault } from './suites/vault.ts'

/** A new suite is a file in `suites` and a line here. */
const suites: Readonly<Record<string, readonly Suite[]>> = {
  api: [api],
  auth: [auth],
  network: [network],
  box: [box],
  sandbox: [sandbox, sandboxLevels, sandboxAnalysis, sandboxWorkerd, sandboxRemote],
  'sandbox-isolate': [sandbox],
  'sandbox-levels': [sandboxLevels],
  'sandbox-analysis': [sandboxAnalysis],
  'sandbox-remote': [sandboxRemote],
  console: [consolePage, consoleMap],
  'console-page': [consolePage],
  'console-map': [consoleMap],
  memory: [memory],
  store: [store],
  trust: [trust, trustSync, trustBook],
  'trust-book': [trustBook],
  klp: [klpSession, klpBox, klpAsk, klpStream, klpMemory],
  'klp-session': [klpSession],
  'klp-box': [klpBox],
  'klp-ask': [klpAsk],
  'klp-stream': [klpStream],
  'klp-memory': [klpMemory],
  'trust-sync': [trustSync],
  'trust-data': [trustReplay],
  vault: [vault],
  skeleton: [network, box, sandbox, memory, store],
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false }, full: { type: 'boolean', default: false } },
})
const names = positionals.length === 0 ? ['skeleton'] : positionals
const unknown = names.filter((name) => !Object.hasOwn(suites, name))
if (unknown.length > 0) {
  process.stderr.write(`no suite ${unknown.join(', ')}; there are ${Object.keys(suites).join(', ')}\n`)
  process.exit(2)
}

const rows: Row[] = []
for (const suite of new Set(names.flatMap((name) => suites[name] ?? []))) {
  await using bench = createBench(values)
  for await (const row of suite(bench)) {
    rows.push(row)
    if (!values.json || process.stderr.isTTY) process.stderr.write(`${row.id} ${show(row.value)} ${row.unit}, ${show(row.ratio)} of ${row.against}\n`)
  }
}
process.stdout.write(values.json ? `${JSON.stringify({ schema: 'kindmesh.bench/1', rows })}\n` : table(rows))

function table(all: readonly Row[]): string {
  const head = ['id', 'value', 'unit', 'ratio', 'goal', 'ok', 'what', 'against']
  const lines = all.map(({ id, value, unit, ratio, goal, ok, what, against }) => [
    id,
    show(value),
    unit,
    show(ratio),
    goal === null ? '' : show(goal),
    ok === null ? '' : ok ? 'yes' : 'NO',
    what,
    against,
  ])
  const widths = head.map((name, column) => Math.max(name.length, ...lines.map((line) => line[column]?.length ?? 0)))
  return [head, ...lines]
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

function show(value: number): string {
  return String(value >= 100 ? Math.round(value) : Number(value.toPrecision(3)))
}
