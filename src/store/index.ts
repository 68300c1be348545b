export { createLevelStore } from './level.ts'
export { createMemoryStore, type MemoryStore } from './memory.ts'
export { del, put, putLater, type Range, type Store, type StoreOp } from './store.ts'
