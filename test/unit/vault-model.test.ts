import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createVault, openVault, type NewSlot, type Vault } from '../../src/vault/index.ts'
import { passkey, vaultPlace, type VaultPlace } from '../helpers/vault.ts'

/** What a vault should hold: the model has no file and no key. */
interface Model {
  readonly secrets: Map<string, { readonly value: Uint8Array; readonly version: number }>
  /** By the fill of their keys. */
  readonly slots: Set<number>
  floor: number
  changes: number
}
interface World {
  readonly place: VaultPlace
  vault: Vault
}
type Command = fc.AsyncCommand<Model, World>

const keyOf = (fill: number): NewSlot => passkey(fill)

function check(model: Model, { vault }: World): void {
  expect(vault.list().map(({ name, version, bytes }) => [name, version, bytes])).toEqual(
    [...model.secrets].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, { version, value }]) => [name, version, value.length]),
  )
  for (const [name, { value, version }] of model.secrets) expect(vault.get(name)).toMatchObject({ value, version })
  expect(
    vault
      .status()
      .slots.map(({ salt }) => salt?.[0])
      .toSorted((a = 0, b = 0) => a - b),
  ).toEqual([...model.slots].toSorted((a, b) => a - b))
  expect(vault.counter).toBe(model.changes)
}

const command = (text: string, run: (model: Model, world: World) => Promise<void>): Command => ({
  check: () => true,
  async run(model, world) {
    await run(model, world)
    check(model, world)
  },
  toString: () => text,
})

const put = (model: Model, name: string, value: Uint8Array): void => {
  model.secrets.set(name, { value, version: (model.secrets.get(name)?.version ?? model.floor) + 1 })
}
const name = fc.constantFrom('a', 'kindmesh/identity', 'z.9')
const value = fc.uint8Array({ maxLength: 40 })
const fill = fc.integer({ min: 1, max: 5 })

const commands: readonly fc.Arbitrary<Command>[] = [
  fc.tuple(name, value).map(([name, value]) =>
    command(`set ${name}`, async (model, { vault }) => {
      await vault.set(name, value)
      put(model, name, value)
      model.changes++
    }),
  ),
  fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 4 }).map((records) =>
    command(`set ${records.length}`, async (model, { vault }) => {
      await vault.setMany(records)
      for (const [name, value] of records) put(model, name, value)
      model.changes++
    }),
  ),
  name.map((name) =>
    command(`remove ${name}`, async (model, { vault }) => {
      const held = model.secrets.get(name)
      expect(await vault.remove(name)).toBe(held !== undefined)
      if (held === undefined) return
      model.floor = Math.max(model.floor, held.version)
      model.secrets.delete(name)
      model.changes++
    }),
  ),
  fc.constant(
    command('rotate', async (model, { vault }) => {
      await vault.rotate()
      model.changes++
    }),
  ),
  fill.map((fill) =>
    command(`slot ${fill}`, async (model, { vault }) => {
      if (model.slots.has(fill)) return
      await vault.addSlot(keyOf(fill))
      model.slots.add(fill)
      model.changes++
    }),
  ),
  fill.map((fill) =>
    command(`without slot ${fill}`, async (model, { vault }) => {
      const slot = vault.status().slots.find(({ salt }) => salt?.[0] === fill)
      if (slot === undefined) return
      const isLast = model.slots.size === 1
      const end = await vault.removeSlot(slot.id).then(
        () => 'removed',
        (error: unknown) => (error as { readonly code: string }).code,
      )
      expect(end).toBe(isLast ? 'ERR_USAGE' : 'removed')
      if (isLast) return
      model.slots.delete(fill)
      model.changes++
    }),
  ),
  fc.tuple(fill, fill).map(([from, to]) =>
    command(`slot ${from} to ${to}`, async (model, { vault }) => {
      const slot = vault.status().slots.find(({ salt }) => salt?.[0] === from)
      if (slot === undefined || model.slots.has(to)) return
      await vault.replaceSlot(slot.id, keyOf(to))
      model.slots.delete(from)
      model.slots.add(to)
      model.changes++
    }),
  ),
  fill.map((fill) =>
    command(`seal, and unseal by ${fill}`, async (model, { vault }) => {
      vault.seal()
      await reopen(vault, model, fill)
    }),
  ),
  fill.map((fill) =>
    command(`open again by ${fill}`, async (model, world) => {
      world.vault = await openVault(world.place.options)
      await reopen(world.vault, model, fill)
    }),
  ),
]

/** By that slot where there is one, else refused and then by one there is. */
async function reopen(vault: Vault, model: Model, fill: number): Promise<void> {
  if (!model.slots.has(fill)) await expect(vault.unseal(keyOf(fill))).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
  const [first = 0] = model.slots
  await vault.unseal(keyOf(model.slots.has(fill) ? fill : first))
}

const runs = process.env['KINDMESH_TEST_LONG'] === '1' ? 1_000 : 30

test(`any run of changes, slots, epochs and restarts holds what a plain table holds: ${runs} runs`, async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands([...commands], { maxCommands: 30, size: 'max' }), async (run) => {
      await using place = await vaultPlace()
      const vault = await createVault({ ...place.options, key: keyOf(1) })
      await fc.asyncModelRun(() => ({ model: { secrets: new Map(), slots: new Set([1]), floor: 0, changes: 1 }, real: { place, vault } }), run)
    }),
    { numRuns: runs, seed: 20_260_101 },
  )
}, 600_000)
