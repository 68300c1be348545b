import {
  type Clock,
  createTally,
  type Did,
  fromHex,
  hex,
  hourMs,
  type Logger,
  MeshError,
  minuteMs,
  type Random,
  secondMs,
  type SignalOption,
  toMeshError,
  within,
} from '../base/index.ts'
import { type Audit, messageReceived, messageRefused, messageSent } from '../audit/index.ts'
import type { Opened, Order, PrekeyBundle, ReplayGuard, Sequences, Sessions } from '../envelope/index.ts'
import { checkTime, type Composed, composeStatement, type Keyring } from '../identity/index.ts'
import type { Decision } from '../policy/index.ts'
import type { Carried, Plane } from '../protocols/klp/index.ts'
import type { Store, StoreOp } from '../store/index.ts'
import { createCalls } from './calls.ts'
import { createCourier } from './courier.ts'
import { createDelivery, type Deposit, type Outcome } from './delivery.ts'
import type { Inbox } from './inbox.ts'
import {
  bodyBytes,
  bodyBytesMax,
  bodyText,
  type Encoding,
  liveLifetimeMsMax,
  type Message,
  messageCodec,
  plainMessage,
  receiptCodec,
  sentLifetimeMsMax,
} from './message.ts'
import { openOutbox, type OutboxEntry } from './outbox.ts'
import { createPendingWrites } from './pending-writes.ts'
import type { Agents } from './registry.ts'
import { validateBody } from './types/validate.ts'

/** Refusals of one peer written down per minute; the rest are only refused, so that a stranger cannot fill the log. */
export const refusalsNotedMax = 60
/** A send waits so long for its first round when nothing else is said; the message goes on being tried. */
const sendPatienceMs = 30 * secondMs
/** Items from mailboxes that were opened and could not be kept yet. */
const heldItemsMax = 1_000

export interface Taken {
  /** Under their full keys: they go into the durable batch of the message's replay mark. */
  readonly ops: readonly StoreOp[]
  /** Runs once that batch is on disk. */
  done?(): void
  /** Runs when it failed. */
  release?(): void
}
/** Takes messages of one type in place of the inbox. Throwing a MeshError refuses the message with its code. */
export type Taker = (message: Message) => Promise<Taken>

export interface MailOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly plane: () => Plane
  readonly sessions: Sessions
  readonly replay: ReplayGuard
  readonly sequences: Sequences
  readonly audit: Audit
  readonly agents: Agents
  readonly inbox: Inbox
  readonly takers: ReadonlyMap<string, Taker>
  /** `fresh` looks beyond what is known already. */
  bundleOf(peer: Did, options: SignalOption & { readonly fresh?: boolean }): Promise<PrekeyBundle>
  /** Whose key it is, and which is in force. */
  readonly keys: { subject(key: Did): Did; current(identity: Did, options: SignalOption): Promise<Did> }
  /** May it write here, or to this agent? */
  decide(from: Did, agent?: string): Decision
  deposit: Deposit
  /** A message reached the inbox. */
  onMessage(message: Message): void
  onDelivered(message: { readonly id: string; readonly to: Did }): void
  onUndelivered(entry: OutboxEntry): void
}

export interface Outgoing {
  readonly type: string
  readonly agent?: string | undefined
  readonly encoding: Encoding
  /** Base64 when the encoding is bytes. */
  readonly body: string
  /** 0, later, to 9, sooner; 5 when nothing is said. */
  readonly priority?: number | undefined
  /** 32 hexadecimal digits. */
  readonly traceId?: string | undefined
  /** Id of the message this one answers. */
  readonly replyTo?: string | undefined
  /** Base64. */
  readonly token?: string | undefined
}

export interface SendOptions extends SignalOption {
  /** How long the caller waits. */
  readonly timeoutMs?: number | undefined
  /** How long the message is good for, and tried. */
  readonly ttlMs?: number | undefined
}

export type Sent = Outcome & { readonly id: string }

