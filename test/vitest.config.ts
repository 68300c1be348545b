import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** Tests that start real processes or hundreds of connections run one file at a time, after the others. */
const heavy = ['test/integration/**/*.test.ts', 'test/hostile/**/*.test.ts', 'test/interop/**/*.test.ts', 'test/faults/**/*.test.ts']

const isLong = process.env['KINDMESH_TEST_LONG'] === '1'
const shared = { pool: 'forks', testTimeout: isLong ? 3_600_000 : 240_000, hookTimeout: 120_000, teardownTimeout: 20_000 } as const

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    reporters: ['default'],
    projects: [
      { test: { ...shared, name: 'quick', include: ['test/**/*.test.ts'], exclude: heavy, maxWorkers: 2, sequence: { groupOrder: 0 } } },
      { test: { ...shared, name: 'heavy', include: heavy, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
})
