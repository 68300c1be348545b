import fc from 'fast-check'
import { dayMs, type Did } from '../../src/base/index.ts'
import type { Attestation, Experience, Revocation, StatementLevel } from '../../src/trust/index.ts'

export const now = Date.UTC(2026, 0, 1)
export const scope = '/task/run'
export const did = (name: string | number): Did => `did:key:z6Mk${name}` as Did
export const root = did('root')

type Said = Partial<Omit<Attestation, 'issuer' | 'subject' | 'level'>>

/** A live statement: `says('anna', 'ben', 2)`. Its id is made from what it says unless given. */
export function says(issuer: string, subject: string, level: StatementLevel, said: Said = {}): Attestation {
  const seq = said.seq ?? 1
  const scopes = said.scopes ?? ['/task']
  return {
    id: `${issuer}>${subject}#${seq}${scopes.join()}=${level}`,
    issuer: did(issuer),
    subject: did(subject),
    level,
    scopes,
    depth: 3,
    issuedAt: now - dayMs,
    expiresAt: now + 300 * dayMs,
    seq,
    firstSeenAt: now - dayMs,
    ...said,
  }
}

export interface World {
  readonly attestations: readonly Attestation[]
  readonly revocations: readonly Revocation[]
  readonly headAges: ReadonlyMap<Did, number> | undefined
  readonly experience: readonly Experience[]
  readonly warrants: readonly Did[]
  /** Who of them answers to another of them; the rest answer for themselves. */
  readonly controllers: ReadonlyMap<Did, Did>
}

const nodeNames = ['root', 'a', 'b', 'c', 'd', 'e', 'f', 'g']

/** What random statements are like. `lively` graphs are dense chains of trust; `odd` ones have every clause of the rule in them. */
export interface Mood {
  readonly isSigned: boolean
  readonly kind: 'lively' | 'odd'
}

const weighted = <T>(...choices: readonly (readonly [number, readonly T[]])[]): fc.Arbitrary<T> =>
  fc.oneof(...choices.map(([weight, values]) => ({ weight, arbitrary: fc.constantFrom(...values) })))

export function statement({ isSigned, kind }: Mood): fc.Arbitrary<Attestation> {
  const isOdd = kind === 'odd'
  const odd = (weight: number): number => (isOdd ? weight : 0)
  return fc
    .record({
      issuer: weighted([isOdd ? 3 : 2, ['root']], [9, nodeNames]),
      subject: weighted([1, nodeNames]),
      level: weighted<StatementLevel>([isOdd ? 4 : 1, [1, 2]], [isOdd ? 4 : 20, [3]], [isOdd ? 3 : 1, [4]], [isSigned ? (isOdd ? 2 : 1) : 0, [-1, 0]]),
      scopes: weighted(
        [16, [['/'], ['/task'], ['/task/run']]],
        [
          isOdd ? 6 : 3,
          [
            ['/', '/authority'],
            ['/', 'authority/*'],
          ],
        ],
        [odd(5), [['/taskx'], ['/task', '/authority/task'], ['/file', '/task/run'], ['/task/run/deep'], ['/authority/file']]],
      ),
      depth: weighted([isOdd ? 4 : 1, [0, 1]], [4, [2, 3, 4]]),
      age: weighted([6, [1]], [odd(1), [179, 181, 300, 366]]),
      life: weighted([8, [370, 390]], [odd(1), [0.5, 30]]),
      seq: weighted([1, isOdd ? [1, 2, 3] : [1, 2, 3, 4, 5, 6, 7, 8]]),
      seen: weighted([1, [0, 1, 2, 20, 40]]),
    })
    .map(({ issuer, subject, level, scopes, depth, age, life, seq, seen }) => ({
      ...says(issuer, subject, level, {
        scopes,
        depth,
        seq,
        issuedAt: now - age * dayMs,
        expiresAt: now + (life - age) * dayMs,
        firstSeenAt: now - seen * dayMs,
      }),
      id: `${issuer}>${subject}#${seq}${scopes.join()}=${level}/${depth}/${age}/${life}`,
    }))
}

const statements = (mood: Mood): fc.Arbitrary<readonly Attestation[]> =>
  fc.array(statement(mood), mood.kind === 'odd' ? { minLength: 1, maxLength: 36, size: 'max' } : { minLength: 24, maxLength: 64, size: 'max' })

const someone = fc.constantFrom(...nodeNames.map(did))

/** Up to three of them answer to another. */
export const aliases: fc.Arbitrary<ReadonlyMap<Did, Did>> = fc.oneof(
  { arbitrary: fc.constant(new Map<Did, Did>()), weight: 2 },
  { arbitrary: fc.array(fc.tuple(someone, someone), { maxLength: 3 }).map((pairs) => new Map(pairs)), weight: 1 },
)

/** Small graphs with everything in them: distrust, revocations, old heads, several statements of one issuer. */
export const world: fc.Arbitrary<World> = fc
  .oneof(statements({ isSigned: true, kind: 'odd' }), statements({ isSigned: true, kind: 'lively' }))
  .chain((attestations) =>
    fc.record({
      attestations: fc.constant(attestations),
      revocations: fc.array(
        fc
          .record({
            which: fc.nat(attestations.length - 1),
            kind: fc.oneof({ arbitrary: fc.constant('soft' as const), weight: 4 }, { arbitrary: fc.constant('hard' as const), weight: 1 }),
            day: fc.constantFrom(-5, -1, 0, 5),
          })
          .map(({ which, kind, day }) => {
            const revoked = attestations[which] as Attestation
            return { issuer: revoked.issuer, attestationId: revoked.id, kind, at: now + day * dayMs }
          }),
        { maxLength: 2 },
      ),
      headAges: fc.option(
        fc
          .dictionary(
            fc.constantFrom(...nodeNames.map(did)),
            fc.constantFrom(0, 0.02, 0.5, 1.5, 3, 8).map((day) => day * dayMs),
          )
          .map((ages) => new Map(Object.entries(ages) as [Did, number][])),
        { nil: undefined, freq: 4 },
      ),
      experience: fc.oneof(
        { arbitrary: fc.constant([]), weight: 3 },
        {
          arbitrary: fc.array(fc.record({ subject: someone, successes: fc.constantFrom(0, 1, 2, 8, 30), failures: fc.constantFrom(0, 1, 3, 6) }), {
            maxLength: 2,
          }),
          weight: 1,
        },
      ),
      warrants: fc.oneof({ arbitrary: fc.constant([]), weight: 6 }, { arbitrary: fc.array(someone, { maxLength: 2 }), weight: 1 }),
      controllers: aliases,
    }),
  )

/** Graphs without negative words, with one statement per issuer and subject. */
export const positiveWorld: fc.Arbitrary<readonly Attestation[]> = fc
  .oneof(statements({ isSigned: false, kind: 'odd' }), statements({ isSigned: false, kind: 'lively' }))
  .map(oneVoiceEach)

function oneVoiceEach(attestations: readonly Attestation[]): Attestation[] {
  const kept = new Map<string, Attestation>()
  for (const a of attestations) {
    const key = `${a.issuer}>${a.subject}`
    if (!kept.has(key)) kept.set(key, a)
  }
  return [...kept.values()]
}

export const headAgeOf = (headAges: World['headAges']): ((issuer: Did) => number | undefined) | undefined =>
  headAges === undefined ? undefined : (issuer) => headAges.get(issuer)

export const everybody = nodeNames.map(did)

export const controllerOfIn =
  (controllers: World['controllers']): ((did: Did) => Did) =>
  (one) =>
    controllers.get(one) ?? one
