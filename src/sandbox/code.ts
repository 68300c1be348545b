import type { AgentCapability } from '../base/index.ts'
import { type Node, parse } from 'acorn'
import { collectUses, type CodeUse } from './code-uses.ts'

/** Longest text of a task, bytes. Parsing a stranger's text happens in the worker, under the limits of the task. Source: sandbox/v1 section 6. */
export const codeBytesMax = 256 << 10

export interface CodeProblem {
  readonly message: string
  /** Both from 1, in the text as the author wrote it. */
  readonly line: number
  readonly column: number
}

/** Why a text cannot run, or what it can reach of its host: each name once, in the order of first use. */
export type CodeAnalysis = { readonly problem: CodeProblem } | { readonly problem?: undefined; readonly uses: readonly CodeUse[] }

const messageCharsMax = 200
const strictPrefix = '"use strict";\n'

/**
 * Reads a text as the body of an async function, alone, so an unbalanced brace cannot leave the body, and finds what of the host it names.
 * What it does not name it cannot reach: host calls are lexical bindings and direct `eval` is refused. Source: sandbox/v1 section 6.
 */
export function analyseCode(code: string): CodeAnalysis {
  let program: Node
  try {
    // A script, not a module: HTML-like comments must be read here as V8 reads them there.
    program = parse(strictPrefix + code, {
      ecmaVersion: 'latest',
      sourceType: 'script',
      locations: true,
      allowReturnOutsideFunction: true,
      allowAwaitOutsideFunction: true,
    })
  } catch (error) {
    return { problem: problemOf(error) }
  }
  const { refused, uses } = collectUses(program)
  return refused === undefined ? { uses: uses.map(inAuthorsLines) } : { problem: inAuthorsLines(refused) }
}

/** The first use of what was not granted; undefined when everything was. */
export const missingUse = (uses: readonly CodeUse[], granted: readonly string[]): CodeUse | undefined =>
  uses.find(({ capabilities }) => capabilities.some((capability) => !granted.includes(capability)))

/** `memory.set needs memory:write (line 3, column 7)` */
export function describeMissing({ name, capabilities, line, column }: CodeUse, granted: readonly string[]): string {
  const missing = capabilities.filter((capability) => !granted.includes(capability))
  return `${name} needs ${missing.join(', ')} (line ${line}, column ${column})`
}

/** Every capability a text may make use of, in the order of first use. */
export const permissionsOf = (uses: readonly CodeUse[]): readonly AgentCapability[] => [...new Set(uses.flatMap(({ capabilities }) => capabilities))]

const inAuthorsLines = <T extends CodeProblem | CodeUse>(place: T): T => ({ ...place, line: place.line - 1 })

function problemOf(error: unknown): CodeProblem {
  if (error instanceof SyntaxError && 'loc' in error) {
    const { line, column } = error.loc as { line: number; column: number }
    // The parser quotes: a wrong expression may be as long as the text.
    return { message: error.message.replace(/ \(\d+:\d+\)$/, '').slice(0, messageCharsMax), line: line - 1, column: column + 1 }
  }
  return { message: error instanceof RangeError ? 'nested too deeply' : 'does not parse', line: 1, column: 1 }
}
