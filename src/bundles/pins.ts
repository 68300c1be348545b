import { mkdir, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { type Did, hex, MeshError, type Random } from '../base/index.ts'
import { parseDid, replacePrivateFile } from '../identity/index.ts'
import type { Bundle } from './bundle.ts'

/** Pins of one profile. Source: sandbox/v1 section 10. */
export const bundlePinsMax = 1_024
const fileBytesMax = 1 << 20

const fileShape = z.strictObject({
  schema: z.literal('kindmesh.bundle-pins/1'),
  pins: z.array(z.strictObject({ kind: z.enum(['publisher', 'code']), value: z.string().max(128), note: z.string().max(200) })).max(bundlePinsMax),
})

/** A publisher (did:key) or one code (BLAKE3 in hex) whose bundles are trusted here. */
export interface BundlePin {
  readonly kind: 'publisher' | 'code'
  readonly value: string
  readonly note: string
}

/** Reads `kind:agent:…`, `did:key:…` or 64 hex digits. @throws ERR_USAGE */
export function parsePin(text: string, note: string): BundlePin {
  if (/^[0-9a-f]{64}$/i.test(text)) return { kind: 'code', value: text.toLowerCase(), note: note.slice(0, 200) }
  try {
    return { kind: 'publisher', value: parseDid(text), note: note.slice(0, 200) }
  } catch (cause) {
    throw new MeshError('ERR_USAGE', `'${text.slice(0, 80)}' is neither a publisher nor a hash`, {
      cause,
      hint: 'a DID, or the 64 hex digits of the code hash',
    })
  }
}

/** What the operator pinned, in one file of the profile; read anew each time, so that a pin taken back counts at once. */
export interface BundlePins {
  list(): Promise<readonly BundlePin[]>
  /** Adds or replaces. @throws ERR_OVERLOADED */
  add(pin: BundlePin): Promise<void>
  /** @throws ERR_NOT_FOUND */
  remove(value: string): Promise<void>
  /** @throws ERR_BUNDLE_UNPINNED unless its publisher or its code is pinned */
  check(bundle: Bundle): Promise<BundlePin>
}

/** Pins in a file. Nobody else writes it at the same time: the command line does, one command a time. */
export function createBundlePins(path: string, random: Random): BundlePins {
  async function list(): Promise<readonly BundlePin[]> {
    const text = await readText(path)
    if (text === undefined) return []
    const read = fileShape.safeParse(parseOrUndefined(text))
    // A list that cannot be read pins nothing: nothing is trusted by mistake.
    if (!read.success) throw new MeshError('ERR_STORE_FAILED', `${path} is damaged`, { hint: `remove ${path} and pin again` })
    return read.data.pins
  }
  const write = (pins: readonly BundlePin[]): Promise<void> =>
    replacePrivateFile(path, `${JSON.stringify({ schema: 'kindmesh.bundle-pins/1', pins }, undefined, 1)}\n`, random)

  return {
    list,
    async add(pin) {
      const pins = (await list()).filter(({ value }) => value !== pin.value)
      if (pins.length >= bundlePinsMax) throw new MeshError('ERR_OVERLOADED', `${bundlePinsMax} pins are kept already`)
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await write([...pins, pin])
    },
    async remove(value) {
      const pins = await list()
      const left = pins.filter((pin) => pin.value !== value)
      if (left.length === pins.length) {
        throw new MeshError('ERR_NOT_FOUND', `nothing is pinned by ${value.slice(0, 80)}`, { hint: 'see `kindmesh bundle pins`' })
      }
      await write(left)
    },
    async check({ name, publisher, codeHash }) {
      const hash = hex(codeHash)
      const found = (await list()).find(({ kind, value }) => (kind === 'code' ? value === hash : (value as Did) === publisher))
      if (found === undefined) throw new MeshError('ERR_BUNDLE_UNPINNED', `neither ${publisher}, publisher of ${name}, nor its code ${hash} is pinned here`)
      return found
    },
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    if ((await stat(path)).size > fileBytesMax) throw new MeshError('ERR_STORE_FAILED', `${path} is over ${fileBytesMax} bytes`)
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
