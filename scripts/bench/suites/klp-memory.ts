import { alternate, type Bench, row, type Row } from '../harness.ts'
import { script } from '../pairs.ts'

/** What a session that nobody speaks on keeps in memory, in a process of its own. */
export async function* klpMemory(bench: Bench): AsyncIterable<Row> {
  const count = 400 * bench.rounds(5)
  const records: number[] = []
  const { memory } = await alternate(bench.rounds(3), {
    async memory() {
      const peer = bench.start(script('sessions'), ['--expose-gc'])
      try {
        const figures = await peer.ask<{ readonly memory: number; readonly record: number }>('bytesEach', count)
        records.push(figures.record)
        return figures.memory
      } finally {
        await peer.stop()
      }
    },
  })
  records.shift()
  yield row({
    id: 'klp-session-memory',
    what: `memory of an idle session, of ${count}`,
    unit: 'bytes',
    figures: memory,
    against: 'its record on disk',
    others: records,
  })
}
