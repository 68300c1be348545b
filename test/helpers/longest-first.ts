import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest, so that none of them is left alone at the end while the other worker has nothing to do. */
const longest = [
  'test/faults/kill.test.ts',
  'test/integration/rotation.test.ts',
  'test/contract/sandbox.test.ts',
  'test/hostile/decoders.test.ts',
  'test/simulation/mesh-crowd.test.ts',
  'test/integration/agent-programs.test.ts',
  'test/integration/cli.test.ts',
  'test/bench/bench.test.ts',
  'test/integration/package.test.ts',
  'test/integration/sandbox.test.ts',
  'test/unit/trust-property.test.ts',
  'test/integration/offline.test.ts',
  'test/contract/machines.test.ts',
  'test/integration/audit.test.ts',
  'test/integration/files.test.ts',
]

const place = ({ moduleId }: TestSpecification): number => {
  const at = longest.findIndex((file) => moduleId.endsWith(file))
  return at === -1 ? longest.length : at
}

/** Starts the files that take longest first; the others as Vitest would. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => place(a) - place(b))
  }
}
