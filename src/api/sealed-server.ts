import fastify from 'fastify'
import type { z } from 'zod'
import { base64url, type Clock, MeshError, type Random } from '../base/index.ts'
import type { NodeVaultKey, NodeVaultStatus } from '../node/index.ts'
import { removeApiFile, writeApiFile } from './api-file.ts'
import { addConsole, readConsole } from './console-files.ts'
import { createCredentials } from './credentials.ts'
import { addGuards } from './guards.ts'
import { listenOnLoopback, onWishedPort } from './loopback.ts'
import { problemOf, sendProblem } from './problems.ts'
import { apiRates, createRateLimits } from './rate-limits.ts'
import { parsePart } from './routes.ts'
import { connectionsMax, headerBytesMax, serverLimits } from './server.ts'
import { keyOf, vaultView } from './vault-routes.ts'
import { vaultKeyBody } from './vault-schemas.ts'

/** Tries to unseal a node that starts sealed, of all who have no token together. Source: api/v1 section 5. */
export const unsealRate = { perSecond: 1 / 12, burst: 5 }

export interface SealedApiOptions<T> {
  /** As for the API of a running node. */
  readonly file: string
  readonly port?: number | undefined
  /** Any other port where this one is taken. */
  readonly isPortWish?: boolean | undefined
  readonly clock: Clock
  readonly random: Random
  /** What may be told of the vault without its key. */
  status(): Promise<NodeVaultStatus>
  /** Tries a key. Called once at a time. @throws ERR_AUTH_FAILED */
  unseal(key: NodeVaultKey): Promise<T>
  /** Ends what was opened and will not be handed over. */
  discard(opened: T): Promise<void>
}

export interface SealedApi<T> {
  readonly url: string
  readonly port: number
  /** What `unseal` gave, once whoever unsealed was answered; the server is gone by then. Rejects when it was stopped before. */
  readonly unsealed: Promise<T>
  /** What was opened and not handed over is discarded first. Does nothing once `unsealed` is settled. */
  stop(): Promise<void>
}

/** Tokens of programs and sessions are of the node that is to start. */
const nobody = { tokens: { check: () => undefined }, users: { session: () => undefined, sessions: () => [], users: () => [] } }

/** Serves what a node may say before anybody unsealed it: that it is sealed, what opens it, and the console. All else is ERR_SEALED. @throws ERR_NET_ADDRESS */
export async function startSealedApi<T>(options: SealedApiOptions<T>): Promise<SealedApi<T>> {
  return await onWishedPort(options, serve)
}

async function serve<T>({ file, port = 0, clock, random, status, unseal, discard }: SealedApiOptions<T>): Promise<SealedApi<T>> {
  const server = fastify(serverLimits)
  server.server.maxConnections = connectionsMax
  const token = base64url(random.bytes(32))
  const limits = createRateLimits({ clock, rates: { ...apiRates, anonymous: unsealRate } })
  const { promise: unsealed, resolve, reject } = Promise.withResolvers<T>()
  unsealed.catch(() => undefined)
  let ownPort = port
  let opened: { readonly with: T } | undefined
  let isHandedOver = false
  let isStopped = false
  let turn: Promise<unknown> = Promise.resolve()
  /** The profile is for one at a time. */
  const inTurn = <R>(act: () => Promise<R>): Promise<R> => {
    const next = turn.then(act)
    turn = next.catch(() => undefined)
    return next
  }
  server.setValidatorCompiler(() => () => true)
  addGuards(server, {
    port: () => ownPort,
    credentials: createCredentials({ node: nobody, ownToken: token }),
    admit(request, reply) {
      if (request.principal.kind === 'anonymous' && request.method !== 'POST') return
      reply.raw.once('close', limits.enter(request.principal))
    },
  })
  const sealed = new MeshError('ERR_SEALED', 'the node is sealed', { hint: 'unseal it: `kindmesh vault unseal`' })
  server.setErrorHandler((error, _request, reply) => sendProblem(reply, problemOf(error)))
  server.setNotFoundHandler((_request, reply) => sendProblem(reply, sealed))
  addConsole(server, await readConsole())
  const isOpen = { config: { isOpen: true } } as const
  server.get('/healthz', isOpen, async () => ({ ok: true, sealed: true }))
  server.get('/v1/vault', isOpen, () => inTurn(async () => vaultView(await status())))
  server.post('/v1/vault/unseal', isOpen, ({ body }, reply) =>
    inTurn(async () => {
      const key = keyOf(parsePart(vaultKeyBody, body) as z.infer<typeof vaultKeyBody>)
      if (isStopped || opened !== undefined) throw new MeshError('ERR_STOPPED', 'the node was unsealed just now and starts', { hint: 'try again in a moment' })
      const before = await status()
      const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
      // Listened for before the wait: whoever asked may be gone when it ends, and what was opened is handed over all the same.
      reply.raw.once('close', answer)
      const given = await unseal(key)
      opened = { with: given }
      void answered.then(() => handOver(given))
      if (reply.raw.destroyed) answer()
      return { ...vaultView(before), sealed: false }
    }),
  )
  const loopback = await listenOnLoopback(server, { port, headerBytesMax })
  ownPort = loopback.port
  const url = `http://localhost:${ownPort}`
  await writeApiFile(file, { url, token })
  async function close(): Promise<void> {
    await removeApiFile(file)
    await loopback.close()
  }
  async function handOver(given: T): Promise<void> {
    if (isStopped) return
    isHandedOver = true
    await close().finally(() => resolve(given))
  }
  return {
    url,
    port: ownPort,
    unsealed,
    async stop() {
      if (isHandedOver || isStopped) return
      isStopped = true
      await close()
      // Whatever is being opened will be there after its turn.
      await turn
      if (opened !== undefined) await discard(opened.with)
      reject(new MeshError('ERR_STOPPED', 'stopped before anybody unsealed it'))
    },
  }
}
