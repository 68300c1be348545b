import { levelMark, levelMarks, type MarkShape } from '../../lib/levels.ts'
import type { Line, Spot } from './layout.ts'
import type { View } from './view.ts'

/** What the map needs of a canvas. */
export interface Pen {
  fillStyle: unknown
  strokeStyle: unknown
  lineWidth: number
  globalAlpha: number
  font: string
  textAlign: string
  textBaseline: string
  setTransform(a: number, b: number, c: number, d: number, e: number, f: number): void
  clearRect(x: number, y: number, width: number, height: number): void
  beginPath(): void
  moveTo(x: number, y: number): void
  lineTo(x: number, y: number): void
  arc(x: number, y: number, radius: number, start: number, end: number): void
  closePath(): void
  setLineDash(segments: number[]): void
  stroke(): void
  fill(): void
  fillText(text: string, x: number, y: number): void
}

/** Colours of the page, by name. */
export interface Palette {
  readonly text: string
  readonly faint: string
  readonly ground: string
  readonly accent: string
  /** By level plus one: distrust first. */
  readonly levels: readonly string[]
}

export interface Scene {
  readonly spots: readonly Spot[]
  readonly lines: readonly Line[]
  readonly view: View
  readonly width: number
  readonly height: number
  /** Device pixels per CSS pixel. */
  readonly ratio: number
  readonly selected: string | undefined
  readonly palette: Palette
  /** No words, links only. */
  readonly isPlain?: boolean
}

const radius = 7
/** Of the rings around this node and whoever is chosen. */
const selfRadius = radius * 2
const chosenRadius = radius * 2.4
/** Names on the map at a time: more would cover each other. */
const labelsMax = 60

/** Draws one frame: lines in one path a kind, then marks in one path a level, then names. */
export function draw(pen: Pen, scene: Scene): void {
  const { view, ratio, width, height } = scene
  pen.setTransform(ratio, 0, 0, ratio, 0, 0)
  pen.clearRect(0, 0, width, height)
  pen.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, ratio * view.x, ratio * view.y)
  drawLines(pen, scene)
  drawMarks(pen, scene)
  pen.setTransform(ratio, 0, 0, ratio, 0, 0)
  drawLabels(pen, scene)
}

const kinds = [
  { is: ({ edge }: Line) => edge.kind === 'word' && edge.level > 0, dash: [], width: 0.8, alpha: 0.3, colour: 'faint' },
  { is: ({ edge }: Line) => edge.kind === 'word' && edge.level <= 0, dash: [2, 4], width: 1.2, alpha: 0.8, colour: 'against' },
  { is: ({ edge }: Line) => edge.route === 'direct', dash: [], width: 2, alpha: 0.8, colour: 'accent' },
  { is: ({ edge }: Line) => edge.route === 'relayed', dash: [7, 5], width: 2, alpha: 0.8, colour: 'accent' },
] as const

function drawLines(pen: Pen, { lines, palette, selected }: Scene): void {
  for (const { is, dash, width, alpha, colour } of kinds) {
    const drawn = lines.filter((line) => is(line))
    if (drawn.length === 0) continue
    pen.strokeStyle = colour === 'faint' ? palette.text : colour === 'accent' ? palette.accent : (palette.levels[0] ?? palette.text)
    pen.globalAlpha = alpha
    pen.lineWidth = width
    pen.setLineDash([...dash])
    pen.beginPath()
    for (const { source, target } of drawn) {
      pen.moveTo(source.x, source.y)
      pen.lineTo(target.x, target.y)
    }
    pen.stroke()
  }
  pen.setLineDash([])
  const own = selected === undefined ? [] : lines.filter(({ source, target }) => source.did === selected || target.did === selected)
  if (own.length > 0) {
    pen.globalAlpha = 1
    pen.lineWidth = 2
    pen.strokeStyle = palette.text
    pen.beginPath()
    for (const { source, target } of own) {
      pen.moveTo(source.x, source.y)
      pen.lineTo(target.x, target.y)
    }
    pen.stroke()
  }
  pen.globalAlpha = 1
}

