import { describe, expect, test } from 'vitest'
import { levelMarks } from '../../src/console/lib/levels.ts'
import { draw, type Pen, trace } from '../../src/console/pages/mesh/draw.ts'
import { createLayout } from '../../src/console/pages/mesh/layout.ts'
import { drawnPart, mapNodesMax, meshEvents, type Mesh, meshOf, type MeshAnswers } from '../../src/console/pages/mesh/model.ts'
import { fit, hit, isArrow, pan, toScreen, towards, toWorld, zoom } from '../../src/console/pages/mesh/view.ts'

const did = (name: string): string => `did:key:z6Mk${name.padEnd(40, '1')}`
const [me, anna, ben, zoe] = ['me', 'anna', 'ben', 'zoe'].map(did) as [string, string, string, string]

const answers = (
  peers: readonly { did: string; route?: 'direct' | 'relayed'; level?: number; capabilities?: string[] }[],
  away: readonly string[] = [],
): MeshAnswers => ({
  status: {
    ...{
      did: me,
      peerId: '12D3me',
      kindDid: 'did:kind:agent:me',
      version: '0',
      startedAt: 0,
      addresses: ['/ip4/127.0.0.1/tcp/1'],
      ticket: 't',
      peers: peers.length,
    },
    ...{ agents: [], capabilities: ['task'], roles: [], presence: 'online', sandboxes: [] },
  },
  peers: {
    peers: peers.map(({ did: id, route = 'direct', level = 0, capabilities }) => ({
      ...{ did: id, peerId: `12D3${id.slice(12, 16)}`, route, direction: 'outbound', addresses: ['/ip4/10.0.0.1/tcp/2'], level },
      ...(capabilities === undefined ? {} : { capabilities }),
    })),
    away: away.map((id) => ({ did: id, peerId: '12D3away', lastSeen: 5 })),
  },
  names: { names: [{ name: 'Anna', did: anna, since: 0 }] },
})

const graph = (nodes: readonly (readonly [string, number])[], edges: readonly (readonly [string, string, number])[]): NonNullable<MeshAnswers['graph']> => ({
  ...{ scope: '/task/run', at: 0, root: me, subject: null, leftOut: { nodes: 0, edges: 0 } },
  nodes: nodes.map(([id, level]) => ({ id, name: null, level, layer: null })),
  edges: edges.map(([issuer, subject, level], at) => ({ issuer, subject, level, id: String(at), until: 9, isHeard: true })),
})

const meshOfMany = (count: number): Mesh => meshOf(answers(Array.from({ length: count }, (_, at) => ({ did: did(`peer${at}x`) }))))

describe('the mesh as the console sees it', () => {
  test('holds this node, its peers, those that went away and those known by statements, each once', () => {
    const mesh = meshOf({
      ...answers([{ did: anna, level: 2, route: 'relayed' }], [ben]),
      graph: graph(
        [
          [me, 4],
          [anna, 2],
          [ben, 1],
          [zoe, -1],
        ],
        [
          [me, anna, 2],
          [anna, zoe, -1],
        ],
      ),
    })
    expect(mesh.nodes.map(({ did: id, standing, level }) => [id, standing, level])).toStrictEqual([
      [me, 'self', 4],
      [anna, 'connected', 2],
      [ben, 'away', 1],
      [zoe, 'known', -1],
    ])
    expect(mesh.edges.map(({ from, to, kind, route, level }) => [from, to, kind, route, level])).toStrictEqual([
      [me, anna, 'link', 'relayed', 0],
      [me, anna, 'word', undefined, 2],
      [anna, zoe, 'word', undefined, -1],
    ])
  })

  test('calls a peer by the operator’s own name, never by what the peer says of itself', () => {
    const mesh = meshOf(answers([{ did: anna }, { did: ben, capabilities: ['agent:\u202eanna<b>'] }]))
    expect(mesh.nodes.map(({ label }) => label)).toStrictEqual(['you', 'Anna', 'z6Mk…111111'])
    expect(mesh.nodes[2]?.capabilities).toStrictEqual(['agent:\u{fffd}anna<b>'])
  })

  test('changes by what happens to links, people and statements, and not by messages', () => {
    expect(['connected', 'disconnected', 'attestation', 'gap', 'message', 'task'].filter((event) => meshEvents.has(event))).toStrictEqual([
      'connected',
      'disconnected',
      'attestation',
      'gap',
    ])
  })

  test('draws the first 500 and lists them all', () => {
    const mesh = meshOfMany(mapNodesMax + 20)
    const drawn = drawnPart(mesh)
    expect([mesh.nodes.length, drawn.nodes.length, drawn.nodes[0]?.standing]).toStrictEqual([mapNodesMax + 21, mapNodesMax, 'self'])
    expect(drawn.edges.every(({ to }) => drawn.nodes.some(({ did: id }) => id === to))).toBe(true)
  })
})

