import { z } from 'zod'
import type { Message, Sent, Taker } from '../agents/index.ts'
import { type Clock, dayMs, type Did, MeshError } from '../base/index.ts'
import { parseJsonText } from '../wire/index.ts'
import { type Attestation, type Level, scopeCovers, TrustLevel } from '../trust/index.ts'
import type { TrustDoors } from './trust.ts'
import { decodeTicket, encodeTicket, isTicket } from './ticket.ts'

/** What an introducer says to each of the two. Source: join/v1 section 13. */
export const introductionType = 'introduction'
export const introductionBytesMax = 4_096
export const introductionLifetimeMsDefault = 30 * dayMs

const bodyShape = z.strictObject({
  /** Who to dial and where. */
  ticket: z.string().max(1_024).refine(isTicket, 'must be a ticket'),
  level: z.int().min(TrustLevel.BASIC).max(TrustLevel.TRUSTED),
  scopes: z.array(z.string().max(64)).min(1).max(8),
  note: z.string().max(512).optional(),
})

export interface IntroduceOptions {
  /** BASIC unless given; at most TRUSTED. */
  readonly level?: Level | undefined
  readonly scopes?: readonly string[] | undefined
  readonly lifetimeMs?: number | undefined
  /** A word to both. */
  readonly note?: string | undefined
}

/** One of the two: what is said about it, and whether the message to it got through. */
export interface Introduced {
  readonly did: Did
  /** The statement made for this; undefined where one's own word was as good before. */
  readonly statement: string | undefined
  readonly told: Sent['status']
}

export interface IntroduceParts {
  readonly clock: Clock
  readonly self: Did
  readonly trust: Pick<TrustDoors, 'attest' | 'show'>
  subject(key: Did): Did
  /** The key to write down as somebody's, and where it was last seen. */
  placeOf(did: Did): { readonly key: Did; readonly addresses: readonly string[] }
  send(to: Did, message: { readonly type: string; readonly encoding: 'json'; readonly body: string }): Promise<Pick<Sent, 'status'>>
}

/** Vouches for each of two to the other, without letting either introduce anybody in turn, and tells both where the other is. Source: join/v1 section 13. */
export async function introduce(
  { clock, self, trust, subject, placeOf, send }: IntroduceParts,
  pair: readonly [Did, Did],
  { level = TrustLevel.BASIC, scopes = ['/task/run'], lifetimeMs = introductionLifetimeMsDefault, note }: IntroduceOptions = {},
): Promise<readonly Introduced[]> {
  const [one, other] = pair.map(subject) as [Did, Did]
  if (one === other || one === self || other === self) {
    throw new MeshError('ERR_USAGE', 'an introduction takes two others', { hint: '`kindmesh attest` or `invite` is for you and one other' })
  }
  if (level < TrustLevel.BASIC || level > TrustLevel.TRUSTED) throw new MeshError('ERR_USAGE', 'an introduction is basic, verified or trusted')
  const ownWords = (did: Did): readonly Attestation[] =>
    trust.show().filter((said) => said.issuer === self && said.subject === did && said.expiresAt > clock.now())
  const against = [one, other].find((did) => ownWords(did).some((said) => said.level < TrustLevel.BASIC))
  if (against !== undefined) throw new MeshError('ERR_USAGE', `you speak against ${against} yourself`, { hint: 'withdraw that first: `kindmesh revoke`' })

  const introduced: Introduced[] = []
  for (const did of [one, other]) {
    // A new statement would take the place of a better one.
    const isSaid = scopes.every((scope) => ownWords(did).some((said) => said.level >= level && said.scopes.some((known) => scopeCovers(known, scope))))
    const statement = isSaid ? undefined : (await trust.attest({ subject: did, level, scopes, depth: 0, lifetimeMs })).id
    introduced.push({ did, statement, told: 'queued' })
  }
  return await Promise.all(
    introduced.map(async (entry, index) => {
      const met = index === 0 ? other : one
      const { key, addresses } = placeOf(met)
      const body = { ticket: encodeTicket({ did: met, key, addresses }), level, scopes, ...(note === undefined ? {} : { note }) }
      const { status } = await send(entry.did, { type: introductionType, encoding: 'json', body: JSON.stringify(body) })
      return { ...entry, told: status }
    }),
  )
}

export interface IntroductionReaderParts {
  /** Whether this sender's introductions are worth remembering. */
  isKnown(from: Did): boolean
  learn(key: Did, addresses: readonly string[]): Promise<void>
  keep(message: Message): { readonly ops: Awaited<ReturnType<Taker>>['ops']; release(): void }
  onIntroduced(fact: { readonly id: string; readonly from: Did; readonly did: Did | undefined }): void
}

/** Introductions go to the inbox like every message; of somebody known the addresses are learnt too. Trust comes from statements alone. */
export const introductionTaker =
  ({ isKnown, learn, keep, onIntroduced }: IntroductionReaderParts): Taker =>
  async (message) => {
    const parsed = bodyShape.safeParse(parseJsonText(message.body, introductionBytesMax))
    if (!parsed.success) {
      throw new MeshError('ERR_JSON_INVALID', `no introduction: ${parsed.error.issues[0]?.path.join('.') ?? ''} ${parsed.error.issues[0]?.message ?? ''}`)
    }
    const { did, key, addresses } = decodeTicket(parsed.data.ticket)
    const { ops, release } = keep(message)
    const isHeard = isKnown(message.from)
    return {
      ops,
      release,
      done() {
        if (isHeard && addresses.length > 0) void learn(key, addresses).catch(() => undefined)
        onIntroduced({ id: message.id, from: message.from, did: isHeard ? did : undefined })
      },
    }
  }
