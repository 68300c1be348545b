import { stripTypeScriptTypes } from 'node:module'

/** TypeScript without its types, every other character where it was. @throws SyntaxError for what types cannot be taken from (enums, namespaces) */
export function stripTypes(text: string): string {
  const { emitWarning } = process
  // Node calls the function experimental each time it is used; its version is pinned, and the user can do nothing about it.
  process.emitWarning = () => undefined
  try {
    return stripTypeScriptTypes(text)
  } finally {
    process.emitWarning = emitWarning
  }
}
