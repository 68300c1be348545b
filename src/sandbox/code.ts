import { type Node, parse } from 'acorn'

/** Source: sandbox/v1. Parsing happens in the worker, under the limits of the task. */
export const codeBytesMax = 256 << 10

export interface CodeProblem {
  readonly message: string
  /** Both from 1, in the text as the author wrote it. */
  readonly line: number
  readonly column: number
}

const strictPrefix = '"use strict";\n'

/** Why this text cannot run as the body of an async function; undefined when it can. Parsed alone, so an unbalanced brace cannot leave the body. */
export function checkCode(code: string): CodeProblem | undefined {
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
    return problemOf(error)
  }
  return forbidden(program)
}

/** The first direct `eval` (it sees the capabilities), `import()` or `import.meta`. Walks without recursion: nesting is the author's choice. */
function forbidden(program: Node): CodeProblem | undefined {
  const open: unknown[] = [program]
  while (open.length > 0) {
    const node = open.pop()
    const message = isNode(node) ? refusal(node) : undefined
    if (isNode(node) && message !== undefined) return { message, line: (node.loc?.start.line ?? 2) - 1, column: (node.loc?.start.column ?? 0) + 1 }
    // Not push(...values): an array literal may hold more elements than a call takes arguments.
    for (const value of Object.values(node as object).reverse()) if (isNode(value) || Array.isArray(value)) open.push(value)
  }
  return undefined
}

function refusal(node: Node & { readonly callee?: unknown }): string | undefined {
  if (node.type === 'ImportExpression') return 'import() is not available'
  if (node.type === 'MetaProperty' && 'meta' in node && isNamed(node.meta, 'import')) return 'import.meta is not available'
  if (node.type === 'CallExpression' && isNamed(node.callee, 'eval')) return 'direct eval is not allowed'
  return undefined
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
const isNamed = (value: unknown, name: string): boolean => isNode(value) && 'name' in value && value.name === name

function problemOf(error: unknown): CodeProblem {
  if (error instanceof SyntaxError && 'loc' in error) {
    const { line, column } = error.loc as { line: number; column: number }
    return { message: error.message.replace(/ \(\d+:\d+\)$/, ''), line: line - 1, column: column + 1 }
  }
  return { message: error instanceof RangeError ? 'nested too deeply' : 'does not parse', line: 1, column: 1 }
}
