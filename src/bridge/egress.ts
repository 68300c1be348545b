import { connect as connectTcp, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { type Clock, MeshError, secondMs } from '../base/index.ts'
import type { Allowance } from './allowance.ts'
import { withDeadline } from './deadline.ts'
import type { Destinations } from './destinations.ts'
import { Denied } from './refusal.ts'

/** Time to connect. Source: sandbox/v1 section 5.7. */
export const egressConnectMsMax = 15 * secondMs
/** Connections of one run at a time. */
export const egressConnectionsMax = 32

/** Type and major version of the record that begins every TLS connection. Source: RFC 8446 section 5.1. */
const tlsHandshake = [0x16, 0x03] as const

/** The way out for commands in containers and machines. */
export interface Egress {
  /**
   * Connects when name, port and every address pass the policy. The bytes are counted and slowed; of what they say only this is looked at, that they
   * begin as TLS where the policy requires it: to whom the TLS speaks inside stays unseen. @throws Denied, ERR_HOST_ARGUMENTS, ERR_NET_UNREACHABLE
   */
  connect(host: string, port: number, signal: AbortSignal): Promise<Duplex>
  close(): void
}

export interface EgressOptions {
  readonly destinations: Destinations
  readonly allowance: Allowance
  readonly clock: Clock
  /** Whether a connection to there must be TLS. */
  readonly mustBeTls: (host: string, port: number) => boolean
}

export function createEgress({ destinations, allowance, clock, mustBeTls }: EgressOptions): Egress {
  const closing = new AbortController()
  let open = 0
  return {
    async connect(host, port, given) {
      const signal = AbortSignal.any([given, closing.signal])
      if (open >= egressConnectionsMax) throw new Denied(`more than ${egressConnectionsMax} connections at a time`)
      open++
      try {
        const { socket, name } = await withDeadline({ clock, ms: egressConnectMsMax, signal, what: 'connecting' }, async (ends) => {
          const destination = await destinations.ofHost(host, port, ends)
          return { socket: await firstThatAnswers(destination.addresses, port, ends), name: destination.host }
        })
        const stream = new PacedConnection({ socket, allowance, signal, mustBeTls: mustBeTls(name, port) })
        stream.once('close', () => open--)
        return stream
      } catch (error) {
        open--
        throw error
      }
    },
    close() {
      closing.abort(new MeshError('ERR_STOPPED', 'the run has ended'))
    },
  }
}

async function firstThatAnswers(addresses: readonly string[], port: number, signal: AbortSignal): Promise<Socket> {
  let last: unknown
  for (const address of addresses.slice(0, 4)) {
    try {
      return await connectTo(address, port, signal)
    } catch (error) {
      signal.throwIfAborted()
      last = error
    }
  }
  throw last
}

async function connectTo(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return await new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port })
    const onAbort = (): void => void socket.destroy(signal.reason as Error)
    const settle = (): void => {
      signal.removeEventListener('abort', onAbort)
      socket.removeAllListeners()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', (error) => {
      settle()
      reject(error)
    })
    socket.once('connect', () => {
      settle()
      resolve(socket)
    })
    if (signal.aborted) onAbort()
  })
}

class PacedConnection extends Duplex {
  readonly #socket: Socket
  readonly #allowance: Allowance
  readonly #signal: AbortSignal
  readonly #onAbort = (): void => void this.destroy()
  /** First bytes outward that were not looked at yet; undefined when they need not be, or were. */
  #head: Buffer | undefined

  constructor({ socket, allowance, signal, mustBeTls }: { socket: Socket; allowance: Allowance; signal: AbortSignal; mustBeTls: boolean }) {
    super()
    this.#socket = socket
    this.#allowance = allowance
    this.#signal = signal
    this.#head = mustBeTls ? Buffer.alloc(0) : undefined
    socket.on('data', (chunk: Buffer) => {
      socket.pause()
      allowance.take(chunk.length, signal).then(
        () => {
          if (this.push(chunk)) socket.resume()
        },
        (error: unknown) => this.destroy(error as Error),
      )
    })
    socket.once('end', () => this.push(null))
    socket.once('error', (error) => this.destroy(error))
    socket.once('close', () => this.destroy())
    signal.addEventListener('abort', this.#onAbort, { once: true })
    if (signal.aborted) this.#onAbort()
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#send(chunk).then(
      () => callback(),
      (error: unknown) => callback(error as Error),
    )
  }

  async #send(chunk: Buffer): Promise<void> {
    let bytes = chunk
    if (this.#head !== undefined) {
      bytes = Buffer.concat([this.#head, chunk])
      if (bytes.some((byte, at) => at < tlsHandshake.length && byte !== tlsHandshake[at])) {
        throw new Denied('a connection that must be TLS begins as something else')
      }
      if (bytes.length < tlsHandshake.length) {
        this.#head = bytes
        return
      }
      this.#head = undefined
    }
    await this.#allowance.take(bytes.length, this.#signal)
    await new Promise<void>((resolve, reject) => void this.#socket.write(bytes, (error) => (error ? reject(error) : resolve())))
  }

  override _final(callback: () => void): void {
    this.#socket.end(callback)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#socket.destroy()
    callback(error)
  }
}
