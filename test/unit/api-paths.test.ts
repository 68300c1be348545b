import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLocalPaths } from '../../src/api/local-paths.ts'
import { cliPrincipal, type Principal } from '../../src/api/principals.ts'
import { routesOf } from '../../src/api/routes.ts'
import type { MeshNode } from '../../src/node/index.ts'
import { roleCommands } from '../../src/policy/index.ts'

let folder = ''
let home = ''
let notes = ''

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'kindmesh-paths-')))
  home = join(folder, 'profile')
  notes = join(folder, 'notes.txt')
  await mkdir(join(home, 'tasks'), { recursive: true })
  await mkdir(join(folder, 'side'))
  for (const path of [join(home, 'passphrase'), join(home, 'api.json'), join(home, 'vault'), notes]) await writeFile(path, 'x')
  await symlink(join(home, 'passphrase'), join(folder, 'link'))
  await symlink(join(home, 'tasks'), join(folder, 'tasks'))
  await symlink(home, join(folder, 'side', 'home'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const program = (role: keyof typeof roleCommands): Principal => ({ kind: 'token', surface: 'mcp', id: 'x', rights: roleCommands[role] })
const owner = program('owner')
const denied = (message: RegExp): unknown => expect.objectContaining({ code: 'ERR_POLICY_DENIED', message: expect.stringMatching(message) as unknown })
const inProfile = denied(/the folder of the profile/)

test('nobody but the command line names a path in the folder of the profile, however it is written', async () => {
  const { checked, checkedTree } = createLocalPaths(home)
  const written = [
    ...['passphrase', 'api.json', 'vault', 'identity.json', 'not/there/yet', '.', 'tasks/../vault'].map((name) => `${home}/${name}`),
    ...['link', 'side/home/vault', 'side/home', 'side/../profile/vault', 'tasks/../passphrase', 'tasks/new'].map((name) => `${folder}/${name}`),
  ]
  for (const path of written) {
    await expect(checked(owner, path), path).rejects.toEqual(inProfile)
    expect(await checked(cliPrincipal, path)).toBe(path)
  }
  expect(await checked(owner, notes)).toBe(notes)
  expect(await checked(owner, join(folder, 'side', 'new', 'one'))).toBe(join(folder, 'side', 'new', 'one'))
  // A folder above it holds it.
  await expect(checkedTree(owner, folder)).rejects.toEqual(inProfile)
  await expect(checkedTree(owner, '/')).rejects.toEqual(inProfile)
  expect(await checkedTree(owner, join(folder, 'side'))).toBe(join(folder, 'side'))
  expect(await checkedTree(cliPrincipal, folder)).toBe(folder)
})

/** A node of which every part can be asked for, and that does nothing. */
const idle: MeshNode = new Proxy(() => undefined, { get: () => idle, apply: () => idle }) as never

/** What a call answers, or throws, before it does anything. */
async function call(url: string, given: unknown, principal: Principal): Promise<unknown> {
  const done: unknown[] = []
  const parts: Readonly<Record<string, unknown>> = {
    resolve: (text: string) => text,
    tasks: {
      async *run(order: unknown) {
        yield done.push(order)
      },
      start: async (order: unknown) => void done.push(order),
      plan: async (order: unknown) => void done.push(order),
    },
    files: {
      async *send(_to: string, path: string, { name }: { readonly name?: string }) {
        yield done.push({ path, name })
      },
      receive: async ({ dir }: { readonly dir: string }) => {
        done.push({ dir })
        throw new Error('enough')
      },
    },
    agents: { programs: { list: () => [] }, add: async (name: string) => void done.push(name) },
  }
  const node = new Proxy(idle, { get: (_, name) => parts[String(name)] ?? idle })
  const route = routesOf(node, { version: '', startedAt: 0, home, origin: () => '' }).find((one) => one.url === url && one.method === 'POST')
  if (route === undefined) throw new Error(`no ${url}`)
  const request = { body: route.body?.parse(given), query: {}, params: {}, signal: new AbortController().signal, principal }
  try {
    if ('handle' in route) await route.handle(request)
    else for await (const _ of route.lines(request));
  } catch (error) {
    if ((error as Error).message !== 'enough') throw error
  }
  return done[0]
}

test('a task that names files or a folder of this machine asks for the right of files as well', async () => {
  const agent = program('agent')
  const order = { on: 'any', code: 'return 1', input: null }
  const lacks = denied(/does not have the right \/api\/file/)
  for (const url of ['/v1/tasks', '/v1/tasks/start', '/v1/tasks/plan']) {
    for (const named of [{ files: [{ path: notes }] }, { files: [{ name: 'a', base64: '' }, { path: notes }] }, { out: folder }]) {
      await expect(call(url, { ...order, ...named }, agent), url).rejects.toEqual(lacks)
      expect(await call(url, { ...order, ...named }, program('operator'))).toMatchObject(named.out === undefined ? { code: 'return 1' } : named)
    }
    expect(await call(url, { ...order, files: [{ name: 'a', base64: 'eA==' }] }, agent)).toMatchObject({ files: [{ name: 'a' }] })
    await expect(call(url, { ...order, files: [{ path: join(home, 'passphrase') }] }, owner)).rejects.toEqual(inProfile)
    await expect(call(url, { ...order, out: home }, owner)).rejects.toEqual(inProfile)
  }
})

test('files that are sent, folders that take some and folders that agents see lie outside of the profile', async () => {
  await expect(call('/v1/files/send', { to: 'ben', path: join(folder, 'link') }, owner)).rejects.toEqual(inProfile)
  expect(await call('/v1/files/send', { to: 'ben', path: join(home, 'vault') }, cliPrincipal)).toEqual({ path: join(home, 'vault') })
  await expect(call('/v1/files/receive', { dir: join(folder, 'tasks') }, owner)).rejects.toEqual(inProfile)
  expect(await call('/v1/files/receive', { dir: folder }, owner)).toEqual({ dir: folder })
  const withRoot = (path: string): unknown => ({ name: 'bot', program: { code: '', grants: { files: { roots: [{ name: 'all', path }] } } } })
  await expect(call('/v1/agents', withRoot(folder), owner)).rejects.toEqual(inProfile)
  await expect(call('/v1/agents', withRoot(home), owner)).rejects.toEqual(inProfile)
  expect(await call('/v1/agents', withRoot(join(folder, 'side')), owner)).toBe('bot')
  expect(await call('/v1/agents', withRoot(folder), cliPrincipal)).toBe('bot')
})
