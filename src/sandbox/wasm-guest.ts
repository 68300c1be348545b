import type { AgentCapability } from '../base/index.ts'
import { hostCallCapabilities } from './capabilities.ts'
import type { CodeUse } from './code-uses.ts'
import type { GuestCall } from './guest.ts'

/** A module's bytes, before base64. Source: sandbox/v1 section 7. */
export const wasmModuleBytesMax = 4 << 20

export interface WasmBounds {
  readonly outputBytes: number
  readonly hostCallBytesMax: number
  /** Host calls a module may import by their names. */
  readonly calls: readonly string[]
}

/** What a module can call: its imports, by their places in the list. `call` names its call as it runs, so it may make every call. Source: sandbox/v1 section 7. */
export function wasmUses(imports: readonly { readonly name: string }[]): readonly CodeUse[] {
  const needs: Readonly<Record<string, AgentCapability | undefined>> = hostCallCapabilities
  return imports.flatMap(({ name }, index) => {
    const needed = name === 'call' ? Object.values(needs) : Object.hasOwn(needs, name) ? [needs[name]] : []
    const capabilities = [...new Set(needed)].filter((capability) => capability !== undefined)
    return name === 'call' || Object.hasOwn(needs, name) ? [{ name, capabilities, line: 1, column: index + 1 }] : []
  })
}

/** The first import for which more is needed than was granted, in words. Source: sandbox/v1 section 7. */
export function missingImport(names: readonly string[], granted: readonly string[]): string | undefined {
  for (const { name, capabilities } of wasmUses(names.map((found) => ({ name: found })))) {
    const missing = capabilities.find((capability) => !granted.includes(capability))
    if (missing !== undefined) return `import kindmesh.${name} needs ${missing}`
  }
  return undefined
}

/**
 * Runs a WebAssembly module inside a realm of its own, sent there as text: uses nothing but its parameters and the globals of that realm.
 * No code of the task is JavaScript, so nothing here can be tampered with; bytes cross as texts with a character a byte. Source: sandbox/v1 section 7.
 */
export function wasmMain(call: GuestCall, moduleBytes: string, input: string, { outputBytes, hostCallBytesMax, calls }: WasmBounds): void {
  /** Ends the run by a message of the module's own. */
  class Failed extends Error {}

  const bytesOf = (text: string): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(text.length)
    for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index)
    return bytes
  }
  const textOf = (bytes: Uint8Array): string => {
    let text = ''
    for (let start = 0; start < bytes.length; start += 8_192) text += String.fromCharCode(...bytes.subarray(start, start + 8_192))
    return text
  }
  const describe = (error: unknown): string => (error instanceof Failed ? error.message : String(error))

  type Exported = (...parameters: number[]) => unknown
  let exported: WebAssembly.Exports | undefined
  /** Part of the module's memory, which may have grown since. */
  const view = (pointer: unknown, length: unknown, max: number): Uint8Array => {
    const memory = exported?.['memory']
    if (!(memory instanceof WebAssembly.Memory)) throw new Failed('no host call before the module has its memory')
    if (typeof pointer !== 'number' || typeof length !== 'number') throw new Failed('a pointer and a length are i32')
    if (length >>> 0 > max) throw new Failed(`at most ${max} bytes at once`)
    return new Uint8Array(memory.buffer, pointer >>> 0, length >>> 0)
  }
  const read = (pointer: unknown, length: unknown, max = hostCallBytesMax): string => textOf(view(pointer, length, max))
  /** Puts a text where the module wants it; address and length in one i64. */
  const hand = (text: string): bigint => {
    const alloc = exported?.['alloc']
    if (typeof alloc !== 'function') throw new Failed('no host call before the module has its memory')
    const pointer = (alloc as Exported)(text.length)
    view(pointer, text.length, text.length).set(bytesOf(text))
    return (BigInt((pointer as number) >>> 0) << 32n) | BigInt(text.length)
  }
  const ask = (name: string, args: string): bigint => hand(call('callNow', args, name))

  const imports: Record<string, WebAssembly.ImportValue> = {
    log: (level: unknown, pointer: unknown, length: unknown): void => {
      if (typeof length === 'number' && length >>> 0 > outputBytes) call('over', '', '')
      call('consoleBytes', read(pointer, length, outputBytes), String(Math.min(4, Number(level) >>> 0)))
    },
    progress: (fraction: unknown, pointer: unknown, length: unknown): void => {
      const part = typeof fraction === 'number' && fraction > 0 ? Math.min(1, fraction) : 0
      call('progressBytes', read(pointer, length, 800), String(part))
    },
    random: (pointer: unknown, length: unknown): void => {
      const target = view(pointer, length, 65_536)
      const digits = call('random', String(target.length), '')
      for (let index = 0; index < target.length; index++) target[index] = parseInt(digits.slice(2 * index, 2 * index + 2), 16)
    },
    fail: (pointer: unknown, length: unknown): never => {
      throw new Failed(call('text', read(pointer, length, 8_000), ''))
    },
    call: (namePointer: unknown, nameLength: unknown, pointer: unknown, length: unknown): bigint =>
      ask(read(namePointer, nameLength, 64), read(pointer, length)),
  }
  for (const name of calls) imports[name] = (pointer: unknown, length: unknown): bigint => ask(name, read(pointer, length))

  let module: WebAssembly.Module
  try {
    module = new WebAssembly.Module(bytesOf(moduleBytes))
    const names: string[] = []
    for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
      if (from !== 'kindmesh' || kind !== 'function' || !Object.hasOwn(imports, name)) {
        throw new Failed(`the module imports ${kind} ${from}.${name}, which does not exist`)
      }
      names.push(name)
    }
    const has = (name: string, kind: string): boolean => WebAssembly.Module.exports(module).some((found) => found.name === name && found.kind === kind)
    for (const name of ['alloc', 'run']) if (!has(name, 'function')) throw new Failed(`the module exports no function ${name}`)
    if (!has('memory', 'memory')) throw new Failed('the module exports no memory')
    // The answer is '' when all of it was granted; else the run has ended.
    if (call('imports', JSON.stringify(names), '') !== '') return
  } catch (error) {
    call('code', describe(error), '')
    return
  }
  let result: string
  try {
    exported = new WebAssembly.Instance(module, { kindmesh: imports }).exports
    const { memory, run, _initialize: initialize } = exported
    if (!(memory instanceof WebAssembly.Memory && memory.buffer instanceof ArrayBuffer)) throw new Failed('the memory is shared')
    if (typeof initialize === 'function') (initialize as Exported)()
    const given = hand(input)
    const packed: unknown = (run as Exported)(Number(given >> 32n) | 0, Number(given & 0xffff_ffffn) | 0)
    if (typeof packed !== 'bigint') throw new Failed('run answers an i64: address and length of the result')
    const length = Number(packed & 0xffff_ffffn)
    if (length > outputBytes) call('over', '', '')
    result = length === 0 ? 'null' : read(Number(BigInt.asUintN(32, packed >> 32n)), length, outputBytes)
  } catch (error) {
    call('threw', describe(error), '')
    return
  }
  call('doneBytes', result, '')
}
