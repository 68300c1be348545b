import { type Did, MeshError } from '../base/index.ts'
import type { Held } from './book-record.ts'
import { isWarning } from './book-shelf.ts'
import type { BookState } from './book-state.ts'
import type { TrustStatement } from './statements.ts'

/** Statements kept of one issuer; of its revocations as many again. Source: trust/v1 section 6. */
export const statementsPerIssuerMax = 4_096
/** Statements about one subject kept by issuers who are not certified. */
export const statementsPerSubjectMax = 64
/** Statements about this node itself kept, whoever made them. */
export const statementsAboutSelfMax = 1_024
/** Of these one issuer who is not certified has so many. */
export const statementsPerStrangerMax = 4
/** Statements kept in all. */
export const statementsMax = 200_000
/** Dropped at a time when all places are taken. */
const dropMax = 2_048

/** What has to go so that a statement has a place: those of issuers who are not certified go first. */
export interface BookRoom {
  /** @throws ERR_OVERLOADED when nothing may go */
  make(statement: TrustStatement): readonly Held[]
}

export function createBookRoom({ own, index, isCertified }: Pick<BookState, 'own' | 'index' | 'isCertified'>, { most = statementsMax } = {}): BookRoom {
  /** With how many statements nothing was found that may go: not looked for again until there are others. */
  let nothingAt = -1

  const overloaded = (why: string): MeshError => new MeshError('ERR_OVERLOADED', why)
  const mayGo = (held: Held): boolean => {
    const { issuer, subject } = index.partiesOf(held)
    return !isWarning(held) && issuer !== own && subject !== own && !isCertified(issuer)
  }
  function makeAny(): readonly Held[] {
    const go: Held[] = []
    if (nothingAt !== index.size) {
      for (const held of index.order.range(0, Infinity)) {
        if (mayGo(held)) go.push(held)
        if (go.length === dropMax) break
      }
    }
    if (go.length > 0) return go
    nothingAt = index.size
    throw overloaded(`${most} statements are kept`)
  }
  function makeAbout(subject: Did): readonly Held[] {
    const least = [...index.about(subject)].find((held) => !isWarning(held) && !isCertified(index.partiesOf(held).issuer))
    return least === undefined ? [] : [least]
  }
  return {
    make(statement) {
      const { from, to } = statement.signed.statement
      const { issuer, subject } = index.parties(from, to)
      const shelf = index.shelf(issuer)
      const isRevocation = statement.kind === 'revocation'
      if ((shelf?.size ?? 0) >= statementsPerIssuerMax * (isRevocation ? 2 : 1)) {
        throw overloaded(`${statementsPerIssuerMax} statements of this issuer are kept`)
      }
      if (isRevocation) return []
      if (subject === own) {
        const isFull = index.countAbout(own) >= statementsAboutSelfMax
        if (isCertified(issuer)) return isFull ? makeAbout(own) : []
        if (isFull || (shelf?.countAbout(own) ?? 0) >= statementsPerStrangerMax) throw overloaded('no more statements of strangers about this node are kept')
        return index.size >= most ? makeAny() : []
      }
      if (index.size >= most) return makeAny()
      return index.countAbout(subject) >= statementsPerSubjectMax ? makeAbout(subject) : []
    },
  }
}
