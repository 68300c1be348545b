import { MeshError, utf8 } from '../base/index.ts'
import { type Agent, bodyBytesMax, type Message } from './message.ts'
import type { Program } from './program.ts'

/** A message as the JSON text that an agent program gets. Source: sandbox/v1 section 9. */
export const messageText = (
  { id, from, type, encoding, receivedAt, priority, traceId, replyTo, token }: Message,
  { data, expectsReply }: { readonly data: unknown; readonly expectsReply: boolean },
): string =>
  JSON.stringify({
    id,
    from,
    type,
    encoding,
    data,
    expectsReply,
    receivedAt,
    priority,
    traceId: traceId ?? null,
    replyTo: replyTo ?? null,
    token: token ?? null,
  })

/** The agent whose replies a program gives. */
export const agentOf = (name: string, program: Pick<Program, 'deliver'>): Agent => ({
  name,
  async receive({ data, ...message }, { signal }) {
    const text = await program.deliver({ from: message.from, message: messageText(message, { data, expectsReply: true }) }, signal)
    // Before it is parsed: what a program says may be larger than what it is worth.
    if (text.length > bodyBytesMax || utf8(text).length > bodyBytesMax) {
      throw new MeshError('ERR_WIRE_TOO_LARGE', `the reply of agent ${name} is over ${bodyBytesMax} bytes`)
    }
    try {
      return JSON.parse(text) as unknown
    } catch (cause) {
      throw new MeshError('ERR_AGENT_FAILED', `agent ${name} gave no plain data`, { cause })
    }
  },
})
