import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { createLevelStore, put } from '../../../src/store/index.ts'
import { alternate, type Bench, row, type Row } from '../harness.ts'

const groupSize = 100
const value = new Uint8Array(256).fill(7)

/** What it costs to have a write on disk, alone and among others. */
export async function* store(bench: Bench): AsyncIterable<Row> {
  await using stack = new AsyncDisposableStack()
  const level = await createLevelStore(bench.path('store'))
  stack.defer(() => level.close())
  const file = openSync(bench.path('file'), 'a')
  stack.defer(() => closeSync(file))
  let count = 0
  const write = (): Promise<void> => level.durable([put(String(count++).padStart(12, '0'), value)])
  const perSecond = async (writes: number, act: () => unknown): Promise<number> => {
    const start = performance.now()
    await act()
    return (writes * 1_000) / (performance.now() - start)
  }
  const groups = bench.rounds(10)
  const figures = await alternate(bench.rounds(7), {
    grouped: () =>
      perSecond(groups * groupSize, async () => {
        for (let group = 0; group < groups; group++) await Promise.all(Array.from({ length: groupSize }, write))
      }),
    single: () =>
      perSecond(bench.calls, async () => {
        for (let index = 0; index < bench.calls; index++) await write()
      }),
    file: () =>
      perSecond(bench.calls, () => {
        for (let index = 0; index < bench.calls; index++) {
          writeSync(file, value)
          fdatasyncSync(file)
        }
      }),
  })
  yield row({
    id: 'store-grouped',
    what: `durable writes, ${groupSize} at a time`,
    unit: 'writes/s',
    figures: figures.grouped,
    against: 'the same one by one',
    others: figures.single,
  })
  yield row({
    id: 'store-single',
    what: 'durable writes, one by one',
    unit: 'writes/s',
    figures: figures.single,
    against: 'append and fdatasync of a plain file',
    others: figures.file,
  })
}
