import { equal, hex, MeshError } from '../../base/index.ts'
import { comparePlaces, firstPlace, type Place, nameBytes, type Sequence } from './sequence.ts'

/** Parts into which a range is cut in which two differ. Source: trust/v1 section 5.8. */
export const syncFanout = 16
/** In a range with at most so many statements they are named instead of cut up. */
export const syncNamesMax = 32
/** Ranges with a fingerprint in one question: the answer to so many always fits a frame. */
export const syncRangesMax = 40

/** What is said of the statements from the end of the range before up to `until`: nothing, their fingerprint, or all their names side by side. */
export interface Range {
  readonly until: Place
  readonly what: 'skip' | 'fingerprint' | 'names'
  readonly bytes: Uint8Array
}

const nothing = new Uint8Array()
const skip = (until: Place): Range => ({ until, what: 'skip', bytes: nothing })

/** Neighbouring ranges of which nothing is said become one; what is behind the last word is left out. */
function tidied(ranges: readonly Range[]): readonly Range[] {
  return ranges.filter(({ what }, index) => what !== 'skip' || (ranges[index + 1]?.what ?? 'skip') !== 'skip')
}

/** The range `[from, to)` of `own`, in parts. */
function cut(own: Sequence, from: number, to: number, until: Place): readonly Range[] {
  const parts = Math.min(syncFanout, to - from)
  const ends = Array.from({ length: parts }, (_, part) => from + Math.floor(((part + 1) * (to - from)) / parts))
  return ends.map((end, part) => ({
    until: end === to ? until : own.placeOf(end),
    what: 'fingerprint',
    bytes: own.fingerprint(ends[part - 1] ?? from, end),
  }))
}

/** Where the ranges of a message lie in `own`. @throws ERR_PROTOCOL unless they rise */
function* located(own: Sequence, ranges: readonly Range[]): Generator<{ readonly range: Range; readonly from: number; readonly to: number }> {
  let [before, from] = [firstPlace, 0]
  for (const range of ranges) {
    if (comparePlaces(before, range.until) >= 0) throw new MeshError('ERR_PROTOCOL', 'ranges of statements that do not rise')
    const to = own.find(range.until)
    yield { range, from, to }
    before = range.until
    from = to
  }
}

/** The holder's answer: where the two differ it names what it has, or cuts further. @throws ERR_PROTOCOL */
export function answerRanges(own: Sequence, asked: readonly Range[], onHashed: (ids: number) => void = () => undefined): readonly Range[] {
  const answer: Range[] = []
  for (const { range, from, to } of located(own, asked)) {
    const { until, what, bytes } = range
    if (what === 'names') throw new MeshError('ERR_PROTOCOL', 'a question names statements')
    if (what === 'fingerprint') onHashed(2 * (to - from))
    if (what === 'skip' || equal(bytes, own.fingerprint(from, to))) answer.push(skip(until))
    else if (to - from > syncNamesMax) answer.push(...cut(own, from, to, until))
    else {
      const names = new Uint8Array((to - from) * nameBytes)
      for (let index = from; index < to; index++) names.set(own.nameAt(index), (index - from) * nameBytes)
      answer.push({ until, what: 'names', bytes: names })
    }
  }
  return tidied(answer)
}

/** The first question: everything, in one fingerprint. */
export const firstQuestion = (own: Sequence, until: Place): readonly Range[] => [{ until, what: 'fingerprint', bytes: own.fingerprint(0, own.size) }]

/** Throws unless what an answer says lies within what was asked, each asked range in at most `syncFanout` parts: a holder does not make the asker's work grow. */
function checkWithin(asked: readonly Range[], answer: readonly Range[]): void {
  let [at, parts] = [0, 0]
  let before = firstPlace
  for (const { until, what } of answer) {
    for (; at < asked.length && comparePlaces((asked[at] as Range).until, before) <= 0; at++) parts = 0
    const range = asked[at]
    const start = asked[at - 1]?.until ?? firstPlace
    const isWithin = range?.what === 'fingerprint' && comparePlaces(start, before) <= 0 && comparePlaces(until, range.until) <= 0
    if (what !== 'skip' && (!isWithin || ++parts > syncFanout)) throw new MeshError('ERR_PROTOCOL', 'an answer about what was not asked')
    before = until
  }
}

/** What the asker makes of an answer: names it lacks, in hex and in order, and what to ask next. @throws ERR_PROTOCOL */
export function readAnswer(
  own: Sequence,
  asked: readonly Range[],
  answer: readonly Range[],
): { readonly missing: readonly string[]; readonly next: readonly Range[] } {
  checkWithin(asked, answer)
  const missing: string[] = []
  const next: Range[] = []
  for (const { range, from, to } of located(own, answer)) {
    const { until, what, bytes } = range
    if (what === 'names') {
      const held = new Set(Array.from({ length: to - from }, (_, index) => hex(own.nameAt(from + index))))
      for (let at = 0; at < bytes.length; at += nameBytes) {
        const name = hex(bytes.subarray(at, at + nameBytes))
        if (!held.has(name)) missing.push(name)
      }
    }
    const mine = own.fingerprint(from, to)
    if (what !== 'fingerprint' || equal(bytes, mine)) next.push(skip(until))
    else if (to - from > syncNamesMax) next.push(...cut(own, from, to, until))
    else next.push({ until, what, bytes: mine })
  }
  return { missing, next: tidied(next) }
}

/** A long question as several, each from the beginning. */
export function inFrames(ranges: readonly Range[]): readonly (readonly Range[])[] {
  const frames: Range[][] = []
  let [frame, words]: [Range[], number] = [[], 0]
  let before: Place | undefined
  for (const range of ranges) {
    if (words === syncRangesMax) {
      frames.push(frame)
      frame = before === undefined || range.what === 'skip' ? [] : [skip(before)]
      words = 0
    }
    frame.push(range)
    if (range.what !== 'skip') words++
    before = range.until
  }
  return words > 0 ? [...frames, frame] : frames
}
