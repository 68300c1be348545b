export { boxBytesMax, openBox, sealBox } from './box.ts'
export { type CarriedKind } from './content.ts'
export { bundleBytesMax, mailboxesMax, openBundle, openPrekeys, type PrekeyBundle, prekeyRecordRule, type PrekeyRing } from './prekeys.ts'
export {
  type ChainContext,
  checkedSenderKey,
  createGroupSender,
  decodeGroupFrame,
  type GroupFrame,
  groupFrameBytesMax,
  type GroupSender,
  groupSkippedMax,
  isOfChain,
  openGroupFrame,
  type ReceivingChain,
  receivingChain,
  type SenderKey,
  senderKeyShape,
} from './group.ts'
export { openReplayGuard, type ReplayGuard } from './replay.ts'
export { openPlacesMax, openSequences, type Order, orderShape, type Sequences } from './sequences.ts'
export { type Opened, openSessions, type Sealed, type Sessions } from './sessions.ts'