describe('the layout of the map', () => {
  const placed = (mesh: Mesh) => {
    const layout = createLayout()
    layout.update(mesh.nodes, mesh.edges)
    layout.settle()
    return layout
  }

  test('comes to rest with everybody on a place of his own, the same every time', () => {
    const mesh = meshOfMany(60)
    const layout = placed(mesh)
    const places = (of: typeof layout) => of.spots().map(({ x, y }) => `${x.toFixed(3)},${y.toFixed(3)}`)
    expect(new Set(places(layout)).size).toBe(61)
    expect(places(layout)).toStrictEqual(places(placed(mesh)))
    expect(layout.step()).toBe(false)
    expect(layout.spots().every(({ seen }) => seen === 1)).toBe(true)
  })

  test('keeps places when somebody comes, and lets who goes fade before it drops out', () => {
    const layout = placed(meshOf(answers([{ did: anna }])))
    const before = layout.spot(anna)
    const with2 = meshOf(answers([{ did: anna }, { did: ben }]))
    layout.update(with2.nodes, with2.edges)
    expect(layout.spot(anna)).toBe(before)
    expect(layout.spot(ben)?.seen).toBe(0)
    layout.settle()
    const without = meshOf(answers([{ did: ben }]))
    layout.update(without.nodes, without.edges)
    layout.step()
    expect(layout.spot(anna)).toMatchObject({ isLeaving: true, seen: 0.95 })
    layout.settle()
    expect(layout.spots().map(({ did: id }) => id)).toStrictEqual([me, ben])
  })

  test('does not start to move again when an update changes nothing', () => {
    const mesh = meshOfMany(5)
    const layout = placed(mesh)
    layout.update(mesh.nodes, mesh.edges)
    expect(layout.step()).toBe(false)
  })

  test('holds who is dragged where the pointer is', () => {
    const layout = placed(meshOf(answers([{ did: anna }])))
    layout.hold(anna, { x: 300, y: -20 })
    layout.step()
    expect(layout.spot(anna)).toMatchObject({ x: 300, y: -20 })
    layout.hold(anna)
    layout.settle()
    expect(layout.spot(anna)?.x).toBeLessThan(300)
  })
})

describe('the view of the map', () => {
  test('zooms around the pointer, pans by pixels, and fits all of it', () => {
    const view = zoom({ x: 10, y: 20, scale: 1 }, 2, { x: 110, y: 70 })
    expect(toWorld(view, { x: 110, y: 70 })).toStrictEqual({ x: 100, y: 50 })
    expect(pan(view, 5, -5)).toStrictEqual({ ...view, x: view.x + 5, y: view.y - 5 })
    expect(zoom(view, 1e9, { x: 0, y: 0 }).scale).toBe(8)
    const points = [
      { x: -400, y: 0 },
      { x: 900, y: 300 },
    ]
    const all = fit(points, { width: 600, height: 400 })
    for (const point of points.map((one) => toScreen(all, one))) {
      expect(point.x).toBeGreaterThanOrEqual(47.9)
      expect(point.x).toBeLessThanOrEqual(552.1)
    }
  })

  test('finds who is under the pointer and whom an arrow key leads to', () => {
    const [a, b, c] = [
      { x: 0, y: 0 },
      { x: 50, y: 10 },
      { x: 20, y: 100 },
    ] as const
    const view = { x: 0, y: 0, scale: 2 }
    expect(hit([a, b, c], view, { x: 105, y: 18 })).toBe(b)
    expect(hit([a, b, c], view, { x: 60, y: 60 })).toBeUndefined()
    expect(['ArrowUp', 'Enter', 'toString'].map(isArrow)).toStrictEqual([true, false, false])
    expect(towards([a, b, c], a, 'ArrowRight')).toBe(b)
    expect(towards([a, b, c], a, 'ArrowDown')).toBe(c)
    expect(towards([a, b, c], a, 'ArrowLeft')).toBeUndefined()
  })
})

describe('the drawing of the map', () => {
  const recorder = () => {
    const calls: string[] = []
    const names = 'setTransform clearRect beginPath moveTo lineTo arc closePath stroke fill fillText setLineDash'.split(' ')
    const pen = Object.fromEntries(names.map((name) => [name, (...given: unknown[]) => void calls.push([name, ...given].join(' '))])) as unknown as Pen
    return { pen, calls }
  }

  test('gives every level a shape of its own', () => {
    const outlines = levelMarks.map(({ shape }) => {
      const { pen, calls } = recorder()
      trace(pen, shape, 0, 0, 10)
      return shape === 'ring' ? 'ring' : calls.join()
    })
    expect(new Set(outlines).size).toBe(levelMarks.length)
  })

  test('tells relayed links from direct ones by their dashes, and writes names as they are', () => {
    const { nodes, edges } = meshOf(answers([{ did: anna, route: 'relayed' }, { did: ben }]))
    const layout = createLayout()
    layout.update(nodes, edges)
    layout.settle()
    const { pen, calls } = recorder()
    const palette = { text: '#000', faint: '#777', ground: '#fff', accent: '#00f', levels: [] }
    draw(pen, {
      spots: layout.spots(),
      lines: layout.lines(),
      view: fit(layout.spots(), { width: 400, height: 300 }),
      width: 400,
      height: 300,
      ratio: 1,
      selected: anna,
      palette,
    })
    expect(calls.filter((call) => call.startsWith('setLineDash'))).toStrictEqual(['setLineDash ', 'setLineDash 7,5', 'setLineDash '])
    expect(calls.filter((call) => call.startsWith('fillText')).map((call) => call.split(' ')[1])).toStrictEqual(['you', 'Anna', 'z6Mk…111111'])
  })
})
