/** Writes the tables in protocols/ that repeat what the code says: `node scripts/docs.ts --write`. A test keeps both equal. */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { messageBodies } from '../src/agents/index.ts'
import { errorTable, exitCodes } from '../src/base/index.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Limit {
  readonly name: string
  readonly value: number
  readonly file: string
  readonly what: string
}

const declaration = /(?:\/\*\*((?:[^*]|\*(?!\/))*)\*\/\s*)?^export const (\w+)(?:: [\w<>]+)? =/gm
const isLimit = (name: string): boolean => /(?:Max|Min|Ms|Bytes|BytesLength|Ceiling|Default)$/.test(name)

/** Every exported number whose name says that it bounds something, in order of file and place. */
async function limits(): Promise<readonly Limit[]> {
  const files = globSync('src/**/*.ts', { cwd: root })
    .filter((file) => !file.endsWith('.d.ts') && !/worker\.ts$|main\.ts$/.test(file))
    .sort()
  const found: Limit[] = []
  for (const file of files) {
    const matches = [...readFileSync(root + file, 'utf8').matchAll(declaration)].filter(([, , name = '']) => isLimit(name))
    if (matches.length === 0) continue
    const module = (await import(root + file)) as Readonly<Record<string, unknown>>
    for (const [, comment = '', name = ''] of matches) {
      const value = module[name]
      if (typeof value === 'number') found.push({ name, value, file, what: comment.replaceAll(/\s*\n\s*\*\s?/g, ' ').trim() })
    }
  }
  return found
}

const digits = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 3 })

function unitOf(name: string): string {
  if (name.endsWith('Ms') || /MsMax|MsMin|MsDefault/.test(name)) return 'ms'
  if (/Bytes/.test(name)) return 'bytes'
  if (/KiB/.test(name)) return 'KiB'
  return /Chars/.test(name) ? 'UTF-16 units' : ''
}

const cell = (text: string): string => text.replaceAll('|', '\\|')

export interface Members {
  readonly description: string
  readonly properties: Readonly<Record<string, unknown>>
  readonly required: readonly string[]
}

/** JSON Schema of the bodies of reserved message types, by type: what `protocols/message/v1/types.json` holds. */
export function messageSchemas(): Readonly<Record<string, Members>> {
  const schemas = Object.entries(messageBodies).map(([type, body]) => {
    const { $schema: _, ...schema } = z.toJSONSchema(body, { io: 'input' })
    return [type, schema as unknown as Members] as const
  })
  return Object.fromEntries(schemas)
}

/** The tables by the name of their place in the documents. */
export async function tables(): Promise<Readonly<Record<string, string>>> {
  const limitRows = (await limits()).map(
    ({ name, value, file, what }) => `| \`${name}\` | ${digits(value)} | ${unitOf(name)} | ${file.replace(/^src\//, '')} | ${cell(what)} |`,
  )
  const errorRows = Object.entries(errorTable).map(
    ([code, { meaning, hint, exit }]) => `| \`${code}\` | ${cell(meaning)} | ${cell(hint)} | ${exitCodes[exit]} |`,
  )
  const typeRows = Object.entries(messageSchemas()).map(([type, { description, properties, required }]) => {
    const names = Object.keys(properties).map((name) => (required.includes(name) ? `\`${name}\`` : `\`${name}\`?`))
    return `| \`${type}\` | ${names.join(', ')} | ${cell(description)} |`
  })
  return {
    types: ['| type | members of the body | what it says |', '|---|---|---|', ...typeRows].join('\n'),
    limits: ['| name | value | unit | in `src/` | what it bounds |', '|---|---|---|---|---|', ...limitRows].join('\n'),
    errors: ['| code | meaning | what to do | exit |', '|---|---|---|---|', ...errorRows].join('\n'),
  }
}

/** A document with its tables as the code has them. */
export function withTables(text: string, made: Readonly<Record<string, string>>): string {
  return text.replaceAll(/<!-- table (\w+) -->[\s\S]*?<!-- end -->/g, (_all, name: string) => `<!-- table ${name} -->\n${made[name] ?? ''}\n<!-- end -->`)
}

export const documents = ['protocols/LIMITS.md', 'protocols/README.md', 'protocols/message/v1/spec.md'] as const
export const messageSchemaFile = 'protocols/message/v1/types.json'
export const messageSchemaText = (): string => `${JSON.stringify(messageSchemas(), undefined, 2)}\n`

if (process.argv.includes('--write')) {
  const made = await tables()
  writeFileSync(root + messageSchemaFile, messageSchemaText())
  for (const document of documents) writeFileSync(root + document, withTables(readFileSync(root + document, 'utf8'), made))
}
