import { MeshError } from '../../base/index.ts'
import { isSealed } from './api.ts'

const askMs = 500
/** Asked this often the node has had a minute. */
const asksMax = 120

/** Whether the node was started sealed and waits for somebody to open its vault. */
class Sealed {
  isSealed = $state(false)

  /** A node that does not answer says nothing about that. */
  async look(): Promise<void> {
    this.isSealed = await isSealed().catch(() => this.isSealed)
  }

  /** Waits until the node is there: while the one server makes way for the other nobody answers. @throws ERR_NODE_DOWN after a minute, an abort */
  async untilUp(signal: AbortSignal): Promise<void> {
    for (let asks = 0; asks < asksMax; asks += 1) {
      if (!(await isSealed().catch(() => true))) {
        this.isSealed = false
        return
      }
      await new Promise((resolve) => setTimeout(resolve, askMs))
      signal.throwIfAborted()
    }
    throw new MeshError('ERR_NODE_DOWN', 'the vault is open, and the node has not come up', { hint: 'look at what it says where it was started' })
  }
}

export const sealed = new Sealed()