/** Sealed messages to and from peers, up or off. */
export interface Mail {
  /**
   * The message is on this disk before this resolves, and is tried until it is acknowledged or its time is over. `acknowledged`: on the receiver's disk,
   * by its signed receipt. `deposited`: a holder of its mail signed for it. `queued`: it will be tried again.
   */
  send(to: Did, message: Outgoing, options?: SendOptions): Promise<Sent>
  /** The reply of an agent there, as plain data. */
  ask(to: Did, message: Outgoing, options?: SendOptions): Promise<{ readonly id: string; readonly reply: unknown }>
  /** One sealed request from a peer, with as many statements as signals. */
  receive(peer: Did, sealed: Uint8Array, signals: readonly AbortSignal[]): Promise<readonly Promise<Carried>[]>
  sealAnswers(peer: Did, answers: readonly Carried[]): Promise<Uint8Array>
  /** One sealed item from a mailbox. Throws when it cannot be kept now and should stay where it is. */
  receiveStored(sealed: Uint8Array): Promise<'taken' | 'known' | 'refused'>
  /** What waits to be delivered, and what was given up. */
  outbox(): readonly OutboxEntry[]
  /** The peer can be reached. */
  kick(peer: Did): void
  start(): void
  stop(): Promise<void>
}

export async function openMail(options: MailOptions): Promise<Mail> {
  const { store, keyring, clock, random, logger, sessions, replay, sequences, audit, agents, inbox, takers } = options
  const writes = createPendingWrites({ store, clock, logger })
  const courier = createCourier({ sessions, writes, plane: options.plane, bundleOf: options.bundleOf, lifetimeMsMax: liveLifetimeMsMax })
  const calls = createCalls()
  const outbox = await openOutbox({ store: store.sub('outbox'), keyring, clock, random, logger, onUndelivered: options.onUndelivered })
  const delivery = createDelivery({
    outbox,
    courier,
    clock,
    random,
    logger,
    bundleOf: options.bundleOf,
    isLinked: (peer) => options.plane().has(peer),
    deposit: options.deposit,
    keyOf: options.keys.current,
    readdress({ statement: { kind, statement } }, key) {
      if (statement.to === key && statement.from === keyring.did) return undefined
      const { id, type, payload, refs, expiresAt } = statement
      const fields = { from: keyring.did, to: key, id, type, payload, refs, issuedAt: clock.now(), expiresAt }
      return { ...composeStatement(kind, fields, random), kind }
    },
    checkAnswer({ statement }, answer) {
      checkReturn(answer, statement)
      if (answer.kind !== 'receipt') throw new MeshError('ERR_PROTOCOL', 'a reply where a receipt was due')
      if (hex(receiptCodec.decode(answer.statement.payload).messageHash) !== statement.ref) {
        throw new MeshError('ERR_RECEIPT_INVALID', 'the receipt is about another message')
      }
    },
    onDelivered: ({ to, statement }) => {
      if (statement.kind === 'message') options.onDelivered({ id: hex(statement.statement.id), to })
    },
  })

  const compose = (kind: Carried['kind'], to: Did, type: string, payload: Uint8Array, refs: readonly Uint8Array[], lifetimeMs: number): Carried => {
    const issuedAt = clock.now()
    return { ...composeStatement(kind, { from: keyring.did, to, type, payload, refs, issuedAt, expiresAt: issuedAt + lifetimeMs }, random), kind }
  }
  function composeMessage(to: Did, message: Outgoing, lifetimeMs: number, extra: { readonly expectsReply: boolean; readonly order?: Order }): Carried {
    const { type, agent = '', encoding, body, priority = 5, traceId, replyTo, token } = message
    validateBody(type, encoding, body)
    const payload = messageCodec.encode({
      ...plainMessage({ encoding, body: bodyBytes(encoding, body) }),
      agent,
      expectsReply: extra.expectsReply,
      priority,
      traceId: traceId === undefined ? random.bytes(16) : idBytes(traceId, 'trace id'),
      replyTo: replyTo === undefined ? undefined : idBytes(replyTo, 'message id'),
      order: extra.order,
      token: token === undefined ? undefined : bodyBytes('bytes', token),
    })
    return compose('message', to, type, payload, [], lifetimeMs)
  }
  const receiptFor = (message: Composed, lifetimeMs: number): Carried =>
    compose(
      'receipt',
      message.statement.from,
      'receipt',
      receiptCodec.encode({ version: 1, status: 'acknowledged', messageHash: message.hash }),
      [message.hash],
      lifetimeMs,
    )
  const factsOf = ({ statement, hash, body }: Composed) => ({
    did: keyring.did,
    from: statement.from,
    to: statement.to,
    id: statement.id,
    type: statement.type,
    statementHash: hash,
    bytes: body.length,
  })
  function checkReturn({ statement: { from, to, refs } }: Composed, asked: Composed): void {
    if (from !== asked.statement.to) throw new MeshError('ERR_STATEMENT_SENDER', 'the answer is signed by somebody else')
    if (to !== keyring.did) throw new MeshError('ERR_STATEMENT_AUDIENCE', 'the answer is addressed to somebody else')
    if (refs.length !== 1 || refs[0] === undefined || hex(refs[0]) !== asked.ref) throw new MeshError('ERR_PROTOCOL', 'the answer is about another message')
  }

  const refusals = createTally<Did>({ clock, most: refusalsNotedMax, windowMs: minuteMs })
  /** `peer` is undefined for what mailboxes serve: of all holders together, since one that serves rubbish must not fill the log either. */
  function noteRefusal(peer: Did | undefined, error: unknown): void {
    const { code, message } = toMeshError(error)
    if (peer !== undefined && code === 'ERR_SESSION_LOST') logger.info('a session is lost; the peer begins anew', { peer, message })
    if (!refusals.count(peer ?? keyring.did)) return
    // Noted but never waited for: what a stranger gets wrong must not slow what matters.
    audit.record(messageRefused({ did: keyring.did, from: peer, code, reason: message })).catch(() => undefined)
  }

  /** Rights first; nothing is written yet. */
  function admit(signed: Composed, lifetimeMsMax: number): ReturnType<typeof messageCodec.decode> {
    const { statement } = signed
    if (statement.to !== keyring.did) throw new MeshError('ERR_STATEMENT_AUDIENCE', 'the message is addressed to somebody else')
    const decision = options.decide(statement.from)
    if (!decision.allow) throw new MeshError(decision.code, decision.reason)
    const content = messageCodec.decode(statement.payload)
    checkTime(statement, { now: clock.now(), lifetimeMsMax: content.expectsReply ? liveLifetimeMsMax : lifetimeMsMax })
    if (content.expectsReply) agents.get(content.agent)
    const ofAgent = options.decide(statement.from, content.agent)
    if (!ofAgent.allow) throw new MeshError(ofAgent.code, ofAgent.reason)
    return content
  }
  function messageOf({ statement }: Composed, content: ReturnType<typeof messageCodec.decode>): Message {
    const { agent, encoding, priority, traceId, replyTo, token } = content
    const body = bodyText(encoding, content.body)
    validateBody(statement.type, encoding, body)
    return {
      id: hex(statement.id),
      from: statement.from,
      type: statement.type,
      agent,
      encoding,
      body,
      receivedAt: clock.now(),
      priority,
      ...(traceId === undefined ? {} : { traceId: hex(traceId) }),
      ...(replyTo === undefined ? {} : { replyTo: hex(replyTo) }),
      ...(token === undefined ? {} : { token: bodyText('bytes', token) }),
    }
  }
  /** Takes a message for good: replay mark, effect and audit entry in one durable batch. */
  async function keep(
    signed: Composed,
    content: ReturnType<typeof messageCodec.decode>,
    onFailed: (error: unknown) => void = () => undefined,
  ): Promise<Message> {
    const message = messageOf(signed, content)
    const { statement } = signed
    const claim = claimOf(signed, content, onFailed)
    let kept: ReturnType<Inbox['keep']> | undefined
    let taken: Taken | undefined
    try {
      const taker = content.expectsReply ? undefined : takers.get(statement.type)
      // No turn is given away before the batch is in line, so that messages of one content keep their order.
      taken = taker === undefined ? undefined : await taker(message)
      if (taken === undefined && !content.expectsReply) kept = inbox.keep(message)
      await audit.record(messageReceived(factsOf(signed)), [...claim.ops, ...(kept?.ops ?? []), ...(taken?.ops ?? []), ...writes.take()])
      taken?.done?.()
      if (kept !== undefined) options.onMessage(message)
    } catch (error) {
      onFailed(error)
      await claim.release()
      kept?.release()
      taken?.release?.()
      throw error
    }
    return message
  }
  function claimOf(signed: Composed, { order }: ReturnType<typeof messageCodec.decode>, onFailed: (error: unknown) => void): ReturnType<Sequences['claim']> {
    try {
      return order === undefined ? replay.claim(signed) : sequences.claim(options.keys.subject(signed.statement.from), order, signed.statement.expiresAt)
    } catch (error) {
      onFailed(error)
      throw error
    }
  }
  /** Somebody says that it has what we sent. */
  function takeReceipt(receipt: Composed): void {
    const { statement } = receipt
    if (statement.to !== keyring.did) throw new MeshError('ERR_STATEMENT_AUDIENCE', 'the receipt is addressed to somebody else')
    const item = outbox.find(hex(receiptCodec.decode(statement.payload).messageHash))
    if (item === undefined) return
    checkReturn(receipt, item.statement)
    delivery.acknowledge(item, receipt.ref)
  }

  async function handle(item: Composed, signal: AbortSignal, onFailed: (error: unknown) => void): Promise<Carried> {
    if (item.kind === 'receipt') {
      takeReceipt(item)
      return receiptFor(item, liveLifetimeMsMax)
    }
    const content = admit(item, sentLifetimeMsMax)
    const message = await keep(item, content, onFailed)
    return content.expectsReply ? await reply(message, item, signal) : receiptFor(item, liveLifetimeMsMax)
  }
  async function reply(message: Message, signed: Composed, signal: AbortSignal): Promise<Carried> {
    const data = message.encoding === 'json' ? parseJson(message.body) : message.body
    let body: string | undefined
    try {
      body = JSON.stringify((await calls.run(message, () => agents.get(message.agent).receive({ ...message, data }, { signal }), signal)) ?? null) as
        | string
        | undefined
    } catch (cause) {
      signal.throwIfAborted()
      if (cause instanceof MeshError) throw cause
      throw new MeshError('ERR_AGENT_FAILED', `agent ${message.agent} failed`, { cause })
    }
    signal.throwIfAborted()
    if (body === undefined) throw new MeshError('ERR_AGENT_FAILED', `agent ${message.agent} gave no plain data`)
    const payload = messageCodec.encode({
      ...plainMessage({ encoding: 'json', body: replyBytes(message.agent, body) }),
      priority: message.priority,
      traceId: message.traceId === undefined ? undefined : fromHex(message.traceId),
      replyTo: signed.statement.id,
    })
    return compose('message', message.from, 'reply', payload, [signed.hash], liveLifetimeMsMax)
  }

  /** An idle node erases what is past its time, too. */
  let stopSweeping = (): void => undefined
  function sweepLater(): void {
    stopSweeping = clock.after(hourMs, () => {
      writes.add(sessions.sweep())
      sweepLater()
    })
  }

  /** Opened once: its key is gone, so what could not be kept yet stays here until it comes again. */
  const held = new Map<string, Opened>()
  function openStored(sealed: Uint8Array): { readonly name: string; readonly opened: Opened } {
    const name = nameOf(sealed)
    const opened = held.get(name) ?? sessions.open(sealed, { lifetimeMsMax: sentLifetimeMsMax })
    if (held.size >= heldItemsMax && !held.has(name)) held.delete(held.keys().next().value ?? '')
    held.set(name, opened)
    writes.add(opened.ops)
    return { name, opened }
  }

  function enqueue(to: Did, message: Outgoing, ttlMs: number): { readonly statement: Carried } & ReturnType<typeof outbox.add> {
    const identity = options.keys.subject(to)
    const place = outbox.nextPlace(identity)
    try {
      const statement = composeMessage(to, message, ttlMs, { expectsReply: false, order: place.order })
      return { statement, ...outbox.add(identity, statement, { place, priority: message.priority ?? 5 }) }
    } catch (error) {
      place.done()
      throw error
    }
  }

  return {
    async send(to, message, { signal, timeoutMs = sendPatienceMs, ttlMs = sentLifetimeMsMax } = {}) {
      if (to === keyring.did) throw new MeshError('ERR_USAGE', 'that is this node itself', { hint: 'name another peer' })
      if (ttlMs > sentLifetimeMsMax) throw new MeshError('ERR_USAGE', `a message lives ${sentLifetimeMsMax} ms at most`)
      const { statement, item, ops } = enqueue(to, message, ttlMs)
      // Side by side: the receiver takes it once, however often it is tried after a crash.
      const [outcome] = await Promise.all([
        delivery.attempt(item, { signal: within(clock, timeoutMs, signal, 'the send') }),
        audit.record(messageSent(factsOf(statement)), [...ops, ...writes.take()]),
      ])
      return { id: hex(statement.statement.id), ...outcome }
    },
    async ask(to, message, { signal, timeoutMs = 30 * secondMs } = {}) {
      const ttlMs = Math.min(timeoutMs, liveLifetimeMsMax)
      const place = outbox.nextPlace(options.keys.subject(to))
      let statement: Carried
      let back: Composed
      try {
        statement = composeMessage(to, message, ttlMs, { expectsReply: true, order: place.order })
        const asking = courier.post(to, statement, { ttlMs, signal: within(clock, ttlMs, signal, `asking ${to}`) })
        // Side by side: asking is no privileged act, and its entry must be on disk before we say that it is done.
        const recording = audit.record(messageSent(factsOf(statement)), writes.take())
        back = (await Promise.all([asking, recording]))[0]
      } finally {
        place.done()
      }
      checkReturn(back, statement)
      if (back.kind !== 'message') throw new MeshError('ERR_PROTOCOL', 'a receipt where a reply was due')
      const { encoding, body } = messageCodec.decode(back.statement.payload)
      const text = bodyText(encoding, body)
      return { id: hex(statement.statement.id), reply: encoding === 'json' ? parseJson(text) : text }
    },
    async receive(peer, sealed, signals) {
      try {
        const opened = sessions.open(sealed, { lifetimeMsMax: sentLifetimeMsMax })
        writes.add(opened.ops)
        if (opened.from !== peer) throw new MeshError('ERR_STATEMENT_SENDER', 'the message was signed by somebody else than the peer that carries it')
        if (opened.items.length !== signals.length) {
          throw new MeshError('ERR_PROTOCOL', `${signals.length} statements were announced, ${opened.items.length} came`)
        }
        let stuck: MeshError | undefined
        return opened.items.map(async (item, index) => {
          try {
            if (item instanceof MeshError) throw item
            // What was sent after a message that could not be kept now must not overtake it.
            if (stuck !== undefined && item.kind === 'message') throw stuck
            return await handle(item, signals[index] ?? AbortSignal.abort(), (error) => {
              const failure = toMeshError(error)
              if (failure.code === 'ERR_OVERLOADED' || failure.code === 'ERR_STORE_FAILED') stuck ??= failure
            })
          } catch (error) {
            noteRefusal(peer, error)
            throw error
          }
        })
      } catch (error) {
        noteRefusal(peer, error)
        throw error
      }
    },
    sealAnswers: courier.sealAnswers,
    async receiveStored(sealed) {
      let outcome: 'taken' | 'known' | 'refused' = 'refused'
      let name = ''
      try {
        const stored = openStored(sealed)
        name = stored.name
        for (const item of stored.opened.items) {
          if (item instanceof MeshError) throw item
          if (item.kind === 'receipt') {
            takeReceipt(item)
            outcome = 'taken'
            continue
          }
          const content = admit(item, sentLifetimeMsMax)
          if (content.expectsReply) throw new MeshError('ERR_PROTOCOL', 'nobody is asked through a mailbox')
          try {
            await keep(item, content)
            outcome = 'taken'
          } catch (error) {
            // Its sender tries again because no receipt reached it.
            if (toMeshError(error).code !== 'ERR_REPLAYED') throw error
            if (outcome === 'refused') outcome = 'known'
          }
          const receipt = receiptFor(item, sentLifetimeMsMax)
          const { item: waiting, ops } = outbox.add(options.keys.subject(item.statement.from), receipt, { priority: 5 })
          await store.durable(ops)
          delivery.kick(waiting.to)
        }
      } catch (cause) {
        const error = toMeshError(cause)
        if (['ERR_OVERLOADED', 'ERR_STORE_FAILED', 'ERR_STORE_CLOSED', 'ERR_STOPPED', 'ERR_INTERNAL'].includes(error.code)) throw error
        if (outcome !== 'taken' && error.code === 'ERR_REPLAYED') outcome = 'known'
        else {
          logger.info('an item of a mailbox was refused', { code: error.code, message: error.message })
          noteRefusal(undefined, error)
        }
      }
      held.delete(name)
      return outcome
    },
    outbox: outbox.list,
    kick: (peer) => delivery.kick(options.keys.subject(peer)),
    start() {
      delivery.start()
      sweepLater()
    },
    async stop() {
      delivery.stop()
      stopSweeping()
      await writes.flush()
    },
  }
}

/** Name of an item of a mailbox: what it ends with is its authentication tag. */
const nameOf = (sealed: Uint8Array): string => hex(sealed.subarray(Math.max(0, sealed.length - 32)))

function replyBytes(agent: string, body: string): Uint8Array {
  try {
    return bodyBytes('json', body)
  } catch (cause) {
    throw new MeshError('ERR_WIRE_TOO_LARGE', `the reply of agent ${agent} is over ${bodyBytesMax} bytes`, { cause })
  }
}

function idBytes(text: string, what: string): Uint8Array {
  if (!/^[0-9a-f]{32}$/i.test(text)) throw new MeshError('ERR_USAGE', `a ${what} has 32 hexadecimal digits`)
  return fromHex(text)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MeshError('ERR_WIRE_MALFORMED', 'the body is no JSON', { cause })
  }
}
