import { type Did, MeshError, type SignalOption, toMeshError } from '../base/index.ts'
import type { Opened, PrekeyBundle, Sessions } from '../envelope/index.ts'
import type { Composed } from '../identity/index.ts'
import { type Answer, type Carried, groupsOf, type Link, type Plane } from '../protocols/klp/index.ts'
import type { PendingWrites } from './pending-writes.ts'

export interface CourierOptions {
  readonly sessions: Sessions
  readonly writes: PendingWrites
  readonly plane: () => Plane
  /** `fresh` looks beyond what is known already. */
  bundleOf(peer: Did, options: SignalOption & { readonly fresh?: boolean }): Promise<PrekeyBundle>
  /** Longest life of a statement that comes as an answer. */
  readonly lifetimeMsMax: number
}

export interface PostOptions extends SignalOption {
  readonly ttlMs: number
}

/** Carries statements sealed: those ready at the same time under one seal and one signature. */
export interface Courier {
  /** Sends a statement over the peer's link, opening one if need be, and gives the statement that answers it. @throws coded refusals of the peer, ERR_NET_*, ERR_NO_PREKEYS, ERR_TIMEOUT */
  post(to: Did, statement: Carried, options: PostOptions): Promise<Composed>
  /** Seals a statement for somebody who is off: in a box, which opens whatever became of the sessions, and shows a holder no tag that links items. */
  sealStored(to: Did, statement: Carried, options: SignalOption): Promise<Uint8Array>
  sealAnswers(peer: Did, answers: readonly Carried[]): Promise<Uint8Array>
}

interface Waiting {
  readonly statement: Carried
  readonly options: PostOptions
  readonly isRetry: boolean
  resolve(answer: Composed): void
  reject(error: Error): void
}

/** The peer cannot open what it was sent, and can what is sealed anew. */
const isMendable = (error: MeshError): boolean => error.code === 'ERR_SESSION_LOST' || error.code === 'ERR_SEAL_PREKEY'

export function createCourier({ sessions, writes, plane, bundleOf, lifetimeMsMax }: CourierOptions): Courier {
  const lanes = new Map<Did, Waiting[]>()
  const answersOf = new WeakMap<Uint8Array, Opened | MeshError>()

  function enqueue(to: Did, waiting: Waiting): void {
    const lane = lanes.get(to)
    if (lane !== undefined) lane.push(waiting)
    else {
      lanes.set(to, [waiting])
      setImmediate(() => void flush(to))
    }
  }
  async function flush(to: Did): Promise<void> {
    try {
      const link = plane().find(to) ?? (await plane().link(to))
      const bundle = await bundleFor(to, {})
      const lane = (lanes.get(to) ?? []).filter(({ options }) => options.signal?.aborted !== true)
      lanes.delete(to)
      for (const group of groupsOf(lane, ({ statement }) => statement.body.length)) postGroup(link, to, group, bundle)
    } catch (error) {
      const lane = lanes.get(to) ?? []
      lanes.delete(to)
      for (const { reject } of lane) reject(toMeshError(error))
    }
  }
  function postGroup(link: Link, to: Did, group: readonly Waiting[], bundle: PrekeyBundle | undefined): void {
    let sealed: Uint8Array
    try {
      const { bytes, ops } = sessions.seal(
        to,
        group.map(({ statement }) => statement),
        { bundle },
      )
      writes.add(ops)
      sealed = bytes
    } catch (error) {
      for (const { reject } of group) reject(toMeshError(error))
      return
    }
    const answers = link.post(
      sealed,
      group.map(({ options }) => options),
    )
    answers.forEach((answer, index) => {
      const waiting = group[index]
      if (waiting === undefined) return
      answer.then(
        (given) => finish(to, waiting, given),
        (error: unknown) => failed(to, waiting, sealed, toMeshError(error)),
      )
    })
  }
  function finish(to: Did, waiting: Waiting, answer: Answer): void {
    try {
      waiting.resolve(openAnswer(to, answer))
    } catch (error) {
      waiting.reject(toMeshError(error))
    }
  }
  function failed(to: Did, waiting: Waiting, sealed: Uint8Array, error: MeshError): void {
    if (!isMendable(error) || waiting.isRetry) {
      waiting.reject(error)
      return
    }
    sessions.lost(to, sealed)
    const again = (): void => enqueue(to, { ...waiting, isRetry: true })
    if (error.code === 'ERR_SEAL_PREKEY') bundleOf(to, { fresh: true }).then(again, again)
    else again()
  }
  function openAnswer(peer: Did, { sealed, index, count }: Answer): Composed {
    let opened = answersOf.get(sealed)
    if (opened === undefined) {
      try {
        opened = sessions.open(sealed, { lifetimeMsMax })
        writes.add(opened.ops)
      } catch (error) {
        opened = toMeshError(error)
      }
      answersOf.set(sealed, opened)
    }
    if (opened instanceof MeshError) throw opened
    if (opened.items.length !== count) throw new MeshError('ERR_PROTOCOL', `${count} answers were announced, ${opened.items.length} came`)
    if (opened.from !== peer) throw new MeshError('ERR_STATEMENT_SENDER', 'the answer is signed by somebody else')
    const item = opened.items[index]
    if (item === undefined || item instanceof MeshError) throw item ?? new MeshError('ERR_PROTOCOL', 'an answer is missing')
    return item
  }
  /** The bundle where one is needed; a session goes on without it while none can be had. */
  async function bundleFor(to: Did, { signal }: SignalOption): Promise<PrekeyBundle | undefined> {
    if (!sessions.needsBundle(to)) return undefined
    try {
      return await bundleOf(to, { signal })
    } catch (error) {
      if (sessions.has(to)) return undefined
      throw error
    }
  }

  return {
    post: (to, statement, options) =>
      new Promise((resolve, reject) => {
        const { signal } = options
        signal?.throwIfAborted()
        // A caller that gives up while the link is still being opened does not wait for it.
        const giveUp = (): void => reject(signal?.reason as Error)
        const leave = (): void => signal?.removeEventListener('abort', giveUp)
        signal?.addEventListener('abort', giveUp, { once: true })
        enqueue(to, {
          statement,
          options,
          isRetry: false,
          resolve(answer) {
            leave()
            resolve(answer)
          },
          reject(error) {
            leave()
            reject(error)
          },
        })
      }),
    async sealStored(to, statement, { signal }) {
      sessions.lost(to)
      const bundle = await bundleFor(to, { signal })
      const { bytes, ops } = sessions.seal(to, [statement], { bundle })
      writes.add(ops)
      return bytes
    },
    async sealAnswers(peer, answers) {
      const bundle = await bundleFor(peer, {})
      const { bytes, ops } = sessions.seal(peer, answers, { bundle })
      writes.add(ops)
      return bytes
    },
  }
}
