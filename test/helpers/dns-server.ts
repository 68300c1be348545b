import { createSocket } from 'node:dgram'
import { once } from 'node:events'

const types = { A: 1, TXT: 16 } as const

/** Answers of a DNS server: texts or addresses by `TYPE name`; `refuse` for what it does not answer. */
export type Zone = Readonly<Record<string, readonly string[] | 'refuse'>>

/** A name server on loopback that speaks DNS over UDP, as far as A and TXT go. Source: RFC 1035 section 4. */
export async function startNameServer(zone: () => Zone): Promise<{ readonly address: string } & AsyncDisposable> {
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => socket.send(answerTo(query, zone()), from.port, from.address))
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    async [Symbol.asyncDispose]() {
      socket.close()
      await once(socket, 'close')
    },
  }
}

function answerTo(query: Buffer, zone: Zone): Buffer {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('ascii', at + 1, at + 1 + length))
    at += length + 1
  }
  const type = query.readUInt16BE(at + 1)
  const question = query.subarray(12, at + 5)
  const name = Object.entries(types).find(([, number]) => number === type)?.[0] ?? ''
  const found = zone[`${name} ${labels.join('.').toLowerCase()}`]
  const records = found === undefined || found === 'refuse' ? [] : found.map((text) => record(type, text))
  const head = Buffer.alloc(12)
  query.copy(head, 0, 0, 2)
  // A response, recursion available; 3 is "no such name", 5 "refused".
  head.writeUInt16BE(0x8180 | (found === 'refuse' ? 5 : found === undefined ? 3 : 0), 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(records.length, 6)
  return Buffer.concat([head, question, ...records])
}

function record(type: number, text: string): Buffer {
  const data =
    type === types.A
      ? Buffer.from(text.split('.').map(Number))
      : Buffer.concat(pieces(text).map((piece) => Buffer.concat([Buffer.from([piece.length]), piece])))
  const head = Buffer.alloc(12)
  // The name is the one asked for.
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

const pieces = (text: string): Buffer[] => {
  const bytes = Buffer.from(text)
  return Array.from({ length: Math.ceil(bytes.length / 255) }, (_, index) => bytes.subarray(index * 255, index * 255 + 255))
}
