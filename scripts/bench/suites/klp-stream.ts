import { createHash, randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { alternate, type Bench, type Peer, row, type Row } from '../harness.ts'

const mebibyte = 1 << 20
/** A gibibyte in a full run, less in others. */
const bodyBytes = ({ isFull, rounds }: Bench): number => (isFull ? 1_024 : rounds(2) === 1 ? 8 : 256) * mebibyte

const script = (name: string): URL => new URL(`../peers/${name}.ts`, import.meta.url)

async function writeRandomFile(path: string, size: number): Promise<void> {
  await using file = await open(path, 'w')
  // The same random mebibyte, each time with another beginning: nothing on the way may profit from what repeats.
  const block = randomBytes(mebibyte)
  for (let at = 0; at < size; at += mebibyte) {
    createHash('sha256').update(String(at)).digest().copy(block)
    await file.write(block, 0, Math.min(mebibyte, size - at))
  }
}

/** A file between two whole nodes on loopback, sealed, hashed and synced to disk, against the same bytes on a bare libp2p stream whose reader only counts. */
export async function* klpStream(bench: Bench, bytes: number = bodyBytes(bench)): AsyncIterable<Row> {
  const [sender, receiver] = [bench.start(script('bulk-node')), bench.start(script('bulk-node'))]
  const [bareSender, bareReceiver] = [bench.start(script('bulk-libp2p')), bench.start(script('bulk-libp2p'))]
  const path = bench.path('body.bin')
  await writeRandomFile(path, bytes)
  const [, other] = await Promise.all([
    sender.ask('start', bench.path('sender')),
    receiver.ask<{ readonly did: string; readonly address: string }>('start', bench.path('receiver')),
  ])
  await receiver.ask('receive', bench.path('received'))
  await sender.ask('connect', other.address)
  const address = await bareReceiver.ask<string>('start')
  const idle = await Promise.all([sender, receiver].map((peer) => peer.ask<number>('rssBytes')))

  const megabytes = bytes / 1e6
  const hashMs: number[] = []
  const cpuOf = async (peers: readonly Peer[]): Promise<number> =>
    (await Promise.all(peers.map((peer) => peer.ask<number>('cpuUs')))).reduce((sum, us) => sum + us)
  const [cpu, bareCpu]: readonly [number[], number[]] = [[], []]
  const figures = await alternate(bench.rounds(3), {
    async ours() {
      await cpuOf([sender, receiver])
      const { ms, hashMs: before } = await sender.ask<{ readonly ms: number; readonly hashMs: number }>('send', { to: other.did, path })
      hashMs.push(before)
      cpu.push((await cpuOf([sender, receiver])) / (bytes / mebibyte))
      return megabytes / (ms / 1_000)
    },
    async bare() {
      await cpuOf([bareSender, bareReceiver])
      const ms = await bareSender.ask<number>('send', { address, path, size: bytes })
      bareCpu.push((await cpuOf([bareSender, bareReceiver])) / (bytes / mebibyte))
      return megabytes / (ms / 1_000)
    },
  })
  // The first round of `alternate` does not count.
  for (const list of [hashMs, cpu, bareCpu]) list.shift()
  const peaks = await Promise.all([sender, receiver].map((peer) => peer.ask<number>('peakRssBytes')))
  const size = `${bytes / mebibyte} MiB`
  yield row({
    id: 'stream-plain',
    what: `file of ${size}, sealed, hashed and synced, from offer to receipt`,
    unit: 'MB/s',
    figures: figures.ours,
    against: 'the same bytes on a bare libp2p stream (tcp, noise, yamux), counted and dropped',
    others: figures.bare,
  })
  yield row({
    id: 'stream-cpu',
    what: `CPU of a mebibyte, both processes, the hash before the offer included`,
    unit: 'us',
    figures: cpu,
    against: 'the same bytes on that bare stream',
    others: bareCpu,
  })
  yield row({
    id: 'stream-hash',
    what: `reading a file of ${size} for its hash, before the offer`,
    unit: 'ms',
    figures: hashMs,
    against: 'the time from offer to receipt',
    others: figures.ours.map((pace) => (megabytes / pace) * 1_000),
  })
  for (const [index, name] of ['sender', 'receiver'].entries()) {
    yield row({
      id: `stream-rss-${name}`,
      what: `highest resident memory of the ${name}, files of ${size}`,
      unit: 'MB',
      figures: [(peaks[index] ?? Number.NaN) / 1e6],
      against: 'the same process before the first file',
      others: [(idle[index] ?? Number.NaN) / 1e6],
    })
  }
}
