/** What the guest side may say to the worker. Only strings cross. */
export type GuestCall = (kind: string, text: string, extra: string) => string

/**
 * Runs inside the guest's own realm, sent there as text: it may use nothing but its parameters and the globals of that realm.
 * Takes what it needs from the realm before the code of the task can change it.
 */
export function guestMain(call: GuestCall, code: string, inputText: string, outputBytes: number): void {
  'use strict'
  for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics', 'FinalizationRegistry', 'WeakRef', 'console']) Reflect.deleteProperty(globalThis, name)

  type Slice = (text: string, start: number, end: number) => string
  const { parse, stringify } = JSON
  const slice = Function.prototype.call.bind(String.prototype.slice) as Slice
  const text = String
  const Type = TypeError
  const { isFinite } = Number
  const bytesOf = Uint8Array
  const isView = ArrayBuffer.isView
  const fromCode = String.fromCharCode
  const number = parseInt
  const AsyncFunction = (async () => undefined).constructor as FunctionConstructor

  const describe = (thrown: unknown): string => {
    try {
      if (typeof thrown === 'object' && thrown !== null && 'message' in thrown) {
        return slice(`${text('name' in thrown ? thrown.name : 'Error')}: ${text(thrown.message)}`, 0, 2_000)
      }
      return slice(text(thrown), 0, 2_000)
    } catch {
      return 'a value that cannot be shown'
    }
  }
  const show = (value: unknown): string => {
    if (typeof value === 'string') return value
    if (typeof value !== 'object' || value === null) return text(value)
    if (value instanceof Error) return describe(value)
    return stringify(value) ?? text(value)
  }
  /** Nothing longer than the whole output limit is copied out. */
  const bounded = (value: string): string => {
    if (value.length > outputBytes) call('over', '', '')
    return value
  }

  const print =
    (level: string) =>
    (...values: unknown[]): void => {
      let line = ''
      for (let index = 0; index < values.length; index++) line = bounded(line + (index === 0 ? '' : ' ') + show(values[index]))
      call('console', line, level)
    }
  const console = { log: print('0'), info: print('1'), warn: print('2'), error: print('3'), debug: print('4') }

  const randomBytes = (length: number): Uint8Array => {
    if (!(length >= 0 && length <= 65_536)) throw new Type('0 to 65536 random bytes at once')
    const digits = call('random', text(length), '')
    const bytes = new bytesOf(length)
    for (let index = 0; index < length; index++) bytes[index] = number(slice(digits, 2 * index, 2 * index + 2), 16)
    return bytes
  }
  const crypto = {
    randomUUID: (): string => call('uuid', '', ''),
    randomBytes,
    getRandomValues: <T>(view: T): T => {
      if (!isView(view)) throw new Type('getRandomValues needs a typed array')
      const bytes = randomBytes(view.byteLength)
      const target = new bytesOf(view.buffer, view.byteOffset, view.byteLength)
      for (let index = 0; index < bytes.length; index++) target[index] = bytes[index] ?? 0
      return view
    },
    /** Hex digits of the SHA-256 of a text (as UTF-8) or of bytes. */
    digest: (algorithm: string, data: unknown): string => {
      if (algorithm !== 'sha-256') throw new Type('only sha-256')
      if (typeof data === 'string') {
        if (data.length > 8_388_608) throw new Type('at most 8 MiB')
        return call('sha256', data, 'utf8')
      }
      if (!isView(data)) throw new Type('digest needs a text or a typed array')
      const bytes = new bytesOf(data.buffer, data.byteOffset, data.byteLength)
      if (bytes.length > 8_388_608) throw new Type('at most 8 MiB')
      let latin = ''
      for (let index = 0; index < bytes.length; index++) latin += fromCode(bytes[index] ?? 0)
      return call('sha256', latin, 'latin1')
    },
  }
  const progress = (fraction: unknown, note: unknown = ''): void => {
    const part = typeof fraction === 'number' && isFinite(fraction) ? fraction : 0
    call('progress', slice(text(note), 0, 200), text(part < 0 ? 0 : part > 1 ? 1 : part))
  }
  const plain = (_key: string, value: unknown): unknown => {
    if (typeof value === 'function' || typeof value === 'symbol') throw new Type(`a ${typeof value} is not data`)
    return value
  }

  let body: (...parameters: unknown[]) => unknown
  let input: unknown
  try {
    // The engine parses the body by itself. Capabilities are parameters: not on the global, gone with the task.
    body = AsyncFunction('input', 'console', 'crypto', 'progress', `"use strict";\n${code}`) as typeof body
  } catch (error) {
    call('code', describe(error), '')
    return
  }
  try {
    input = parse(inputText)
  } catch {
    call('input', 'the input is not JSON', '')
    return
  }
  const run = async (): Promise<void> => {
    let value: unknown
    try {
      value = await body(input, console, crypto, progress)
    } catch (error) {
      call('threw', describe(error), '')
      return
    }
    let result: string
    try {
      result = bounded(value === undefined ? 'null' : stringify(value, plain))
    } catch (error) {
      call('result', describe(error), '')
      return
    }
    call('done', result, '')
  }
  void run()
}
