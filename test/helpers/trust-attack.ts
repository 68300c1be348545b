import { dayMs, type Did, type Random, randomInt } from '../../src/base/index.ts'
import type { Attestation, StatementLevel } from '../../src/trust/index.ts'
import { did, says } from './trust-graphs.ts'

/** Whom an attacker owns and what he has them say, at some time. */
export interface Attack {
  readonly owned: readonly Did[]
  readonly honest: readonly Did[]
  readonly at: number
  readonly random: Random
}

export const sybils: readonly Did[] = Array.from({ length: 2_000 }, (_, at) => did(`sybil${at}`))
const name = (who: Did): string => who.slice(did('').length)

/** Full trust in everything, naming others included. */
const all = { depth: 4, scopes: ['/', '/authority'] } as const

const speak =
  (at: number) =>
  (issuer: Did, subject: Did, level: StatementLevel, said: Partial<Attestation> = {}): Attestation => ({
    ...says(name(issuer), name(subject), level, { issuedAt: at, firstSeenAt: at, expiresAt: at + dayMs, ...all, ...said }),
    issuer,
    subject,
  })

/** Everybody owned names as many sybils as his quota lets count, before all that its owner ever said, and some more. */
const byOwned = ({ owned, at }: Attack): Attestation[] =>
  owned.flatMap((one) => sybils.slice(0, 80).map((sybil, place) => speak(at)(one, sybil, 4, { firstSeenAt: place < 60 ? 0 : at })))

/** Shapes in which sybils vouch for each other. */
export const shapes = {
  star: (attack: Attack) => [
    ...byOwned(attack),
    ...sybils.slice(1).flatMap((ray) => [speak(attack.at)(ray, sybils[0] as Did, 4), speak(attack.at)(sybils[0] as Did, ray, 4)]),
  ],
  cycle: (attack: Attack) => [
    ...byOwned(attack),
    ...sybils.flatMap((one, place) => [1, 2, 3].map((step) => speak(attack.at)(one, sybils[(place + step) % sybils.length] as Did, 4))),
  ],
  crowds: (attack: Attack) => [
    ...byOwned(attack),
    ...sybils.flatMap((one, place) => {
      const crowd = place - (place % 8)
      return sybils.slice(crowd, crowd + 8).flatMap((other) => (other === one ? [] : [speak(attack.at)(one, other, 3)]))
    }),
  ],
  /** Many statements of one about one: other scopes, other levels, newer and older. */
  parallel: (attack: Attack) => [
    ...byOwned(attack),
    ...[...attack.owned, ...sybils.slice(0, 200)].flatMap((one) =>
      sybils
        .slice(0, 20)
        .flatMap((sybil) =>
          one === sybil
            ? []
            : [['/task'], ['/task/run'], ['/'], ['/task', '/authority/task']].map((scopes, place) =>
                speak(attack.at)(one, sybil, place === 2 ? 3 : 4, { scopes, seq: place + 2 }),
              ),
        ),
    ),
  ],
  /** He praises honest people, his sybils distrust and caution them, and the owned distrust each other's doubters. */
  mixed: (attack: Attack) => [
    ...byOwned(attack),
    ...sybils.flatMap((one, place) => {
      const other = attack.honest[randomInt(attack.random, attack.honest.length)] as Did
      const level = ([-1, 0, 4, 4] as const)[place % 4] as StatementLevel
      return [speak(attack.at)(one, other, level), speak(attack.at)(one, sybils[randomInt(attack.random, sybils.length)] as Did, 4)].filter(
        ({ issuer, subject }) => issuer !== subject,
      )
    }),
  ],
} satisfies Readonly<Record<string, (attack: Attack) => Attestation[]>>

/** What sybils without anybody's word say against honest people. */
export const slander = ({ honest, at, random }: Pick<Attack, 'honest' | 'at' | 'random'>): Attestation[] =>
  sybils.map((sybil, place) => speak(at)(sybil, honest[randomInt(random, honest.length)] as Did, place % 2 === 0 ? -1 : 0))
