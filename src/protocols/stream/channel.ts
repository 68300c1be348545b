import { type Channel, createSealedChannel } from '../channel.ts'

/** Frames of one direction of a bulk stream. Source: stream/v1 section 3. */
export const createStreamChannel = (secret: Uint8Array, direction: 'to-receiver' | 'to-sender', offerHash: Uint8Array): Channel =>
  createSealedChannel({ protocol: 'stream', direction, secret, about: offerHash })
