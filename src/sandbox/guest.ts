/** What the guest side may say to the worker. Only strings cross. */
export type GuestCall = (kind: string, text: string, extra: string) => string

/**
 * What the worker says to the guest side, out of reach of the task: `begin` (the most bytes of output, the code, the JSON text of the input),
 * the answer to a call (`ok` or `refused`, its number, JSON text), or a `message` for an agent (its number, JSON text).
 */
export type GuestEnter = (kind: 'begin' | 'ok' | 'refused' | 'message', id: string, text: string, input?: string) => void

export interface GuestBounds {
  readonly hostCallBytesMax: number
  /** Parameters of the task's function, of `guestNames`. */
  readonly names: readonly string[]
  /** Globals of the realm that are taken away before the task runs. */
  readonly removed: readonly string[]
}

/** The names a task's code finds. Lexical: parameters of the function around the one that its code is the body of. Source: sandbox/v1 section 4. */
export const guestNames = [
  'input',
  'console',
  'crypto',
  'progress',
  'fetch',
  'memory',
  'vault',
  'readFile',
  'writeFile',
  'list',
  'spawn',
  'mesh',
  'delegate',
  'llm',
  'vectordb',
  'agent',
] as const

/**
 * Runs inside the guest's own realm, sent there as text: it may use nothing but its parameters and the globals of that realm.
 * Takes what it needs from the realm before the code of the task can change it. Made before the task is known, and good for one.
 */
export function guestMain(call: GuestCall, bounds: GuestBounds): GuestEnter {
  'use strict'
  const { hostCallBytesMax, names, removed } = bounds
  for (const name of removed) Reflect.deleteProperty(globalThis, name)

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
  const Promised = Promise
  const Failure = Error
  const { defineProperty, assign, create } = Object

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
  let outputBytes = 0
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

  interface Waiting {
    readonly resolve: (value: unknown) => void
    readonly reject: (reason: unknown) => void
  }
  const waiting = create(null) as Record<string, Waiting | undefined>
  const drop = Reflect.deleteProperty
  const refused = (message: string, code: string): Error => defineProperty(new Failure(message), 'code', { value: code, enumerable: true })
  /** The answer comes by `settle`. */
  const host =
    (name: string) =>
    (...parameters: unknown[]): Promise<unknown> =>
      new Promised((resolve, reject) => {
        const args = stringify(parameters, plain)
        if (args.length > hostCallBytesMax) throw new Type(`${name} takes at most ${hostCallBytesMax} bytes at once`)
        const id = call('call', args, name)
        if (id === '') reject(refused('too many calls wait for their answers', 'ERR_OVERLOADED'))
        else waiting[id] = { resolve, reject }
      })
  interface FetchAnswer {
    readonly status: number
    readonly headers: unknown
    readonly url: string
    /** One of the two, as `encoding` asked. */
    readonly text?: string
    readonly base64?: string
  }
  const ask = host('fetch')
  const fetch = async (...parameters: unknown[]): Promise<unknown> => {
    const { status, headers, url, text: content, base64 } = (await ask(...parameters)) as FetchAnswer
    const asText = async (): Promise<string> => {
      if (content === undefined) throw new Type('the body was asked for as base64')
      return content
    }
    const json = async (): Promise<unknown> => parse(await asText()) as unknown
    return { status, ok: status >= 200 && status < 300, headers, url, text: asText, json, base64: async () => base64 }
  }
  assign(crypto, { sign: host('crypto.sign'), publicKey: host('crypto.publicKey') })
  let handler: ((message: unknown) => unknown) | undefined
  const agent = {
    /** From now on messages go to `take`, whose answer is the reply; the code does not end when its body does. */
    receive: (take: (message: unknown) => unknown): void => {
      if (typeof take !== 'function') throw new Type('agent.receive needs a function')
      if (handler === undefined) call('receiving', '', '')
      handler = take
    },
  }
  const handle = async (id: string, message: string): Promise<void> => {
    let reply: string
    try {
      const value = await handler?.(parse(message))
      reply = value === undefined ? 'null' : stringify(value, plain)
      if (reply.length > hostCallBytesMax) throw new Type(`a reply has at most ${hostCallBytesMax} bytes`)
    } catch (error) {
      call('replyFailed', describe(error), id)
      return
    }
    call('reply', reply, id)
  }
  const settle = (kind: string, id: string, content: string): void => {
    const found = waiting[id]
    drop(waiting, id)
    if (kind === 'ok') return found?.resolve(parse(content))
    const { code: reason, message } = parse(content) as { readonly code: string; readonly message: string }
    found?.reject(refused(message, reason))
  }

  const given: Record<string, unknown> = {
    console,
    crypto,
    progress,
    fetch,
    memory: { get: host('memory.get'), list: host('memory.list'), set: host('memory.set'), delete: host('memory.delete') },
    vault: { get: host('vault.get') },
    readFile: host('readFile'),
    writeFile: host('writeFile'),
    list: host('list'),
    spawn: host('spawn'),
    mesh: { ask: host('mesh.ask') },
    delegate: host('delegate'),
    llm: host('llm'),
    vectordb: host('vectordb'),
    agent,
  }
  const begin = async (code: string, inputText: string): Promise<void> => {
    let body: (...parameters: unknown[]) => unknown
    try {
      // The engine parses the body by itself: it ends where it should.
      AsyncFunction(`"use strict";\n${code}`)
      // Capabilities are parameters of the function around it: not on the global, not in its `arguments`, hidden by names of its own, gone with the task.
      body = AsyncFunction(...names, `return (async function () {"use strict";\n${code}\n})()`) as typeof body
    } catch (error) {
      call('code', describe(error), '')
      return
    }
    try {
      given['input'] = parse(inputText)
    } catch {
      call('input', 'the input is not JSON', '')
      return
    }
    const parameters: unknown[] = []
    for (let index = 0; index < names.length; index++) parameters[index] = given[names[index] ?? '']
    let value: unknown
    try {
      value = await body(...parameters)
    } catch (error) {
      call('threw', describe(error), '')
      return
    }
    // An agent lives on.
    if (handler !== undefined) return
    let result: string
    try {
      result = bounded(value === undefined ? 'null' : stringify(value, plain))
    } catch (error) {
      call('result', describe(error), '')
      return
    }
    call('done', result, '')
  }
  return (kind, id, content, inputText = '') => {
    if (kind === 'begin') {
      outputBytes = number(id)
      void begin(content, inputText)
    } else if (kind === 'message') void handle(id, content)
    else settle(kind, id, content)
  }
}