/** Alpha of a spot: who is away is fainter, who appears or leaves is on its way. */
const alphaOf = ({ node, seen }: Spot): number => seen * (node.standing === 'connected' || node.standing === 'self' ? 1 : 0.55)

function drawMarks(pen: Pen, { spots, palette, selected }: Scene): void {
  pen.lineWidth = 2
  for (const { level, shape } of levelMarks) {
    const colour = palette.levels[level + 1] ?? palette.text
    pen.fillStyle = shape === 'ring' ? palette.ground : colour
    pen.strokeStyle = colour
    // A path an alpha: most of a level share one.
    for (const [alpha, group] of Map.groupBy(
      spots.filter(({ node }) => levelMark(node.level).level === level),
      (spot) => Math.round(alphaOf(spot) * 20) / 20,
    )) {
      pen.globalAlpha = alpha
      pen.beginPath()
      for (const spot of group) trace(pen, shape, spot.x, spot.y, spot.node.standing === 'self' ? radius * 1.6 : radius)
      if (shape !== 'cross') pen.fill()
      pen.stroke()
    }
  }
  pen.globalAlpha = 1
  const around = spots.filter(({ did, node }) => did === selected || node.standing === 'self')
  pen.strokeStyle = palette.text
  pen.beginPath()
  for (const { x, y, did } of around) {
    const r = did === selected ? chosenRadius : selfRadius
    pen.moveTo(x + r, y)
    pen.arc(x, y, r, 0, 2 * Math.PI)
  }
  pen.stroke()
}

/** Adds a mark to the path. */
export function trace(pen: Pick<Pen, 'moveTo' | 'lineTo' | 'arc' | 'closePath'>, shape: MarkShape, x: number, y: number, r: number): void {
  const polygon = (corners: number, from: number, inner = 1): void => {
    for (let corner = 0; corner < corners; corner++) {
      const angle = from + (corner * 2 * Math.PI) / corners
      const reach = corner % 2 === 1 ? r * inner : r
      const [px, py] = [x + reach * Math.cos(angle), y + reach * Math.sin(angle)]
      if (corner === 0) pen.moveTo(px, py)
      else pen.lineTo(px, py)
    }
    pen.closePath()
  }
  if (shape === 'disc' || shape === 'ring') {
    pen.moveTo(x + r, y)
    pen.arc(x, y, r, 0, 2 * Math.PI)
  } else if (shape === 'triangle') polygon(3, -Math.PI / 2)
  else if (shape === 'square') polygon(4, -Math.PI / 4)
  else if (shape === 'star') polygon(10, -Math.PI / 2, 0.5)
  else {
    for (const side of [-1, 1]) {
      pen.moveTo(x - r, y - r * side)
      pen.lineTo(x + r, y + r * side)
    }
  }
}

/** How far from its middle a spot is drawn. */
const reachOf = ({ did, node }: Spot, selected: string | undefined): number =>
  did === selected ? chosenRadius : node.standing === 'self' ? selfRadius : radius

function drawLabels(pen: Pen, { spots, view, palette, selected, width, height }: Scene): void {
  pen.font = '12px system-ui, sans-serif'
  pen.textAlign = 'center'
  pen.textBaseline = 'top'
  pen.fillStyle = palette.text
  let room = labelsMax
  const first = spots.filter(({ did, node }) => did === selected || node.standing === 'self' || node.name !== undefined)
  // Names of one's own always, short DIDs when there is room for them.
  const rest = view.scale >= 1.2 || spots.length <= labelsMax ? spots.filter((spot) => !first.includes(spot)) : []
  for (const spot of [...first, ...rest]) {
    const [x, y] = [spot.x * view.scale + view.x, spot.y * view.scale + view.y]
    if (x < 0 || y < 0 || x > width || y > height) continue
    if (room-- <= 0) return
    pen.globalAlpha = alphaOf(spot)
    pen.fillText(spot.node.label, x, y + reachOf(spot, selected) * view.scale + 4)
  }
  pen.globalAlpha = 1
}
