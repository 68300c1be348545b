import { type Did, MeshError, secondMs } from '../base/index.ts'

/** Calls of one agent that have not returned, whether anybody still waits for them or not. */
export const callsPerAgentMax = 4_096
/** Of these, made by one peer. */
export const callsPerPeerMax = 512

/** Calls of agents: whoever asks is answered in time also by one that hangs, and an agent that hangs holds no more than a number of calls. */
export interface Calls {
  /** What `act` gives. @throws ERR_OVERLOADED, the signal's reason as soon as it aborts */
  run<T>(call: { readonly agent: string; readonly from: Did }, act: () => Promise<T>, signal: AbortSignal): Promise<T>
}

export function createCalls(): Calls {
  const running = new Map<string, number>()
  function count(name: string, by: 1 | -1): void {
    const left = (running.get(name) ?? 0) + by
    if (left === 0) running.delete(name)
    else running.set(name, left)
  }
  return {
    async run({ agent, from }, act, signal) {
      const share = `${agent} ${from}`
      if ((running.get(agent) ?? 0) >= callsPerAgentMax || (running.get(share) ?? 0) >= callsPerPeerMax) {
        throw new MeshError('ERR_OVERLOADED', `agent ${agent} has not answered what it was asked before`, { details: { retryAfterMs: secondMs } })
      }
      for (const name of [agent, share]) count(name, 1)
      const returned = act().finally(() => {
        for (const name of [agent, share]) count(name, -1)
      })
      return await new Promise((resolve, reject) => {
        const onAbort = (): void => reject(signal.reason as Error)
        returned.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
        signal.addEventListener('abort', onAbort, { once: true })
        if (signal.aborted) onAbort()
      })
    },
  }
}
