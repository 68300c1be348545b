export { type Push, pushStream } from './client.ts'
export {
  bodyBytesMax,
  chunkBytes,
  mediaTypeCharsMax,
  nameCharsMax,
  type Offer,
  offerCodec,
  offerLifetimeMsMax,
  type StreamReceipt,
  streamReceiptCodec,
  streamReceiptLifetimeMs,
} from './codec.ts'
export { type BodySink, type OpenedOffer, serveStreams } from './server.ts'
