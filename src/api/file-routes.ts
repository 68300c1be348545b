import { basename } from 'node:path'
import { z } from 'zod'
import { createQueue } from '../files/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { LocalPaths } from './local-paths.ts'
import type { LinesRoute, Route } from './routes.ts'
import * as schemas from './schemas.ts'

/** Lines that wait for a reader; past it the oldest are left out: files and messages are where they are all the same. */
export const receiveLinesWaitingMax = 1_024
const inboxLook = 100

export function fileRoutes(node: MeshNode, paths: LocalPaths): readonly (Route | LinesRoute)[] {
  return [
    {
      method: 'POST',
      url: '/v1/files/send',
      right: '/api/file',
      summary: 'Send a file of this machine; the answer is its progress in lines of JSON. Closing the connection does not stop the transfer',
      body: schemas.sendFileBody,
      reply: schemas.sendFileLine,
      async *lines({ body, signal, principal }) {
        const { to, path, ...options } = body as z.infer<typeof schemas.sendFileBody>
        const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
        const real = await paths.checked(principal, path)
        const name = real === path ? {} : { name: basename(path) }
        for await (const transfer of node.files.send(node.resolve(to), real, { ...name, ...given, signal })) yield { type: 'transfer', ...transfer }
      },
    },
    {
      method: 'POST',
      url: '/v1/files/receive',
      right: '/api/file',
      summary: 'Take offered files into a folder of this machine; the answer is a line of JSON for each. Closing the connection ends it',
      body: schemas.receiveBody,
      reply: schemas.receiveLine,
      async *lines({ body, signal, principal }) {
        const { dir: named, from } = body as z.infer<typeof schemas.receiveBody>
        const dir = await paths.checked(principal, named)
        yield* receive(node, { dir, signal, ...(from === undefined ? {} : { from: from.map((text) => node.resolve(text)) }) })
      },
    },
    {
      method: 'GET',
      url: '/v1/transfers',
      right: '/api/read',
      summary: 'Files on their way, and those that went or came',
      reply: z.object({ outgoing: z.array(schemas.outgoingTransfer), incoming: z.array(schemas.incomingTransfer) }),
      handle: async () => node.files.list(),
    },
    {
      method: 'POST',
      url: '/v1/transfers/cancel',
      right: '/api/file',
      summary: 'End a transfer of either direction',
      body: schemas.cancelBody,
      reply: z.object({ id: z.string(), cancelled: z.boolean() }),
      async handle({ body }) {
        const { id } = body as z.infer<typeof schemas.cancelBody>
        return { id, cancelled: await node.files.cancel(id) }
      },
    },
  ]
}

/** Files as they come, and between them the messages that reach the inbox. */
async function* receive(node: MeshNode, options: Parameters<MeshNode['files']['receive']>[0]): AsyncGenerator {
  await using files = await node.files.receive(options)
  const lines = createQueue<unknown>(receiveLinesWaitingMax)
  async function readFiles(): Promise<void> {
    for await (const file of files) lines.push({ type: 'file', ...file })
    lines.end()
  }
  async function pushMessage(id: string): Promise<void> {
    const found = (await node.inbox.list({ limit: inboxLook })).find((message) => message.id === id)
    if (found === undefined) return
    const { from, type, body, receivedAt } = found
    lines.push({ type: 'message', message: { id, from, type, body, receivedAt } })
  }
  const remove = node.onEvent((event) => {
    if (event.event === 'message') void pushMessage(event.id).catch(() => undefined)
  })
  try {
    yield { type: 'ready', dir: options.dir }
    void readFiles()
    yield* lines.read()
  } finally {
    remove()
  }
}
