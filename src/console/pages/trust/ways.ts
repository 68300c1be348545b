/** Somebody on a drawn way; `at` counts steps from the root, `row` counts ways. */
export interface WayPoint {
  readonly did: string
  readonly x: number
  readonly y: number
  readonly kind: 'root' | 'subject' | 'between'
}

export interface WaysDrawing {
  readonly width: number
  readonly height: number
  readonly points: readonly WayPoint[]
  readonly steps: readonly { readonly way: number; readonly from: WayPoint; readonly to: WayPoint }[]
}

const rowHeight = 56
const margin = 44

/**
 * Ways from the root to the subject side by side: the root left, the subject right, each way a row of its own.
 * Whoever stands on several of them (an AUTHORITY may) is one point, in the row of the first.
 */
export function drawWays(ways: readonly (readonly string[])[], width = 640): WaysDrawing {
  const [first] = ways
  const [root, subject] = [first?.[0], first?.at(-1)]
  if (root === undefined || subject === undefined) return { width, height: 0, points: [], steps: [] }
  const height = Math.max(1, ways.length) * rowHeight
  const places = new Map<string, WayPoint>([
    [root, { did: root, x: margin, y: height / 2, kind: 'root' }],
    [subject, { did: subject, x: width - margin, y: height / 2, kind: 'subject' }],
  ])
  for (const [row, way] of ways.entries()) {
    for (const [at, did] of way.entries()) {
      if (places.has(did)) continue
      const x = margin + (at * (width - 2 * margin)) / (way.length - 1)
      places.set(did, { did, x, y: (row + 0.5) * rowHeight, kind: 'between' })
    }
  }
  const steps = ways.flatMap((way, row) =>
    way.slice(1).flatMap((did, at) => {
      const [from, to] = [places.get(way[at] ?? ''), places.get(did)]
      return from === undefined || to === undefined ? [] : [{ way: row, from, to }]
    }),
  )
  return { width, height, points: [...places.values()], steps }
}
