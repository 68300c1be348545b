/** `did:key:z6Mkabcd…wxyz12`: enough to tell two apart, never enough to trust by. */
export const shortDid = (did: string): string => {
  const match = /^(did:[^:]+:(?:z6Mk)?)(.+)$/.exec(did)
  const [head = '', tail = did] = match === null ? [] : [match[1], match[2]]
  return tail.length <= 12 ? did : `${head}${tail.slice(0, 5)}…${tail.slice(-6)}`
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1.5 MiB` */
export function bytesText(bytes: number): string {
  const power = Math.min(byteUnits.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${byteUnits[power] ?? ''}`
}

/** `250 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h` */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min ${Math.floor(ms / 1_000) % 60} s`
  const hours = Math.floor(minutes / 60)
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

const grouped = new Intl.NumberFormat('en', { useGrouping: true })

/** `12,345` */
export const countText = (count: number): string => grouped.format(count)
