export { boxBytesMax, openBox, sealBox } from './box.ts'
export { bundleBytesMax, openBundle, openPrekeys, type PrekeyBundle, prekeyRecordRule, type PrekeyRing } from './prekeys.ts'
export { openReplayGuard, type ReplayGuard } from './replay.ts'
