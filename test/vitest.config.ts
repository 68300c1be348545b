import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './helpers/longest-first.ts'

/** Tests that start real processes, and kill them, come after the others. */
const processes = [
  'test/integration/**/*.test.ts',
  'test/interop/**/*.test.ts',
  'test/browser/**/*.test.ts',
  'test/faults/{kill,files-kill,task-kill,tasks-kill}.test.ts',
]
/** Hostile input to codecs and stores in one process: much computing, nothing that another file could disturb. */
const computing = [
  'test/hostile/{decoders,passkeys,group-decoders,identity,replays,sessions,audit,groups,stream-protocol}.test.ts',
  'test/faults/{power,power-storm,files-power,own-keys,disk,mailbox}.test.ts',
]
/** Tests that open hundreds of connections, fill memory or measure how soon something is killed run one file at a time, last. */
const heavy = ['test/hostile/**/*.test.ts', 'test/faults/**/*.test.ts']

const isLong = process.env['KINDMESH_TEST_LONG'] === '1'
const shared = { pool: 'forks', testTimeout: isLong ? 3_600_000 : 240_000, hookTimeout: 120_000, teardownTimeout: 20_000 } as const

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    reporters: ['default'],
    sequence: { sequencer: LongestFirst },
    projects: [
      { test: { ...shared, name: 'quick', include: ['test/**/*.test.ts'], exclude: [...processes, ...heavy], maxWorkers: 2, sequence: { groupOrder: 0 } } },
      { test: { ...shared, name: 'computing', include: computing, maxWorkers: 2, sequence: { groupOrder: 0 } } },
      { test: { ...shared, name: 'processes', include: processes, maxWorkers: 2, sequence: { groupOrder: 1 } } },
      { test: { ...shared, name: 'heavy', include: heavy, exclude: [...computing, ...processes], maxWorkers: 1, sequence: { groupOrder: 2 } } },
    ],
  },
})
