import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parse, stringify, TomlError } from 'smol-toml'
import { MeshError, type Random } from '../base/index.ts'
import { replacePrivateFile } from '../identity/index.ts'
import { emptyLayer, type Layer, type LayerName, layerOf } from './layers.ts'

/** One configuration file. Source: protocols/config/v1 section 3. */
export const configFileBytesMax = 256 << 10

type Tables = Record<string, unknown>

/** What a file says; nothing where there is none. @throws ERR_CONFIG_INVALID with line and column, or the field */
export async function readLayer(name: LayerName, path: string): Promise<Layer> {
  const text = await readConfigText(path)
  return text === undefined ? emptyLayer(name, path) : layerOf(name, path, parseTables(path, text))
}

/** The text of a file, undefined where there is none. @throws ERR_CONFIG_INVALID when it is too large or others can write it */
export async function readConfigText(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new MeshError('ERR_CONFIG_INVALID', `${path} cannot be read`, { cause: error })
  })
  if (file === undefined) return undefined
  try {
    const { size, mode } = await file.stat()
    if (size > configFileBytesMax) throw new MeshError('ERR_CONFIG_INVALID', `${path} is over ${configFileBytesMax} bytes`)
    // Whoever can write it decides for everybody after it.
    if ((mode & 0o022) !== 0) throw new MeshError('ERR_CONFIG_INVALID', `${path} can be written by others`, { hint: 'run `chmod go-w` on it' })
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

export function parseTables(path: string, text: string): Tables {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const [first = 'not TOML'] = error.message.split('\n')
    throw new MeshError('ERR_CONFIG_INVALID', `${path}: line ${error.line}, column ${error.column}: ${first}`, {
      details: { line: error.line, column: error.column },
    })
  }
}

/** Writes one setting into a file, or takes it out with `undefined`; comments stay where the text allows. Whole or not at all. */
export async function writeSetting(
  path: string,
  { key, value, random }: { readonly key: string; readonly value: unknown; readonly random: Random },
): Promise<void> {
  const text = (await readConfigText(path)) ?? ''
  const next = withSetting(text, parseTables(path, text), key, value)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await replacePrivateFile(path, next, random)
}

/** The text with the setting: by its own line where that says just what is meant, else written anew. */
export function withSetting(text: string, tables: Tables, key: string, value: unknown): string {
  const meant = changed(tables, key.split('.'), value)
  const line = value === undefined ? '' : `${key} = ${stringify({ v: value }).slice('v = '.length).trimEnd()}\n`
  const own = new RegExp(String.raw`^[ \t]*${key.replaceAll('.', String.raw`[ \t]*\.[ \t]*`)}[ \t]*=[^\n]*(?:\n|$)`, 'm')
  const edits = own.test(text) ? [text.replace(own, () => line)] : [`${line}${text}`]
  return edits.find((edit) => saysThe(edit, meant)) ?? stringify(meant)
}

function saysThe(text: string, meant: Tables): boolean {
  try {
    return stringify(parse(text)) === stringify(meant) || isSame(parse(text), meant)
  } catch {
    return false
  }
}

function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => isSame((a as Tables)[name], (b as Tables)[name]))
}

/** A copy with the value at the path; tables that end up empty go. */
function changed(tables: Tables, [name = '', ...rest]: readonly string[], value: unknown): Tables {
  const { [name]: before, ...others } = tables
  if (rest.length === 0) return value === undefined ? others : { ...others, [name]: value }
  const inner = changed(typeof before === 'object' && before !== null ? (before as Tables) : {}, rest, value)
  return Object.keys(inner).length === 0 ? others : { ...others, [name]: inner }
}
