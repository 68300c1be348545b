/**
 * The gate: every check, every test, the independent reader of the vectors; ends with one line that counts them all.
 * Arguments go to vitest, and then only vitest runs: `npm test -- test/unit/wire.test.ts`.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checks, passes } from './check.ts'

interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** The parts of vitest's JSON report that are counted. */
interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly status: string }[]
  }[]
}

/** The gate never hangs: a run that takes longer has failed. */
const gateMs = 23 * 60_000

const root = fileURLToPath(new URL('..', import.meta.url))
const isLong = process.env['KINDMESH_TEST_LONG'] === '1'
const ok: Tally = { passed: 1, failed: 0, skipped: 0 }
const bad: Tally = { passed: 0, failed: 1, skipped: 0 }
const left: Tally = { passed: 0, failed: 0, skipped: 1 }

const filters = process.argv.slice(2)
const tallies = filters.length > 0 ? [await runVitest(filters)] : [...checks.map((check) => (passes(check) ? ok : bad)), await runVitest([]), readVectors()]
const sum = (key: keyof Tally): number => tallies.reduce((total, tally) => total + tally[key], 0)

if (sum('skipped') > 0) process.stdout.write(`\n${sum('skipped')} not run, for the reasons in their names\n`)
process.stdout.write(`\n${sum('passed')} passed, ${sum('failed')} failed\n`)
process.exitCode = sum('failed') > 0 ? 1 : 0

async function runVitest(args: readonly string[]): Promise<Tally> {
  process.stdout.write('\n> vitest\n')
  const folder = mkdtempSync(join(tmpdir(), 'kindmesh-report-'))
  const file = join(folder, 'report.json')
  try {
    const vitest = join(root, 'node_modules/vitest/vitest.mjs')
    const reporting = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
    const status = await run([vitest, 'run', '--config', 'test/vitest.config.ts', ...reporting, ...args])
    const tally = count(file)
    // An unhandled rejection fails a run whose tests all passed.
    return status === 0 || tally.failed > 0 ? tally : { ...tally, failed: 1 }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function run(args: readonly string[]): Promise<number | null> {
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  const deadline = isLong
    ? undefined
    : setTimeout(() => {
        process.stdout.write(`\nvitest took longer than ${gateMs / 60_000} minutes and is stopped\n`)
        child.kill('SIGKILL')
      }, gateMs)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => {
      clearTimeout(deadline)
      resolve(code)
    })
  })
}

function count(file: string): Tally {
  if (!existsSync(file)) return { passed: 0, failed: 0, skipped: 0 }
  const { testResults } = JSON.parse(readFileSync(file, 'utf8')) as Report
  const statuses = testResults.flatMap(({ status, assertionResults }) => {
    const each = assertionResults.map((result) => result.status)
    // A file that does not load, or whose hooks fail, has failed although none of its tests has.
    return status === 'failed' && !each.includes('failed') ? [...each, 'failed'] : each
  })
  const passed = statuses.filter((status) => status === 'passed').length
  const failed = statuses.filter((status) => status === 'failed').length
  return { passed, failed, skipped: statuses.length - passed - failed }
}

/** Debian's Python has the modules; another Python in the PATH may not. */
function readVectors(): Tally {
  const reader = join(root, 'scripts/read-vectors.py')
  const python = '/usr/bin/python3'
  if (!existsSync(reader)) return { passed: 0, failed: 0, skipped: 0 }
  process.stdout.write('\n> vectors read by Python\n')
  const hasModules = spawnSync(python, ['-c', 'import cbor2, cryptography'], { stdio: 'ignore' }).status === 0
  if (!hasModules) {
    const isRequired = process.env['CI'] !== undefined || process.getuid?.() === 0
    process.stdout.write(`${isRequired ? 'FAILED' : 'skipped'}: needs the Debian packages python3-cryptography and python3-cbor2\n`)
    return isRequired ? bad : left
  }
  const { status } = spawnSync(python, [reader], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  process.stdout.write(`vectors read by Python ${status === 0 ? 'passed' : 'FAILED'}\n`)
  return status === 0 ? ok : bad
}
