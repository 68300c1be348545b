import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createSeededRandom, realClock, silentLogger } from '../../src/base/index.ts'
import { createHostBridge, type RunBridge } from '../../src/bridge/index.ts'
import { grantsSchema, type HostAnswer, parsePolicy } from '../../src/sandbox/index.ts'
import { scratchWith } from '../helpers/bridge-scratch.ts'

const secret = 'SECRET OF THE HOST'
const never = new AbortController().signal
let base: string
let bridge: RunBridge
const at = (...parts: readonly string[]): string => join(base, ...parts)

function bridgeWith(files: object = {}, capabilities: readonly string[] = ['file:read', 'file:write']): RunBridge {
  const roots = [
    { name: 'notes', path: at('notes'), mode: 'write' },
    { name: 'docs', path: at('docs') },
  ]
  return createHostBridge({
    configuration: {
      agentId: 'a',
      level: 'sandboxed',
      limits: { netKiBps: 0, fsOps: 100_000 },
      grants: parsePolicy(grantsSchema, { capabilities, files: { roots, scratch: true, ...files } }),
    },
    services: {},
    clock: realClock,
    random: createSeededRandom(1),
    logger: silentLogger,
  })
}
const call = async (name: string, ...args: readonly unknown[]): Promise<HostAnswer> => await bridge.call(name, JSON.stringify(args), never)
const value = (answer: HostAnswer): unknown => (answer.ok ? (JSON.parse(answer.value) as unknown) : answer)

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'kindmesh-test-'))
  for (const folder of ['notes', 'notes/deep', 'docs', 'outside']) mkdirSync(at(folder))
  writeFileSync(at('outside/secret'), secret)
  writeFileSync(at('docs/readme'), 'read me')
  bridge = bridgeWith()
})
afterEach(async () => {
  await bridge.close()
  rmSync(base, { recursive: true, force: true })
})

describe('inside its roots a run', () => {
  test('writes, appends, reads and lists', async () => {
    expect(value(await call('writeFile', 'notes/a/b.txt', 'grüße'))).toBe(7)
    expect(value(await call('writeFile', 'notes/a/b.txt', '!', { append: true }))).toBe(1)
    expect(value(await call('readFile', 'notes/a/b.txt'))).toBe('grüße!')
    expect(value(await call('writeFile', 'notes/a/b.txt', '/w==', { encoding: 'base64' }))).toBe(1)
    expect(value(await call('readFile', 'notes/a/b.txt', { encoding: 'base64' }))).toBe('/w==')
    expect(await call('readFile', 'notes/a/b.txt')).toMatchObject({ ok: false, code: 'ERR_HOST_ARGUMENTS' })
    expect(value(await call('list', 'notes'))).toEqual([
      { name: 'a', type: 'folder', size: 0 },
      { name: 'deep', type: 'folder', size: 0 },
    ])
    expect(value(await call('list', 'notes/a'))).toEqual([{ name: 'b.txt', type: 'file', size: 1 }])
    expect(value(await call('list'))).toEqual(['notes', 'docs', 'work'].map((name) => ({ name, type: 'folder', size: 0 })))
    expect(statSync(at('notes/a/b.txt')).mode & 0o777).toBe(0o600)
    expect(bridge.usage().fsOps).toBe(9)
  })

  test('makes a file only where there is none when it says so', async () => {
    expect(value(await call('writeFile', 'notes/x', '1', { exclusive: true }))).toBe(1)
    expect(await call('writeFile', 'notes/x', '2', { exclusive: true })).toMatchObject({ ok: false, code: 'ERR_HOST_FAILED' })
    expect(readFileSync(at('notes/x'), 'utf8')).toBe('1')
  })

  test('has a folder of its own that is gone with it and that no other run sees', async () => {
    const other = bridgeWith()
    await call('writeFile', 'work/mine-alone', 'x')
    expect(scratchWith('mine-alone')).toHaveLength(1)
    expect(value(await other.call('list', '["work"]', never))).toEqual([])
    expect(value(await call('readFile', 'work/mine-alone'))).toBe('x')
    await other.close()
    await bridge.close()
    expect(scratchWith('mine-alone')).toEqual([])
    expect(await call('readFile', 'work/mine-alone')).toMatchObject({ ok: false, code: 'ERR_STOPPED' })
  })

  test('writes so much and no more, in all and in one file', async () => {
    bridge = bridgeWith({ maxBytes: 10 })
    expect((await call('writeFile', 'notes/x', '123456')).ok).toBe(true)
    expect(await call('writeFile', 'notes/y', '123456')).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
    expect(readdirSync(at('notes'))).not.toContain('y')
    writeFileSync(at('docs/large'), 'x'.repeat(11))
    expect(await call('readFile', 'docs/large')).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
  })

  test('makes no more than 1,000 files, and no folder beyond them', async () => {
    for (let made = 0; made < 1_000; made++) expect((await call('writeFile', `work/${made}`, '')).ok).toBe(true)
    expect(await call('writeFile', 'work/a/b/c', '')).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
    expect(value(await call('list', 'work'))).toHaveLength(1_000)
  })
})

