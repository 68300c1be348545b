import { secondMs } from '../base/index.ts'

// Limits that both implementations of Host keep. Those of libp2p alone stand in the files that set them.

/** Time for one dial, and for opening one stream. net/v1 section 5. */
export const dialTimeoutMs = 10 * secondMs
/** Time for one ping. net/v1 section 5. */
export const pingTimeoutMs = 10 * secondMs
/** Time a publish or lookup takes at most. net/v1 section 4. */
export const recordTimeoutMs = 10 * secondMs
/** Providers one search gives at most. net/v1 section 9. */
export const providersFoundMax = 256
/** Bytes a caller may queue on one stream without awaiting `send`; a larger frame may stand alone. net/v1 section 2. */
export const sendQueueBytesMax = 8 << 20
/** Receive window of one stream: what a peer can make us hold unread on it, besides one unfinished frame. net/v1 section 2. */
export const streamWindowBytesMax = 1 << 20
/** How long a peer may leave its half of a closed stream open. net/v1 section 2. */
export const closeTimeoutMs = 10 * secondMs
/** Largest gossip message. Announcements only: each delivery costs 3 to 5 ms. net/v1 section 6. */
export const gossipBytesMax = 64 << 10
/** First and longest pause before a bootstrap peer or relay is dialled again. net/v1 section 7. */
export const redialMsMin = secondMs
export const redialMsMax = 300 * secondMs
/** Pauses before each try to reach a peer directly that was dialled through a relay, ms. net/v1 section 7. */
export const upgradeTriesMs: readonly number[] = [secondMs / 2, 5 * secondMs, 60 * secondMs, 600 * secondMs]
