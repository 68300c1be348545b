import { type Clock, type Did, hex, MeshError, minuteMs, type Random, type SignalOption, toMeshError, within, createTally } from '../base/index.ts'
import { type Audit, messageReceived, messageRefused, messageSent } from '../audit/index.ts'
import { openBox, type PrekeyBundle, type PrekeyRing, type ReplayGuard, sealBox } from '../envelope/index.ts'
import { type Keyring, openStatement, type Signed, signStatement } from '../identity/index.ts'
import type { Decision } from '../policy/index.ts'
import type { Answer, Plane } from '../protocols/klp/index.ts'
import type { Inbox } from './inbox.ts'
import { bodyCharsMax, type Message, messageCodec, receiptCodec } from './message.ts'
import type { Agents } from './registry.ts'

/** Refusals of one peer written down per minute; the rest are only refused, so that a stranger cannot fill the log. */
export const refusalsNotedMax = 60
/** A live message is good for this long at most. Source: klp/v1 section 2. */
export const messageLifetimeMsMax = 10 * minuteMs

export interface MailOptions {
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly plane: () => Plane
  readonly prekeys: PrekeyRing
  readonly replay: ReplayGuard
  readonly audit: Audit
  readonly agents: Agents
  readonly inbox: Inbox
  bundleOf(peer: Did, options: SignalOption): Promise<PrekeyBundle>
  decide(from: Did): Decision
  /** A message reached the inbox. */
  onMessage(message: Message): void
}

export interface Outgoing {
  readonly type: string
  readonly agent?: string
  readonly encoding: 'text' | 'json'
  readonly body: string
  readonly priority?: number
}

export interface SendOptions extends SignalOption {
  readonly timeoutMs?: number
}

/** Sealed messages to and from peers that are up. */
export interface Mail {
  /** Resolves once the receiver has it on disk and said so with a signed receipt. */
  send(to: Did, message: Outgoing, options?: SendOptions): Promise<{ readonly id: string; readonly status: 'acknowledged'; readonly receipt: string }>
  /** The reply of an agent there, as plain data. */
  ask(to: Did, message: Outgoing, options?: SendOptions): Promise<{ readonly id: string; readonly reply: unknown }>
  /** One sealed request from a peer. */
  receive(peer: Did, sealed: Uint8Array, signal: AbortSignal): Promise<Answer>
}

