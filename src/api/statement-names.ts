import { type Did, MeshError } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { Attestation } from '../trust/index.ts'

/** Shortest beginning of an id that may stand for it. */
const idCharsMin = 6

export interface StatementNames {
  readonly node: Pick<MeshNode, 'did' | 'trust'>
  readonly who: (text: string) => Did
  /** Only statements of this issuer. */
  readonly by?: Did | undefined
}

/**
 * The statements a text names: one by its id or the beginning of it, or all that this node says of a peer and that counts.
 * @throws ERR_USAGE where more than one id begins so, ERR_NOT_FOUND, ERR_IDENTITY_INVALID
 */
export function statementsNamed(text: string, { node, who, by }: StatementNames): readonly Attestation[] {
  const all = node.trust.show()
  if (/^[0-9a-f]+$/.test(text) && text.length >= idCharsMin) {
    const fitting = all.filter(({ id, issuer }) => id.startsWith(text) && (by ?? issuer) === issuer)
    if (fitting.length > 1) throw new MeshError('ERR_USAGE', `'${text}' fits ${fitting.length} statements`, { hint: 'give more of the id' })
    if (fitting.length === 1) return fitting
    if (text.length === 64) {
      throw new MeshError('ERR_NOT_FOUND', `no statement ${text}${by === undefined ? '' : ' of this node'}`, { hint: 'see `kindmesh trust show`' })
    }
  }
  const subject = who(text)
  const live = new Set(node.trust.roots().flatMap((word) => (word.subject === subject ? [word.id] : [])))
  if (live.size === 0) throw new MeshError('ERR_NOT_FOUND', `this node says nothing about ${text}`, { hint: 'see `kindmesh trust roots`' })
  return all.filter(({ id }) => live.has(id))
}
