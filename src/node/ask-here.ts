import type { Agents } from '../agents/index.ts'
import { type Clock, type Did, hex, MeshError, type Random, secondMs, type SignalOption, toMeshError, within } from '../base/index.ts'

export interface AskHereOptions {
  readonly agents: Pick<Agents, 'get'>
  readonly self: Did
  readonly clock: Clock
  readonly random: Random
}

/** Asks an agent that lives at this very node: no stream, no seal, the same answers and errors. `data` is plain JSON. */
export const createAskHere =
  ({ agents, self, clock, random }: AskHereOptions) =>
  async (
    name: string,
    data: unknown,
    { signal, timeoutMs = 30 * secondMs }: SignalOption & { readonly timeoutMs?: number | undefined } = {},
  ): Promise<{ readonly id: string; readonly reply: unknown }> => {
    const agent = agents.get(name)
    const [id, body] = [hex(random.bytes(16)), JSON.stringify(data ?? null)]
    const message = { id, from: self, type: 'ask', agent: name, encoding: 'json', body, receivedAt: clock.now(), priority: 5 } as const
    const limit = within(clock, timeoutMs, signal, `asking ${name}`)
    const late = Promise.withResolvers<never>()
    const onAbort = (): void => late.reject(limit.reason as Error)
    limit.addEventListener('abort', onAbort, { once: true })
    try {
      const reply = await Promise.race([agent.receive({ ...message, data: JSON.parse(body) as unknown }, { signal: limit }), late.promise])
      return { id, reply: JSON.parse(JSON.stringify(reply ?? null)) as unknown }
    } catch (cause) {
      if (limit.aborted) throw toMeshError(limit.reason)
      if (cause instanceof MeshError) throw cause
      throw new MeshError('ERR_AGENT_FAILED', `agent ${name} failed`, { cause })
    } finally {
      limit.removeEventListener('abort', onAbort)
    }
  }