export function createMail(options: MailOptions): Mail {
  const { keyring, clock, random, prekeys, replay, audit, agents, inbox } = options

  const sign = (kind: 'message' | 'receipt', to: Did, type: string, payload: Uint8Array, refs: readonly Uint8Array[], lifetimeMs: number): Signed => {
    const issuedAt = clock.now()
    return signStatement(kind, { to, type, payload, refs, issuedAt, expiresAt: issuedAt + lifetimeMs }, { keyring, random })
  }
  const seal = (signed: Signed, bundle: PrekeyBundle): Uint8Array => sealBox(signed.bytes, { bundle, now: clock.now(), random })
  const factsOf = ({ statement, hash, bytes }: Signed) => ({
    did: keyring.did,
    from: statement.from,
    to: statement.to,
    id: statement.id,
    type: statement.type,
    statementHash: hash,
    bytes: bytes.length,
  })

  async function exchange(
    to: Did,
    message: Outgoing,
    expectsReply: boolean,
    { signal, timeoutMs = 30_000 }: SendOptions,
  ): Promise<{ readonly signed: Signed; readonly answer: Answer }> {
    const { type, agent = '', encoding, body, priority = 5 } = message
    const payload = messageCodec.encode({ version: 1, agent, expectsReply, priority, traceId: random.bytes(16), encoding, body })
    const lifetimeMs = Math.min(timeoutMs, messageLifetimeMsMax)
    const signed = sign('message', to, type, payload, [], lifetimeMs)
    const plane = options.plane()
    const link = plane.find(to) ?? (await plane.link(to, { signal: within(clock, lifetimeMs, signal, `reaching ${to}`) }))
    const sealed = seal(signed, await options.bundleOf(to, { signal }))
    // Side by side: sending is no privileged act, and its entry must be on disk before we say that it is done.
    const [answer] = await Promise.all([link.request(sealed, { signal, ttlMs: lifetimeMs }), audit.record(messageSent(factsOf(signed)))])
    if (answer.isReceipt === expectsReply) {
      throw new MeshError('ERR_PROTOCOL', expectsReply ? 'a receipt where a reply was due' : 'a reply where a receipt was due')
    }
    return { signed, answer }
  }
  function checkReturn(back: Signed, asked: Signed): void {
    const { from, to, refs } = back.statement
    if (from !== asked.statement.to) throw new MeshError('ERR_STATEMENT_SENDER', 'the answer is signed by somebody else')
    if (to !== keyring.did) throw new MeshError('ERR_STATEMENT_AUDIENCE', 'the answer is addressed to somebody else')
    if (refs.length !== 1 || refs[0] === undefined || hex(refs[0]) !== asked.ref) throw new MeshError('ERR_PROTOCOL', 'the answer is about another message')
  }

  const refusals = createTally<Did>({ clock, most: refusalsNotedMax, windowMs: minuteMs })
  function noteRefusal(peer: Did, error: unknown): void {
    if (!refusals.count(peer)) return
    const { code, message } = toMeshError(error)
    // Noted but never waited for: what a stranger gets wrong must not slow what matters.
    audit.record(messageRefused({ did: keyring.did, from: peer, code, reason: message })).catch(() => undefined)
  }

  /** Opens, verifies and admits a request; nothing is written yet. */
  function admit(peer: Did, sealed: Uint8Array): { readonly signed: Signed; readonly content: ReturnType<typeof messageCodec.decode> } {
    const signed = openStatement('message', openBox(sealed, prekeys), { now: clock.now(), lifetimeMsMax: messageLifetimeMsMax })
    if (signed.statement.to !== keyring.did) throw new MeshError('ERR_STATEMENT_AUDIENCE', 'the message is addressed to somebody else')
    if (signed.statement.from !== peer) throw new MeshError('ERR_STATEMENT_SENDER', 'the message was signed by somebody else than the peer that carries it')
    const decision = options.decide(peer)
    if (!decision.allow) throw new MeshError(decision.code, decision.reason)
    const content = messageCodec.decode(signed.statement.payload)
    if (content.expectsReply) agents.get(content.agent)
    return { signed, content }
  }
  async function deliver(peer: Did, sealed: Uint8Array, signal: AbortSignal): Promise<Answer> {
    const { signed, content } = admit(peer, sealed)
    const { statement } = signed
    const message: Message = {
      id: hex(statement.id),
      from: peer,
      type: statement.type,
      agent: content.agent,
      encoding: content.encoding,
      body: content.body,
      receivedAt: clock.now(),
    }
    const claim = replay.claim(signed)
    let kept: ReturnType<Inbox['keep']> | undefined
    try {
      if (!content.expectsReply) kept = inbox.keep(message)
      await audit.record(messageReceived(factsOf(signed)), [...claim.ops, ...(kept?.ops ?? [])])
    } catch (error) {
      await claim.release()
      kept?.release()
      throw error
    }
    if (content.expectsReply) return { isReceipt: false, bytes: await reply(message, signed, signal) }
    options.onMessage(message)
    const receipt = receiptCodec.encode({ version: 1, status: 'acknowledged', messageHash: signed.hash })
    return { isReceipt: true, bytes: sign('receipt', peer, 'receipt', receipt, [signed.hash], messageLifetimeMsMax).bytes }
  }
  async function reply(message: Message, signed: Signed, signal: AbortSignal): Promise<Uint8Array> {
    const data = message.encoding === 'json' ? parseJson(message.body) : message.body
    let body: string | undefined
    try {
      body = JSON.stringify((await agents.get(message.agent).receive({ ...message, data }, { signal })) ?? null) as string | undefined
    } catch (cause) {
      signal.throwIfAborted()
      if (cause instanceof MeshError) throw cause
      throw new MeshError('ERR_AGENT_FAILED', `agent ${message.agent} failed`, { cause })
    }
    signal.throwIfAborted()
    if (body === undefined) throw new MeshError('ERR_AGENT_FAILED', `agent ${message.agent} gave no plain data`)
    if (body.length > bodyCharsMax) {
      throw new MeshError('ERR_WIRE_TOO_LARGE', `the reply of agent ${message.agent} has ${body.length} characters; ${bodyCharsMax} fit`)
    }
    const payload = messageCodec.encode({ version: 1, agent: '', expectsReply: false, priority: 5, traceId: undefined, encoding: 'json', body })
    const answer = sign('message', message.from, 'reply', payload, [signed.hash], messageLifetimeMsMax)
    return seal(answer, await options.bundleOf(message.from, { signal }))
  }

  return {
    async send(to, message, sendOptions = {}) {
      const { signed, answer } = await exchange(to, message, false, sendOptions)
      const receipt = openStatement('receipt', answer.bytes, { now: clock.now(), lifetimeMsMax: messageLifetimeMsMax })
      checkReturn(receipt, signed)
      const { messageHash } = receiptCodec.decode(receipt.statement.payload)
      if (hex(messageHash) !== signed.ref) throw new MeshError('ERR_RECEIPT_INVALID', 'the receipt is about another message')
      return { id: hex(signed.statement.id), status: 'acknowledged', receipt: receipt.ref }
    },
    async ask(to, message, sendOptions = {}) {
      const { signed, answer } = await exchange(to, message, true, sendOptions)
      const back = openStatement('message', openBox(answer.bytes, prekeys), { now: clock.now(), lifetimeMsMax: messageLifetimeMsMax })
      checkReturn(back, signed)
      const { encoding, body } = messageCodec.decode(back.statement.payload)
      return { id: hex(signed.statement.id), reply: encoding === 'json' ? parseJson(body) : body }
    },
    async receive(peer, sealed, signal) {
      try {
        return await deliver(peer, sealed, signal)
      } catch (error) {
        noteRefusal(peer, error)
        throw error
      }
    },
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MeshError('ERR_WIRE_MALFORMED', 'the body is no JSON', { cause })
  }
}
