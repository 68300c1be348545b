import { type Channel, createSealedChannel } from '../channel.ts'

/** Frames of one direction of a task stream. Source: task/v1 section 4. */
export const createChannel = (replySecret: Uint8Array, direction: 'to-asker' | 'to-executor', requestHash: Uint8Array): Channel =>
  createSealedChannel({ protocol: 'task', direction, secret: replySecret, about: requestHash })
