import { readFileSync } from 'node:fs'
import { parse } from 'acorn'
import { analyseCode } from '../../../src/sandbox/code.ts'
import { stripTypes } from '../../../src/sandbox/strip-types.ts'
import { alternate, type Bench, row, type Row, usPerCall } from '../harness.ts'

/** A program people wrote: files of ours, without types, imports and exports, each a function's body. */
const text = ['code-uses', 'task-run', 'pool', 'guest-calls']
  .map((name) => stripTypes(readFileSync(new URL(`../../../src/sandbox/${name}.ts`, import.meta.url), 'utf8')))
  .map((file) => `{\n${file.replaceAll(/^import[\s\S]*?from '[^']*'$/gm, '').replaceAll(/^export (?=\w)/gm, '')}\n}`)
  .join('\n')
const kilobytes = text.length / 1_024

/** What the analysis of a task costs beside parsing it, which every level does anyway. */
export async function* sandboxAnalysis(bench: Bench): AsyncIterable<Row> {
  const { problem } = analyseCode(text)
  if (problem !== undefined) throw new Error(`${problem.message} at line ${problem.line}`)
  const calls = bench.rounds(10)
  const options = { ecmaVersion: 'latest', sourceType: 'script', locations: true, allowReturnOutsideFunction: true, allowAwaitOutsideFunction: true } as const
  const small = 'const more = await memory.get("k"); return input.a + more'
  const figures = await alternate(bench.rounds(7), {
    whole: () => usPerCall(calls, () => analyseCode(text)) / kilobytes,
    parsed: () => usPerCall(calls, () => parse(text, options)) / kilobytes,
    small: () => usPerCall(calls * 100, () => analyseCode(small)),
    smallParsed: () => usPerCall(calls * 100, () => parse(small, options)),
  })
  yield row({
    id: 'sandbox-analysis',
    what: `reading code and finding what it may call, ${Math.round(kilobytes)} KiB, a KiB`,
    unit: 'us',
    figures: figures.whole,
    against: 'acorn alone, a KiB',
    others: figures.parsed,
  })
  yield row({
    id: 'sandbox-analysis-small',
    what: `the same of a task of ${small.length} bytes`,
    unit: 'us',
    figures: figures.small,
    against: 'acorn alone',
    others: figures.smallParsed,
  })
}
