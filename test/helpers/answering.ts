import type { Carried, LinkOptions } from '../../src/protocols/klp/index.ts'

/** Answers one sealed request with bytes that go out as they are. */
export type Answering = (sealed: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>

/** Bytes in the place of a statement that would be sealed. */
const sealedAlready = new WeakMap<Carried, Uint8Array>()

/** A link's side that answers by hand, each request under a seal of its own. */
export const answering = (onRequest: Answering): Pick<LinkOptions, 'onRequest' | 'sealAnswers'> => ({
  onRequest: async (sealed, signals) =>
    signals.map(async (signal) => {
      const carried = { body: new Uint8Array(70_000) } as Carried
      sealedAlready.set(carried, await onRequest(sealed, signal))
      return carried
    }),
  sealAnswers: async (answers) => sealedAlready.get(answers[0] as Carried) ?? new Uint8Array(),
})

export const echo: Answering = async (sealed) => sealed
export const nobodyAsks = answering(() => Promise.reject(new Error('nobody asks here')))
