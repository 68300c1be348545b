/** What a task used of one thing, beside what it was allowed. */
export interface UsageRow {
  readonly name: string
  readonly unit: 'ms' | 'bytes' | 'count'
  readonly used: number
  readonly limit: number | undefined
}

type Numbers = Readonly<Record<string, number | undefined>>

const mebibyte = 1_048_576

/** Usage against limits, in the same units. Memory is limited in MiB and used in bytes. */
export function usageRows(usage: Numbers, limits: Numbers): readonly UsageRow[] {
  const memory = limits['memoryMiB']
  const rows: readonly (UsageRow | undefined)[] = [
    row('Time', 'ms', usage['wallMs'], limits['wallMs']),
    row('Processor time', 'ms', usage['cpuMs'], limits['cpuMs']),
    row('Memory', 'bytes', usage['memoryBytes'], memory === undefined ? undefined : memory * mebibyte),
    row('Output', 'bytes', usage['outputBytes'], limits['outputBytes']),
    row('Calls to the host', 'count', usage['hostCalls'], limits['hostCalls']),
    row('File operations', 'count', usage['fsOps'], limits['fsOps']),
    row('Network', 'bytes', usage['netBytes'], undefined),
  ]
  return rows.filter((one) => one !== undefined)
}

const row = (name: string, unit: UsageRow['unit'], used: number | undefined, limit: number | undefined): UsageRow | undefined =>
  used === undefined ? undefined : { name, unit, used, limit }
