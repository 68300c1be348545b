import { z } from 'zod'
import { type Did, fromBase64, MeshError } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'
import { patience } from './patience.ts'

/** Who holds our mail, and the mail this node holds for others. */
export function mailboxRoutes(node: Pick<MeshNode, 'mailboxes' | 'dial'>, who: (text: string) => Did): readonly Route[] {
  const { mailboxes } = node
  return [
    {
      method: 'GET',
      url: '/v1/mailboxes',
      right: '/api/read',
      summary: 'Who holds mail for this node while it is off',
      reply: z.object({ mailboxes: z.array(schemas.mailbox) }),
      handle: async ({ signal }) => ({ mailboxes: (await mailboxes.list({ signal })).map(plain) }),
    },
    {
      method: 'POST',
      url: '/v1/mailboxes',
      right: '/api/message',
      summary: 'Register with a holder: a DID, a multiaddr or a ticket',
      body: schemas.mailboxBody,
      reply: schemas.mailbox,
      async handle({ body, signal }) {
        const { target, timeoutMs } = body as z.infer<typeof schemas.mailboxBody>
        const patient = patience(signal, timeoutMs)
        const { did } = await node.dial(target, { signal: patient })
        return plain(await mailboxes.add(did, { signal: patient }))
      },
    },
    {
      method: 'POST',
      url: '/v1/mailboxes/remove',
      right: '/api/message',
      summary: 'Leave a holder, after fetching what lies there',
      body: schemas.mailboxRemoveBody,
      reply: z.object({ did: z.string(), left: z.boolean() }),
      handle: async ({ body, signal }) => await mailboxes.remove(who((body as z.infer<typeof schemas.mailboxRemoveBody>).holder), { signal }),
    },
    {
      method: 'POST',
      url: '/v1/mailboxes/collect',
      right: '/api/message',
      summary: 'Fetch mail from every holder now',
      body: z.object({}),
      reply: schemas.collected,
      handle: ({ signal }) => mailboxes.collect({ signal }),
    },
    {
      method: 'POST',
      url: '/v1/mailboxes/check',
      right: '/api/read',
      summary: 'What became of an item for which a sender shows a storage receipt, base64',
      body: schemas.mailboxCheckBody,
      reply: schemas.receiptVerdict,
      async handle({ body, signal }) {
        const receipt = fromBase64((body as z.infer<typeof schemas.mailboxCheckBody>).receipt.trim())
        if (receipt === undefined) throw new MeshError('ERR_USAGE', 'the receipt is no base64')
        return await mailboxes.check(receipt, { signal })
      },
    },
    {
      method: 'GET',
      url: '/v1/mailboxes/held',
      right: '/api/read',
      summary: 'What this node holds for others',
      reply: schemas.heldMail,
      async handle() {
        const status = mailboxes.status()
        if (status === undefined) return { serves: false, recipients: 0, items: 0, bytes: 0, limits: null }
        const { recipients, items, bytes, limits } = status
        return { serves: true, recipients, items, bytes, limits: { recipients: limits.recipients, items: limits.items, bytes: limits.bytes } }
      },
    },
  ]
}

const plain = ({ used, problem, ...rest }: Awaited<ReturnType<MeshNode['mailboxes']['list']>>[number]): object => ({
  ...rest,
  used: used ?? null,
  problem: problem ?? null,
})
