import { existsSync, readFileSync } from 'node:fs'
import { fromHex } from '../../src/base/index.ts'

const folder = new URL('../../../shared/data/vectors/', import.meta.url)

/** Vectors other projects publish stand beside the checkout, not in it. */
export const vectorsPresent: boolean = existsSync(folder)

if (!vectorsPresent) console.info(`third-party vectors: skipped, there is no ${folder.pathname}`)

/** One vector file, typed by its reader. Call it inside a test only: the files may be absent. */
export const readVectors = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as T

export interface WycheproofFile<Group, Test> {
  readonly numberOfTests: number
  readonly testGroups: readonly (Group & { readonly tests: readonly (Test & WycheproofTest)[] })[]
}

export interface WycheproofTest {
  readonly tcId: number
  readonly comment: string
  readonly flags: readonly string[]
  readonly result: 'valid' | 'acceptable' | 'invalid'
}

/** All tests of a file, each with its group. */
export const casesOf = <Group, Test>({ testGroups }: WycheproofFile<Group, Test>): { readonly group: Group; readonly test: Test & WycheproofTest }[] =>
  testGroups.flatMap((group) => group.tests.map((test) => ({ group, test })))

/** The same record with its hexadecimal texts as bytes. */
export const bytesOf = <K extends string>(record: Readonly<Record<K, string>>, ...names: readonly K[]): Readonly<Record<K, Uint8Array>> =>
  Object.fromEntries(names.map((name) => [name, fromHex(record[name])])) as Record<K, Uint8Array>

/** What a call gives; undefined when it throws. */
export function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
