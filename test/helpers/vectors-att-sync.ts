import type { Vector } from '../../scripts/vectors/world.ts'
import { fromHex, hex } from '../../src/base/index.ts'
import { syncAnswerCodec, syncQuestionCodec } from '../../src/protocols/att-sync/frames.ts'
import { answerRanges } from '../../src/protocols/att-sync/ranges.ts'
import { readScope } from '../../src/protocols/att-sync/scope.ts'
import { createSequence } from '../../src/protocols/att-sync/sequence.ts'

/** What our code says to the vectors of trust/v1 section 5.8. */
export const attSyncReaders: Readonly<Record<string, (vector: Vector) => void>> = {
  'att-sync'(vector) {
    const { scope, tags, ranges } = syncQuestionCodec.decode(fromHex(String(vector['question'])))
    if (tags !== undefined) readScope(scope, tags)
    const held = (vector['held'] as readonly (readonly [number, string])[]).map(([issuedAt, id]) => ({ issuedAt, id: fromHex(id) }))
    const answer = syncAnswerCodec.encode({ known: true, more: false, ranges: answerRanges(createSequence(held), ranges), items: [] })
    if (hex(answer) !== vector['answer']) throw new Error('another answer')
  },
}
