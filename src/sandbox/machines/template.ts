import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, hex, type Random, toMeshError, utf8 } from '../../base/index.ts'
import { sha256 } from '../../crypto/index.ts'
import { type App, appFiles, workerEntry } from '../app-files.ts'
import { cacheFolder, cacheFolderPath, ownFolder } from '../containers/cache.ts'
import { removeOld, touch } from './old.ts'
import { nodeInside } from '../containers/rootfs.ts'
import { containerEnvironment } from '../containers/parts.ts'
import { frameTypes } from '../frames.ts'
import { wasmFlags } from '../launch.ts'
import { sandboxLimitsMax } from '../limits.ts'
import { unavailable } from '../programs.ts'
import { cpioArchive, type CpioEntry } from './cpio.ts'
import { byDeadline } from './deadline.ts'
import { nextFrame, probe, run, warmUp } from './errands.ts'
import { guestAgent, guestInit } from './guest-scripts.ts'
import { type GuestImage, guestImage } from './image.ts'
import { checkManifest, writeManifest } from './manifest.ts'
import type { Machine, MachineMonitor, MachineParts } from './monitor.ts'
import { wake } from './wake.ts'

/** Memory of a machine: the most a task may have, its kernel and Node. Source: sandbox/v1 section 3.2. */
export const machineMemoryMiB = sandboxLimitsMax.memoryMiB + 512

/** A machine as it was when its worker had served a few tasks. */
export interface Template {
  readonly folder: string
  readonly parts: MachineParts
  readonly stateFile: string
}

export interface TemplateOptions {
  readonly monitor: MachineMonitor
  readonly clock: Clock
  readonly random: Random
  /** From power on to the machine saved and tried. */
  readonly timeoutMs: number
  /** The script to run in place of the worker. */
  readonly entry?: string
  /** Where the image is. */
  readonly image?: () => GuestImage
}

/** Counts up when templates are made in another way. */
const layout = 1
/** What runs a few times is compiled. */
const warmUpRounds = 3
/** Saved machines of other versions that are kept, for nodes that still run. */
const templatesKept = 3

const agentOf = ({ entry, addon }: App): string =>
  guestAgent([nodeInside, ...wasmFlags, `/app/${entry.to}`, `/app/${addon.to}`, '--commands'], containerEnvironment)

/** Where the template of this machine, this Node and this version of the worker lies, made or not. */
function placeOf(image: GuestImage, app: App, monitor: MachineMonitor): { readonly folder: string; readonly template: Template } {
  const made = [layout, image.key, app.hash, monitor.name, monitor.build(), machineMemoryMiB, guestInit, agentOf(app)]
  const folder = join(cacheFolderPath(), `template-${hex(sha256(utf8(JSON.stringify(made)))).slice(0, 12)}`)
  return { folder, template: templateIn(folder, image) }
}

const templateIn = (folder: string, { kernel, rootDisk }: GuestImage): Template => ({
  folder,
  parts: { kernel, rootDisk, initialDisk: join(folder, 'initial'), memoryMiB: machineMemoryMiB },
  stateFile: join(folder, 'state'),
})

export const isTemplateMade = ({ monitor, entry = workerEntry(), image = guestImage }: Pick<TemplateOptions, 'monitor' | 'entry' | 'image'>): boolean =>
  existsSync(placeOf(image(), appFiles(entry), monitor).folder)

/** The template, checked byte for byte; made first where there is none. That a task ran in a copy of it is part of the making. @throws ERR_SANDBOX_UNAVAILABLE */
export async function prepareTemplate(options: TemplateOptions): Promise<Template> {
  const { monitor, entry = workerEntry(), image: imageOf = guestImage } = options
  const image = imageOf()
  const app = appFiles(entry)
  const { folder, template } = placeOf(image, app, monitor)
  await checkManifest(image.folder)
  if (!existsSync(folder)) await makeTemplate(options, image, app, folder)
  await checkManifest(ownFolder(folder))
  touch(folder)
  return template
}

async function makeTemplate({ monitor, clock, random, timeoutMs }: TemplateOptions, image: GuestImage, app: App, folder: string): Promise<void> {
  const unfinished = await mkdtemp(join(cacheFolder(), 'unfinished-'))
  await chmod(unfinished, 0o755)
  const machines: Machine[] = []
  const make = async (): Promise<void> => {
    const template = templateIn(unfinished, image)
    await writeFile(template.parts.initialDisk, await initialDisk(image, app), { mode: 0o444 })
    const machine = await monitor.boot(template.parts)
    machines.push(machine)
    machine.hold(true)
    await nextFrame(machine, frameTypes.ready)
    for (let round = 0; round < warmUpRounds; round++) await run(machine, warmUp)
    await machine.save(template.stateFile)
    const copy = await monitor.restore(template.parts, template.stateFile)
    machines.push(copy)
    copy.hold(true)
    await wake(copy, clock, random, timeoutMs)
    await run(copy, probe)
  }
  try {
    await byDeadline(clock, timeoutMs, `a machine of ${monitor.name} to boot, to be saved and to run a task`, make())
    await writeManifest(unfinished)
    try {
      await rename(unfinished, folder)
    } catch (error) {
      // Another process was quicker.
      if (!existsSync(folder)) throw error
    }
    await removeOld('template-', templatesKept)
  } catch (error) {
    const said = machines
      .map((machine) => machine.said().trim())
      .join(' ')
      .slice(-500)
    throw unavailable(`${monitor.name}: ${toMeshError(error).message}${said === '' ? '' : ` (${said})`}`)
  } finally {
    for (const machine of machines) machine.kill()
    await Promise.all(machines.map(({ closed }) => closed))
    await rm(unfinished, { recursive: true, force: true })
  }
}

async function initialDisk(image: GuestImage, app: App): Promise<Uint8Array> {
  const folders = (paths: readonly string[]): readonly string[] => [
    ...new Set(
      paths.flatMap((path) =>
        path
          .split('/')
          .slice(0, -1)
          .map((_, index, all) => all.slice(0, index + 1).join('/')),
      ),
    ),
  ]
  const file = (path: string, content: Uint8Array, permissions = 0o444): CpioEntry => ({ path, content, permissions })
  const modules = await readdir(join(image.folder, 'modules'))
  const files = [
    file('init', utf8(guestInit), 0o555),
    file('busybox', await readFile(join(image.folder, 'busybox')), 0o555),
    ...(await Promise.all(modules.map(async (name) => file(`modules/${name}`, await readFile(join(image.folder, 'modules', name)))))),
    ...(await Promise.all(app.files.map(async ({ from, to }) => file(`app/${to}`, await readFile(from))))),
    file('app/agent.pl', utf8(agentOf(app))),
  ]
  return cpioArchive([...folders(files.map(({ path }) => path)).map((path) => ({ path, permissions: 0o755 })), ...files])
}
