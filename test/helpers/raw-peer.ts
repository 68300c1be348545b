import { createSeededRandom, type Did, realClock, realRandom, silentLogger, utf8 } from '../../src/base/index.ts'
import { openBundle, openPrekeys, type PrekeyBundle, type PrekeyRing, sealBox } from '../../src/envelope/index.ts'
import { createKeyring, type Keyring, type Signed, signStatement, type StatementKind } from '../../src/identity/index.ts'
import { createLibp2pHost, type Host } from '../../src/net/index.ts'
import { recordRules } from '../../src/node/index.ts'
import { type Answer, type Ask, createLink, creditBytes, type Hello, klpFrameBytesMax, klpProtocol, type Link } from '../../src/protocols/klp/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { decode, encode } from '../../src/wire/index.ts'
import { nobodyAsks } from './answering.ts'

export const keyringOf = (seed: number): Keyring => {
  const random = createSeededRandom(seed)
  return createKeyring({ seed: random.bytes(32), rootKey: random.bytes(32) }, random)
}

export interface MessageFields {
  readonly to: Did
  readonly body?: string
  readonly agent?: string
  readonly expectsReply?: boolean
  readonly issuedAt?: number
  readonly lifetimeMs?: number
}

/** A payload as `messageCodec` writes it, made by hand. */
export const messagePayload = ({ body = 'hi', agent = '', expectsReply = false }: Partial<MessageFields>): Uint8Array =>
  encode([1, agent, expectsReply, 5, null, null, null, [], null, 'text', utf8(body)])

/** A signed message with any fields an attacker likes. */
export function signMessage(keyring: Keyring, fields: MessageFields, kind: StatementKind = 'message'): Signed {
  const { to, issuedAt = realClock.now(), lifetimeMs = 60_000 } = fields
  return signStatement(kind, { to, type: 'text', payload: messagePayload(fields), issuedAt, expiresAt: issuedAt + lifetimeMs }, { keyring, random: realRandom })
}

/** A lone signed statement as the content of a seal; what is no signed statement stays what it is. */
export function contentOf(signed: Uint8Array): Uint8Array {
  const [signature, layer] = readPair(signed) ?? []
  if (!(signature instanceof Uint8Array) || typeof layer !== 'object' || layer === null) return signed
  const named = Object.entries(layer).find(([key]) => key !== 'h')
  const [name = '', body] = named ?? []
  return encode([1, null, signature, [[/^klp\/(.*)@1$/.exec(name)?.[1] ?? name, body as Uint8Array]]])
}
function readPair(bytes: Uint8Array): readonly unknown[] | undefined {
  try {
    return decode(bytes, 1 << 20) as readonly unknown[]
  } catch {
    return undefined
  }
}

/** One sealed statement over a link. */
export const request = (link: Link, sealed: Uint8Array, ask: Ask = {}): Promise<Answer> =>
  link.post(sealed, [ask])[0] ?? Promise.reject(new Error('nothing was posted'))

/** Somebody on the real network who holds its own keys and keeps to no rule but those the test gives it. */
export interface RawPeer extends AsyncDisposable {
  readonly keyring: Keyring
  readonly host: Host
  readonly prekeys: PrekeyRing
  hello(): Promise<Hello>
  /** A fresh KLP link. */
  link(addresses: readonly string[]): Promise<Link>
  bundleOf(link: Link): PrekeyBundle
  seal(signed: Pick<Signed, 'bytes'>, link: Link): Uint8Array
}

/** A hello that wants nothing and shows nothing but its prekeys. */
export const plainHello = async (prekeys: PrekeyRing): Promise<Hello> => ({
  versions: [1],
  wants: [],
  manifest: { capabilities: ['message'], roles: [], ttlMs: 3_600_000, presence: 'online' },
  credit: creditBytes,
  bundle: (await prekeys.current()).bundle.bytes,
  evidence: [],
})

export async function createRawPeer(seed: number): Promise<RawPeer> {
  const keyring = keyringOf(seed)
  const store = createMemoryStore()
  const prekeys = await openPrekeys({ store: store.sub('prekeys'), keyring, clock: realClock, random: realRandom })
  const host = await createLibp2pHost({
    signer: keyring,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: [],
    store: store.sub('dht'),
    clock: realClock,
    random: realRandom,
    logger: silentLogger,
    rules: recordRules(realClock),
  })
  const hello = (): Promise<Hello> => plainHello(prekeys)
  const bundleOf = (link: Link): PrekeyBundle => openBundle(link.hello.bundle, realClock.now())
  return {
    keyring,
    host,
    prekeys,
    hello,
    async link(addresses) {
      const { did } = await host.dial({ addresses })
      const stream = await host.open(did, klpProtocol, { frameBytesMax: klpFrameBytesMax })
      return await createLink({
        stream,
        clock: realClock,
        hello,
        judge: async ({ wants }) => ({
          answers: wants.map(({ name }) => ({ name, answer: 'granted', reason: '', alternative: '', limits: [] })),
          validUntil: realClock.now() + 60_000,
        }),
        ...nobodyAsks,
      })
    },
    bundleOf,
    seal: ({ bytes }, link) => sealBox(contentOf(bytes), { bundle: bundleOf(link), now: realClock.now(), random: realRandom }),
    [Symbol.asyncDispose]: () => host.stop(),
  }
}

/** The code an attempt fails with, or `ok`. */
export const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'ok',
    (error: unknown) => String((error as { readonly code?: unknown }).code),
  )
