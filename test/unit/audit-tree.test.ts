import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromHex, hex, utf8 } from '../../src/base/index.ts'
import {
  consistencyPath,
  growTree,
  inclusionPath,
  leafHash,
  openTree,
  type ReadTile,
  rootAt,
  rootFromInclusion,
  rootsFromConsistency,
} from '../../src/audit/tree.ts'
import { slowTree } from '../helpers/audit.ts'

// The inputs of the certificate-transparency tests and the roots of their first 1 to 8.
const ctInputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(fromHex)
const ctRoots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

/** Grows a tree over the leaves in steps and keeps its tiles as the store would. */
function grow(leaves: readonly Uint8Array[], step: number): { readonly root: Uint8Array; readonly read: ReadTile } {
  const tiles = new Map<string, readonly Uint8Array[]>()
  const tree = growTree(0, [])
  const keep = (): void => {
    for (const { level, index, hashes } of tree.takeChanged()) tiles.set(`${level}/${index}`, hashes)
  }
  leaves.forEach((leaf, index) => {
    tree.append(leaf)
    if ((index + 1) % step === 0) keep()
  })
  keep()
  return { root: tree.root(), read: async (level, index) => tiles.get(`${level}/${index}`) ?? [] }
}

const leavesOf = (size: number): Uint8Array[] => Array.from({ length: size }, (_, index) => leafHash(utf8(`entry ${index}`)))
const hexes = (hashes: readonly Uint8Array[]): string[] => hashes.map(hex)

describe('the Merkle tree', () => {
  test('has the roots of the certificate-transparency tests', () => {
    const roots = ctInputs.map((_, index) => hex(grow(ctInputs.slice(0, index + 1).map(leafHash), 1).root))
    expect(roots).toEqual(ctRoots)
    expect(hex(grow([], 1).root)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  })

  test('has the inclusion path of the certificate-transparency tests for entry 5 of 8', async () => {
    const { read } = grow(ctInputs.map(leafHash), 3)
    expect(hexes(await inclusionPath(read, 5, 8))).toEqual([
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ])
  })

  test('agrees with RFC 6962 word for word on every root and every path up to 64 entries', async () => {
    for (let size = 1; size <= 64; size++) {
      const leaves = leavesOf(size)
      const { root, read } = grow(leaves, 7)
      expect(hex(root)).toBe(hex(slowTree.root(leaves)))
      for (let index = 0; index < size; index++) {
        const path = await inclusionPath(read, index, size)
        expect(hexes(path)).toEqual(hexes(slowTree.path(index, leaves)))
        expect(rootFromInclusion(leaves[index] as Uint8Array, index, size, path)).toEqual(root)
      }
      for (let oldSize = 1; oldSize <= size; oldSize++) {
        const path = await consistencyPath(read, oldSize, size)
        expect(hexes(path)).toEqual(hexes(slowTree.consistency(oldSize, leaves)))
        const oldRoot = slowTree.root(leaves.slice(0, oldSize))
        expect(rootsFromConsistency(oldSize, size, oldRoot, path)).toEqual({ oldRoot, root })
      }
    }
  })

  test('agrees with RFC 6962 on larger trees, grown in any steps and read back at any earlier size', async () => {
    const leaves = leavesOf(1_100)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_100 }), fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat(), async (size, step, anyIndex, anyOld) => {
        const some = leaves.slice(0, size)
        const index = anyIndex % size
        const oldSize = 1 + (anyOld % size)
        const { root, read } = grow(some, step)
        expect(root).toEqual(slowTree.root(some))
        expect(await inclusionPath(read, index, size)).toEqual(slowTree.path(index, some))
        expect(await consistencyPath(read, oldSize, size)).toEqual(slowTree.consistency(oldSize, some))
        const oldRoot = slowTree.root(some.slice(0, oldSize))
        expect(await rootAt(read, oldSize)).toEqual(oldRoot)
        expect((await openTree(oldSize, read)).root()).toEqual(oldRoot)
      }),
      { seed: 60, numRuns: 60 },
    )
  })

  test('no path proves another entry, place or size', async () => {
    const leaves = leavesOf(64)
    const wrong = leafHash(utf8('never recorded'))
    for (let size = 2; size <= 64; size++) {
      const { root, read } = grow(leaves.slice(0, size), 16)
      for (let index = 0; index < size; index++) {
        const leaf = leaves[index] as Uint8Array
        const path = await inclusionPath(read, index, size)
        expect(rootFromInclusion(wrong, index, size, path)).not.toEqual(root)
        expect(rootFromInclusion(leaf, (index + 1) % size, size, path)).not.toEqual(root)
        expect(rootFromInclusion(leaf, index, size, path.slice(1))).not.toEqual(root)
        expect(rootFromInclusion(leaf, index, size, [...path, wrong])).not.toEqual(root)
        expect(rootFromInclusion(leaf, size, size, path)).toBeUndefined()
      }
    }
  })

  test('no consistency path joins a log to one it did not grow out of', async () => {
    const leaves = leavesOf(40)
    const { root, read } = grow(leaves, 16)
    for (let oldSize = 1; oldSize < 40; oldSize++) {
      const path = await consistencyPath(read, oldSize, 40)
      const forked = slowTree.root([...leaves.slice(0, oldSize - 1), leafHash(utf8('another history'))])
      const roots = rootsFromConsistency(oldSize, 40, forked, path)
      expect(roots !== undefined && hex(roots.oldRoot) === hex(forked) && hex(roots.root) === hex(root)).toBe(false)
    }
  })
})