describe('outside of them it', () => {
  test.each([
    'notes/../outside/secret',
    'notes/deep/../../outside/secret',
    '../outside/secret',
    '/etc/passwd',
    'notes//etc/passwd',
    'notes/./deep',
    'outside/secret',
    'notes/\0',
    'notes/deep\0/../../outside/secret',
    '..',
    '.',
    'notes/..',
    'NOTES/x',
    'notes\\..\\outside\\secret',
    'proc/self/environ',
    `notes/${'a/'.repeat(40)}x`,
    `notes/${'x'.repeat(300)}`,
  ])('reads, lists and writes nothing: %.40j', async (path) => {
    for (const [name, ...more] of [['readFile'], ['list'], ['writeFile', 'broken in']] as const) {
      // A backslash is a letter of a name here.
      if (path.includes('\\') && name === 'writeFile') continue
      const answer = await call(name, path, ...more)
      expect(answer.ok).toBe(false)
      expect(JSON.stringify(answer)).not.toContain(secret)
      expect(JSON.stringify(answer)).not.toContain(base)
    }
    expect(readFileSync(at('outside/secret'), 'utf8')).toBe(secret)
    expect(readdirSync(base).toSorted()).toEqual(['docs', 'notes', 'outside'])
  })

  test('follows no link: to a file, a folder, a device, within the root, or to nothing', async () => {
    symlinkSync(at('outside/secret'), at('notes/file'))
    symlinkSync(at('outside'), at('notes/folder'))
    symlinkSync('/dev/zero', at('notes/zero'))
    symlinkSync(at('notes/deep'), at('notes/inner'))
    symlinkSync(at('outside/new'), at('notes/dangling'))
    symlinkSync('/proc/self/environ', at('notes/environ'))
    for (const path of ['file', 'folder/secret', 'zero', 'inner/x', 'dangling', 'environ']) {
      expect(await call('readFile', `notes/${path}`), path).toMatchObject({ ok: false, denied: expect.stringContaining('a link is not followed') as string })
      expect(await call('writeFile', `notes/${path}`, 'broken in'), path).toMatchObject({ ok: false, denied: expect.any(String) as string })
    }
    expect(await call('list', 'notes/folder')).toMatchObject({ ok: false, denied: expect.any(String) as string })
    expect(readFileSync(at('outside/secret'), 'utf8')).toBe(secret)
    expect(readdirSync(at('outside'))).toEqual(['secret'])
    expect(readdirSync(at('notes/deep'))).toEqual([])
    expect(value(await call('list', 'notes'))).toContainEqual({ name: 'file', type: 'other', size: 0 })
  })

  test('opens no second name of a file, no pipe, no socket, and waits for none', async () => {
    linkSync(at('outside/secret'), at('notes/hard'))
    execFileSync('mkfifo', [at('notes/pipe')])
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(at('notes/socket'), resolve))
    for (const name of ['hard', 'pipe', 'socket']) {
      expect(await call('readFile', `notes/${name}`), name).toMatchObject({ ok: false, denied: expect.any(String) as string })
      expect(await call('writeFile', `notes/${name}`, 'broken in'), name).toMatchObject({ ok: false, denied: expect.any(String) as string })
    }
    server.close()
    expect(readFileSync(at('outside/secret'), 'utf8')).toBe(secret)
  })

  test('writes nothing where it may read, and does nothing without the capability', async () => {
    expect(await call('writeFile', 'docs/new', 'x')).toMatchObject({ ok: false, denied: expect.stringContaining('granted for reading') as string })
    expect(value(await call('readFile', 'docs/readme'))).toBe('read me')
    bridge = bridgeWith({}, ['file:read'])
    expect(await call('writeFile', 'notes/x', 'x')).toMatchObject({ ok: false, denied: expect.stringContaining('file:write') as string })
    bridge = bridgeWith({}, [])
    expect(await call('readFile', 'docs/readme')).toMatchObject({ ok: false, denied: expect.stringContaining('file:read') as string })
    expect(readdirSync(at('docs'))).toEqual(['readme'])
  })

  test('gets nowhere by swapping folders and links while it reads and writes', async () => {
    mkdirSync(at('notes/swap'))
    writeFileSync(at('notes/swap/secret'), 'harmless')
    // Another thread turns the folder into a link to the outside and back, as fast as it can.
    const racer = new Worker(
      `const { renameSync, rmSync, symlinkSync, unlinkSync } = require('node:fs')
      const { swap, aside, outside } = require('node:worker_threads').workerData
      for (;;) {
        try { renameSync(swap, aside); symlinkSync(outside, swap); unlinkSync(swap); renameSync(aside, swap) } catch {
          // The run made the folder anew in between.
          try { rmSync(swap, { recursive: true }); renameSync(aside, swap) } catch {}
        }
      }`,
      { eval: true, workerData: { swap: at('notes/swap'), aside: at('notes/aside'), outside: at('outside') } },
    )
    const exited = new Promise((resolve) => racer.once('exit', resolve))
    await new Promise((resolve) => racer.once('online', resolve))
    let harmless = 0
    let refused = 0
    for (let turn = 0; turn < 1_500; turn++) {
      const read = await call('readFile', 'notes/swap/secret')
      expect(JSON.stringify(read)).not.toContain(secret)
      if (read.ok) harmless++
      else refused++
      await call('writeFile', 'notes/swap/secret', 'harmless')
    }
    await racer.terminate()
    await exited
    expect(harmless).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
    expect(readFileSync(at('outside/secret'), 'utf8')).toBe(secret)
    expect(readdirSync(at('outside'))).toEqual(['secret'])
  })

  test('the control: a reader that checks first and opens then is led outside by one swap', () => {
    mkdirSync(at('notes/swap'))
    writeFileSync(at('notes/swap/secret'), 'harmless')
    expect(statSync(at('notes/swap')).isDirectory()).toBe(true)
    renameSync(at('notes/swap'), at('notes/aside'))
    symlinkSync(at('outside'), at('notes/swap'))
    expect(readFileSync(at('notes/swap/secret'), 'utf8')).toBe(secret)
    unlinkSync(at('notes/swap'))
  })
})
