import { dayMs, hourMs, MeshError, minuteMs, secondMs } from '../base/index.ts'

const units: Readonly<Record<string, number>> = { ms: 1, s: secondMs, m: minuteMs, h: hourMs, d: dayMs }

/** `90d`, `12h`, `30s`, `250ms` in ms. @throws ERR_USAGE */
export function parseDuration(text: string): number {
  const [, number, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
  const unitMs = unit === undefined ? undefined : units[unit]
  if (number === undefined || unitMs === undefined || Number(number) === 0) {
    throw new MeshError('ERR_USAGE', `'${text}' is no duration`, { hint: 'such as 30s, 12h or 90d' })
  }
  return Number(number) * unitMs
}

const limitNames = {
  memory: 'memoryMiB',
  time: 'wallMs',
  cpu: 'cpuPercent',
  cputime: 'cpuMs',
  output: 'outputBytes',
  calls: 'hostCalls',
  net: 'netKiBps',
  files: 'fsOps',
  processes: 'processes',
} as const
export const limitsHint = 'memory=<MiB>,time=<ms>,cpu=<percent of a core>,cputime=<ms>,output=<bytes>,calls=<n>,net=<KiB/s>,files=<operations/s>,processes=<n>'

export type LimitsGiven = Partial<Record<(typeof limitNames)[keyof typeof limitNames], number>>

const isLimitName = (name: string): name is keyof typeof limitNames => Object.hasOwn(limitNames, name)

/** `memory=64,time=2000`: MiB and ms. Without `cputime` a task may compute for as long as it may take. @throws ERR_USAGE */
export function parseLimits(text: string): LimitsGiven {
  const limits: LimitsGiven = {}
  for (const part of text.split(',')) {
    const [name = '', value = ''] = part.split('=')
    const limit = isLimitName(name) ? limitNames[name] : undefined
    if (limit === undefined || !/^\d{1,12}$/.test(value)) {
      throw new MeshError('ERR_USAGE', `'${part}' is no limit`, { hint: limitsHint })
    }
    limits[limit] = Number(value)
  }
  if (limits.wallMs !== undefined && limits.cpuMs === undefined) limits.cpuMs = limits.wallMs
  return limits
}

/** @throws ERR_USAGE */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MeshError('ERR_USAGE', `${what} is no JSON: ${cause instanceof Error ? cause.message : ''}`, { cause, hint: `quote it for the shell: '{"a":1}'` })
  }
}

/** @throws ERR_USAGE */
export function parseCount(text: string, what: string, max: number): number {
  if (!/^\d{1,12}$/.test(text) || Number(text) > max) throw new MeshError('ERR_USAGE', `${what} must be a whole number up to ${max}`)
  return Number(text)
}

/** `2026-01-31` or `2026-01-31T12:00:00Z` in ms since 1970; without a zone it is UTC. @throws ERR_USAGE */
export function parseInstant(text: string, what: string): number {
  const [, , time, zone] = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text) ?? []
  const at = /^\d{4}-/.test(text) ? Date.parse(time !== undefined && zone === undefined ? `${text}Z` : text) : NaN
  if (Number.isNaN(at)) throw new MeshError('ERR_USAGE', `${what} '${text}' is no time`, { hint: 'such as 2026-01-31 or 2026-01-31T12:00:00Z' })
  return at
}

/** A stranger's text for a terminal: one line, without characters that steer it. */
export const plainText = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\u{fffd}')
