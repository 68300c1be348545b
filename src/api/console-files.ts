import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { MeshError } from '../base/index.ts'

/** What the console may do in a browser: run and load what this node serves, and nothing else. */
const contentPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  // No policy at all: nothing in the console parses markup.
  "trusted-types 'none'",
].join('; ')

/** Passkeys, and writing to the clipboard when asked; no camera, no place, no sensor. */
const permissions = [
  'publickey-credentials-get=(self)',
  'publickey-credentials-create=(self)',
  'clipboard-write=(self)',
  ...[
    'accelerometer',
    'autoplay',
    'camera',
    'clipboard-read',
    'display-capture',
    'fullscreen',
    'geolocation',
    'gyroscope',
    'hid',
    'idle-detection',
    'local-fonts',
    'magnetometer',
    'microphone',
    'midi',
    'payment',
    'picture-in-picture',
    'screen-wake-lock',
    'serial',
    'usb',
    'xr-spatial-tracking',
  ].map((name) => `${name}=()`),
].join(', ')

/** Beside what the guards set on every answer. */
const pageHeaders = {
  'content-security-policy': contentPolicy,
  'permissions-policy': permissions,
  'cross-origin-embedder-policy': 'require-corp',
} as const

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** By the name it has in `accept-encoding`, best first. */
const encodings = { br: '.br', gzip: '.gz' } as const
type Encoding = keyof typeof encodings | 'identity'

interface ConsoleFile {
  readonly type: string
  readonly bodies: ReadonlyMap<Encoding, Buffer>
}

/** The console as it is served, by path: `/` and `/assets/<name>`. Empty when it is not built. */
export type ConsoleFiles = ReadonlyMap<string, ConsoleFile>

/** Beside what was compiled in a package; in `dist` of a checkout, which runs its sources. */
const folderDefault = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../../dist/console' : '../console', import.meta.url))

/** Reads the built console whole: what is served later is only what was found now. */
export async function readConsole(folder = folderDefault): Promise<ConsoleFiles> {
  const names = await readdir(join(folder, 'assets')).catch(() => [])
  const assets = names.map((name): readonly [string, string] => [`/assets/${name}`, join('assets', name)])
  const paths: readonly (readonly [string, string])[] = [['/', 'index.html'], ...assets]
  const served = paths.filter(([, name]) => types[extname(name)] !== undefined)
  const files = await Promise.all(served.map(async ([path, name]) => [path, await readOne(join(folder, name))] as const))
  return new Map(files.flatMap(([path, file]) => (file === undefined ? [] : [[path, file] as const])))
}

async function readOne(path: string): Promise<ConsoleFile | undefined> {
  const body = await readFile(path).catch(() => undefined)
  if (body === undefined) return undefined
  const packed = await Promise.all(
    Object.entries(encodings).map(async ([encoding, ending]) => [encoding as Encoding, await readFile(path + ending).catch(() => undefined)] as const),
  )
  const bodies = packed.flatMap(([encoding, bytes]) => (bytes === undefined ? [] : [[encoding, bytes] as const]))
  return { type: types[extname(path)] ?? '', bodies: new Map([...bodies, ['identity', body]]) }
}

/** One route a file, so that no path is ever looked up on disk. False when there is nothing to serve. */
export function addConsole(server: FastifyInstance, files: ConsoleFiles): boolean {
  const options = { config: { isOpen: true }, schema: { hide: true } } as const
  if (files.size === 0) {
    server.get('/', options, async () => {
      throw new MeshError('ERR_NOT_FOUND', 'the console is not built', { hint: 'run `npm run build:console` in the checkout, then start the node again' })
    })
  }
  for (const [path, file] of files) server.get(path, options, (request, reply) => sendFile(file, path, request, reply))
  return files.size > 0
}

function sendFile({ type, bodies }: ConsoleFile, path: string, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const encoding = chooseEncoding(request.headers['accept-encoding'], bodies)
  if (encoding !== 'identity') reply.header('content-encoding', encoding)
  return (
    reply
      .headers(pageHeaders)
      .header('content-type', type)
      .header('vary', 'accept-encoding')
      // The name of an asset holds its hash; the page names the assets of the day.
      .header('cache-control', path === '/' ? 'no-cache' : 'public, max-age=31536000, immutable')
      .send(bodies.get(encoding))
  )
}

function chooseEncoding(accepted: string | undefined, bodies: ConsoleFile['bodies']): Encoding {
  const offers = new Set(
    (accepted ?? '').split(',').flatMap((part) => {
      const [name = '', ...parameters] = part.split(';').map((each) => each.trim())
      return parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter)) ? [] : [name.toLowerCase()]
    }),
  )
  return [...bodies.keys()].find((encoding) => offers.has(encoding)) ?? 'identity'
}
