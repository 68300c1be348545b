import { compare, concat, randomInt } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { syncAnswerCodec, type SyncQuestion, syncQuestionCodec } from '../../src/protocols/att-sync/frames.ts'
import { answerRanges, firstQuestion, type Range, readAnswer } from '../../src/protocols/att-sync/ranges.ts'
import { createSequence, lastPlace } from '../../src/protocols/att-sync/sequence.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
import { anna, ben, chance, cleo, now, type Vector, type Vectors } from './world.ts'

interface Entry {
  readonly issuedAt: number
  readonly id: Uint8Array
}

/** So many statements within `spanMs`, of which only time and id are looked at. */
function entries(count: number, seed: number, spanMs: number): readonly Entry[] {
  const random = chance(seed)
  return Array.from({ length: count }, () => ({ issuedAt: now - randomInt(random, spanMs), id: random.bytes(32) })).toSorted(
    (a, b) => a.issuedAt - b.issuedAt || compare(a.id, b.id),
  )
}
const tags = concat(...[anna, ben, cleo].map(({ publicKey }) => publicKey.subarray(0, 8)).toSorted(compare))
const scope = sha256(tags).slice(0, 16)
const plain: SyncQuestion = { scope, tags, liveAt: now, headsAfter: undefined, ranges: [], wants: [] }
const listOf = (held: readonly Entry[]): readonly unknown[] => held.map(({ issuedAt, id }) => [issuedAt, id])

function answered(comment: string, spec: string, held: readonly Entry[], ranges: readonly Range[]): Vector {
  const answer = syncAnswerCodec.encode({ known: true, more: false, ranges: answerRanges(createSequence(held), ranges), items: [] })
  return { comment, spec, expect: 'ok', kind: 'att-sync', held: listOf(held), question: syncQuestionCodec.encode({ ...plain, ranges }), answer }
}

/** Comparing statements, trust/v1 section 5.8. */
export function attSyncVectors(): Vectors {
  const many = entries(100, 1, 1_000_000)
  const few = many.slice(0, 20)
  const crowded = entries(60, 2, 2)
  const lacking = createSequence(many.filter((_, index) => index !== 70))
  const first = firstQuestion(lacking, lastPlace)
  const { next } = readAnswer(lacking, first, answerRanges(createSequence(many), first))
  const fields = decode(syncQuestionCodec.encode({ ...plain, ranges: firstQuestion(createSequence(few), lastPlace) }), 65_536) as readonly Plain[]
  const refused = (comment: string, spec: string, expect: string, changed: readonly (readonly [number, Plain])[]): Vector => ({
    comment,
    spec,
    expect,
    kind: 'att-sync',
    held: listOf(few),
    question: encode(changed.reduce<readonly Plain[]>((all, [at, value]) => all.with(at, value), fields)),
    answer: new Uint8Array(),
  })
  const print = new Uint8Array(16)
  const empty = new Uint8Array()
  return {
    'sync-equal': answered('both hold the same: nothing is said', '5.8.4', many, firstQuestion(createSequence(many), lastPlace)),
    'sync-names': answered('few are held: they are named', '5.8.4', few, firstQuestion(createSequence(few.slice(1)), lastPlace)),
    'sync-nothing-held': answered('nothing is held: no names', '5.8.4', [], firstQuestion(createSequence(few), lastPlace)),
    'sync-cut': answered('many are held: 16 ranges with their fingerprints', '5.8.4', many, first),
    'sync-next': answered('the one range of these that differs', '5.8.4', many, next),
    'sync-crowded': answered('many signed in one millisecond: places have prefixes', '5.8.2', crowded, firstQuestion(createSequence([]), lastPlace)),
    'sync-falling': refused('the second range ends where the first does', '5.8.2', 'ERR_PROTOCOL', [
      [
        4,
        [
          [now, empty, 0, empty],
          [0, empty, 1, print],
        ],
      ],
    ]),
    'sync-short-fingerprint': refused('a fingerprint of 15 bytes', '5.8.3', 'ERR_WIRE_MALFORMED', [[4, [[now, empty, 1, print.slice(1)]]]]),
    'sync-full-skip': refused('nothing is said, in 16 bytes', '5.8.2', 'ERR_WIRE_MALFORMED', [[4, [[now, empty, 0, print]]]]),
    'sync-named-in-question': refused('a question that names statements', '5.8.4', 'ERR_PROTOCOL', [[4, [[now, empty, 2, print]]]]),
    'sync-late': refused('times that add up to more than 2^53-1', '5.8.2', 'ERR_WIRE_MALFORMED', [
      [
        4,
        [
          [Number.MAX_SAFE_INTEGER, empty, 0, empty],
          [1, empty, 1, print],
        ],
      ],
    ]),
    'sync-tags-falling': refused('tags that do not rise', '5.8.1', 'ERR_WIRE_MALFORMED', [[1, concat(tags.subarray(8), tags.subarray(0, 8))]]),
    'sync-other-scope': refused('tags called by another name', '5.8.1', 'ERR_WIRE_MALFORMED', [[0, print]]),
    'sync-crowd-wanted': refused('129 statements wanted', '5.8', 'ERR_WIRE_MALFORMED', [[5, Array.from({ length: 129 }, () => print)]]),
  }
}
