// Makes a checkout ready to run: dependencies as the lockfile says, and the system packages that cannot come from npm.
// Runs before `npm start` and `npm test` on whatever Node is there (18 up), says what it does on stderr only, and costs next to nothing when there is nothing to do.
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isConsoleCurrent } from './console-stamp.mjs'

const nodeMajorMin = 24
const aptTimeoutMs = 300_000
const aptRetryAfterMs = 3_600_000
const lockPollMs = 200

const root = fileURLToPath(new URL('..', import.meta.url))
const lock = `${root}.setup.lock`
const aptFailed = `${root}node_modules/.setup-apt-failed`

/** What a Debian package puts on disk, so that asking costs no process. */
const sandboxPackages = { bubblewrap: '/usr/bin/bwrap' }
const vectorPackages = {
  'python3-cryptography': '/usr/lib/python3/dist-packages/cryptography',
  'python3-cbor2': '/usr/lib/python3/dist-packages/cbor2',
}

/** Every way to make a container that tests try; busybox and libraries of the containers come pinned, by scripts/make-rootfs.ts. */
const containerPackages = { crun: '/usr/bin/crun', runc: '/usr/sbin/runc', runsc: '/usr/bin/runsc' }

/** What machines need that tests try; their kernel and programs come pinned, by scripts/make-guest.ts. */
const machinePackages = { 'qemu-system-x86': '/usr/bin/qemu-system-x86_64', e2fsprogs: '/usr/sbin/mke2fs' }

/** In which the console is tried and looked at. */
const browserPackages = { chromium: '/usr/bin/chromium' }

const forTests = process.argv.includes('--tests')

if (isInstallNeeded()) withLock(install)
if (process.exitCode === undefined) checkNode()
if (process.exitCode === undefined && process.platform === 'linux') {
  systemPackages({ ...sandboxPackages, ...(forTests ? { ...vectorPackages, ...containerPackages, ...machinePackages, ...browserPackages } : {}) })
}
if (process.exitCode === undefined && process.platform === 'linux' && forTests) guestFiles()
if (process.exitCode === undefined && !isConsoleCurrent()) builtConsole()

function say(text) {
  process.stderr.write(`setup: ${text}\n`)
}

/** True unless everything the lockfile names is installed as it says; optional packages may be absent. */
function isInstallNeeded() {
  const installed = readLock('node_modules/.package-lock.json')
  if (installed === undefined) return true
  return Object.entries(readLock('package-lock.json') ?? {}).some(([path, wanted]) => {
    if (path === '') return false
    const found = installed[path]
    if (found === undefined) return !(wanted.optional || wanted.devOptional || wanted.peer)
    return found.version !== wanted.version || found.integrity !== wanted.integrity
  })
}

function readLock(path) {
  try {
    return JSON.parse(readFileSync(root + path, 'utf8')).packages
  } catch {
    return undefined
  }
}

/** Two terminals may start at once in a fresh checkout: the second waits for the first. */
function withLock(work) {
  const isMine = takeLock()
  if (!isMine) {
    say('waiting for another set-up in this folder')
    while (!takeLock()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lockPollMs)
  }
  try {
    if (isMine || isInstallNeeded()) work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function takeLock() {
  try {
    const file = openSync(lock, 'wx')
    writeSync(file, String(process.pid))
    closeSync(file)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    if (!isAlive(lockHolder())) rmSync(lock, { force: true })
    return false
  }
}

function lockHolder() {
  try {
    return Number(readFileSync(lock, 'utf8'))
  } catch {
    return 0
  }
}

function isAlive(pid) {
  // An empty lock file was opened a moment ago by somebody about to write into it.
  if (pid === 0) return existsSync(lock) && Date.now() - statSync(lock).mtimeMs < 5_000
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Without install scripts: they would compile for the Node that npm runs on; prebuilt binaries fit the one we run on. */
function install() {
  say('installing dependencies (npm ci)')
  const { status, error } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (status === 0) return say('dependencies installed')
  say(`npm ci failed${error ? ` (${error.message})` : ''}: run \`npm ci --ignore-scripts\` to see why`)
  process.exitCode = 1
}

function checkNode() {
  if (Number.parseInt(process.versions.node, 10) >= nodeMajorMin || existsSync(`${root}node_modules/.bin/node`)) return
  say(`Node ${nodeMajorMin} or newer is needed, this is ${process.version}: install that first`)
  process.exitCode = 1
}

/** Never a reason to stop: what needs a missing package says so itself. */
function systemPackages(wanted) {
  const missing = Object.keys(wanted).filter((name) => !existsSync(wanted[name]))
  if (missing.length === 0) return
  const command = `apt-get install -y ${missing.join(' ')}`
  const mayInstall = process.env.KINDMESH_SETUP_APT !== '0' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
  if (!mayInstall) return say(`not installed: ${missing.join(', ')}. On Debian: sudo ${command}`)
  if (failedLately()) return say(`not installed: ${missing.join(', ')}; the last try failed. By hand: ${command}`)

  say(`installing ${missing.join(', ')} (${command})`)
  const isDone = apt('update') && apt('install', '-y', '--no-install-recommends', ...missing)
  if (isDone) return say('system packages installed')
  say(`that failed, going on without. By hand: apt-get update && ${command}`)
  writeFileSync(aptFailed, '')
}

/** Costs a process, so only for tests; a node says itself what its containers and machines lack. */
function guestFiles() {
  spawnSync(`${root}node_modules/.bin/node`, [`${root}scripts/make-rootfs.ts`], { stdio: ['ignore', 2, 2] })
  spawnSync(`${root}node_modules/.bin/node`, [`${root}scripts/make-guest.ts`], { stdio: ['ignore', 2, 2] })
}

/** Never a reason to stop: a node without its console says so, and runs. */
function builtConsole() {
  say('building the console')
  const { status } = spawnSync(currentNode(), [`${root}scripts/build-console.ts`], { stdio: ['ignore', 2, 2] })
  if (status !== 0) say('the console could not be built: run `npm run build:console` to see why')
}

/** One that runs TypeScript: ours when it is new enough, else the one npm installed. */
function currentNode() {
  return Number.parseInt(process.versions.node, 10) >= nodeMajorMin ? process.execPath : `${root}node_modules/.bin/node`
}

function failedLately() {
  return existsSync(aptFailed) && Date.now() - statSync(aptFailed).mtimeMs < aptRetryAfterMs
}

function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  return spawnSync('apt-get', ['-qq', '-o=Dpkg::Use-Pty=0', ...args], { env, stdio: ['ignore', 2, 2], timeout: aptTimeoutMs }).status === 0
}
