import { createServer } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { MeshError, toMeshError } from '../base/index.ts'

/** What a machine without IPv6 answers. */
const noSuchFamily = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL'])

export interface LoopbackOptions {
  /** Any free one for 0. */
  readonly port: number
  readonly headerBytesMax: number
}

export interface Loopback {
  readonly port: number
  close(): Promise<void>
}

/**
 * Listens on 127.0.0.1 and on ::1, both on one port, or not at all: browsers take either for `localhost`, and whoever held the other would be
 * the console to them. Source: api/v1 section 1. @throws ERR_NET_ADDRESS when one of the two is taken
 */
export async function listenOnLoopback(server: FastifyInstance, { port, headerBytesMax }: LoopbackOptions): Promise<Loopback> {
  const failed = (cause: unknown): MeshError =>
    new MeshError('ERR_NET_ADDRESS', `the API cannot listen on port ${port}`, { cause, hint: 'give another --api-port' })
  const first = server.server
  const second = createServer({ maxHeaderSize: headerBytesMax }, (request, response) => server.routing(request, response))
  const { headersTimeout, requestTimeout, maxConnections } = first
  Object.assign(second, { headersTimeout, requestTimeout, maxConnections })
  try {
    await server.listen({ host: '127.0.0.1', port })
    const address = first.address()
    if (typeof address !== 'object' || address === null) throw failed(undefined)
    await new Promise<void>((resolve, reject) => {
      second.once('error', (error: NodeJS.ErrnoException) => (noSuchFamily.has(error.code ?? '') ? resolve() : reject(error)))
      second.listen({ host: '::1', port: address.port }, resolve)
    })
    return { port: address.port, close }
  } catch (cause) {
    await close()
    throw cause instanceof MeshError ? cause : failed(cause)
  }
  async function close(): Promise<void> {
    second.closeAllConnections()
    if (second.listening) await new Promise((resolve) => void second.close(resolve))
    await server.close()
  }
}

/** Serves on the port asked for; where that was a wish, on any free one when it is taken. @throws ERR_NET_ADDRESS */
export async function onWishedPort<O extends { readonly port?: number | undefined; readonly isPortWish?: boolean | undefined }, T>(
  options: O,
  serve: (options: O) => Promise<T>,
): Promise<T> {
  try {
    return await serve(options)
  } catch (error) {
    if (options.isPortWish !== true || toMeshError(error).code !== 'ERR_NET_ADDRESS') throw error
    return await serve({ ...options, port: 0 })
  }
}
