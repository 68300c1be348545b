/** What part of the map the canvas shows: screen = world * scale + (x, y). */
export interface View {
  readonly x: number
  readonly y: number
  readonly scale: number
}

interface Point {
  readonly x: number
  readonly y: number
}

interface Size {
  readonly width: number
  readonly height: number
}

const scaleMin = 0.1
const scaleMax = 8

export const toScreen = ({ x, y, scale }: View, at: Point): Point => ({ x: at.x * scale + x, y: at.y * scale + y })
export const toWorld = ({ x, y, scale }: View, at: Point): Point => ({ x: (at.x - x) / scale, y: (at.y - y) / scale })

export const pan = (view: View, byX: number, byY: number): View => ({ ...view, x: view.x + byX, y: view.y + byY })

/** Larger or smaller; what is under `at` (screen) stays there. */
export function zoom(view: View, factor: number, at: Point): View {
  const scale = Math.min(scaleMax, Math.max(scaleMin, view.scale * factor))
  const under = toWorld(view, at)
  return { scale, x: at.x - under.x * scale, y: at.y - under.y * scale }
}

/** All of it in the middle of the canvas. */
export function fit(points: readonly Point[], { width, height }: Size): View {
  if (points.length === 0) return { x: width / 2, y: height / 2, scale: 1 }
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity]
  for (const { x, y } of points) {
    left = Math.min(left, x)
    right = Math.max(right, x)
    top = Math.min(top, y)
    bottom = Math.max(bottom, y)
  }
  const margin = 48
  const scale = Math.min(1.4, Math.max(scaleMin, Math.min((width - 2 * margin) / Math.max(1, right - left), (height - 2 * margin) / Math.max(1, bottom - top))))
  return { scale, x: width / 2 - ((left + right) / 2) * scale, y: height / 2 - ((top + bottom) / 2) * scale }
}

/** Whoever is nearest to a place on the screen, within `reach` pixels. */
export function hit<T extends Point>(spots: readonly T[], view: View, at: Point, reach = 18): T | undefined {
  const world = toWorld(view, at)
  let best: T | undefined
  let distance = (reach / view.scale) ** 2
  for (const spot of spots) {
    const now = (spot.x - world.x) ** 2 + (spot.y - world.y) ** 2
    if (now <= distance) [best, distance] = [spot, now]
  }
  return best
}

const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] } as const
export type ArrowKey = keyof typeof directions
export const isArrow = (key: string): key is ArrowKey => Object.hasOwn(directions, key)

/** Whom an arrow key leads to: the nearest in that direction, with what lies aside counted double. */
export function towards<T extends Point>(spots: readonly T[], from: T, key: ArrowKey): T | undefined {
  const [dx, dy] = directions[key]
  let best: T | undefined
  let distance = Infinity
  for (const spot of spots) {
    const ahead = (spot.x - from.x) * dx + (spot.y - from.y) * dy
    const aside = Math.abs((spot.x - from.x) * dy) + Math.abs((spot.y - from.y) * dx)
    if (spot === from || ahead <= 0 || aside > 2 * ahead) continue
    const now = ahead + 2 * aside
    if (now < distance) [best, distance] = [spot, now]
  }
  return best
}
