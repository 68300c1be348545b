import { AsyncLocalStorage } from 'node:async_hooks'

interface Call {
  readonly by: string
  isOver: boolean
}

const calls = new AsyncLocalStorage<Call>()

/** Does `act` for somebody, such as `user:<id>`: until it settles, what it causes can say for whom. What goes on after it is nobody's. */
export async function onBehalfOf<T>(by: string, act: () => Promise<T>): Promise<T> {
  const call: Call = { by, isOver: false }
  try {
    return await calls.run(call, act)
  } finally {
    call.isOver = true
  }
}

/** For whom the node acts in this call; undefined for what it does by itself. */
export function callerNow(): string | undefined {
  const call = calls.getStore()
  return call === undefined || call.isOver ? undefined : call.by
}
