import { minuteMs, utf8 } from '../../src/base/index.ts'
import { topicIdOf, topicLifetimeMsMax } from '../../src/agents/topic-message.ts'
import { signStatement } from '../../src/identity/index.ts'
import { encode, type Plain } from '../../src/wire/index.ts'
import { anna, ben, chance, flipped, now, type Vector, type Vectors } from './world.ts'

const said = (body: Uint8Array, agent = '', expectsReply = false): readonly Plain[] => [1, agent, expectsReply, 5, null, null, null, [], null, 'text', body]

export function topicVectors(): Vectors {
  const { bytes: id, audience, channel } = topicIdOf('news')
  const published = (fields: { readonly to?: typeof audience; readonly lifetimeMs?: number; readonly payload?: readonly Plain[] } = {}): Uint8Array => {
    const { to = audience, lifetimeMs = minuteMs, payload = said(utf8('hello')) } = fields
    const signing = { keyring: anna, random: chance(40) }
    return signStatement('message', { to, type: 'text', payload: encode(payload), issuedAt: now, expiresAt: now + lifetimeMs }, signing).bytes
  }
  const topic = (comment: string, spec: string, expect: string, signed: Uint8Array, more: object = {}): Vector => ({
    comment,
    spec,
    expect,
    kind: 'topic',
    name: 'news',
    author: anna.publicKey,
    signed,
    now,
    ...more,
  })
  return {
    message: topic('anna publishes in news', '2', 'ok', published(), { id, channel, body: 'hello' }),
    'message-altered': topic('one bit of the body turned', '3.1', 'ERR_STATEMENT_SIGNATURE', flipped(published(), -1)),
    'message-other-topic': topic('said in another topic', '2.2', 'ERR_STATEMENT_AUDIENCE', published({ to: topicIdOf('News').audience })),
    'message-to-a-key': topic('said to ben alone', '2.2', 'ERR_STATEMENT_AUDIENCE', published({ to: ben.did })),
    'message-other-author': topic('published by ben, signed by anna', '2.2', 'ERR_STATEMENT_SENDER', published(), { author: ben.publicKey }),
    'message-long-lived': topic('lives longer than two minutes', '2.1', 'ERR_STATEMENT_LIFETIME', published({ lifetimeMs: topicLifetimeMsMax + 1 })),
    'message-for-an-agent': topic('for an agent', '2.3', 'ERR_WIRE_MALFORMED', published({ payload: said(utf8('x'), 'echo') })),
    'message-asking': topic('wants a reply', '2.3', 'ERR_WIRE_MALFORMED', published({ payload: said(utf8('x'), '', true) })),
    'message-large': topic('a body of 16,385 characters', '2.1', 'ERR_WIRE_TOO_LARGE', published({ payload: said(utf8('x'.repeat(16_385)), '', false) })),
  }
}
