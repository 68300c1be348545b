import { z } from 'zod'
import type { MeshNode } from '../node/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'

type Pin = ReturnType<MeshNode['pins']['list']>[number]
const view = ({ offered, ...pin }: Pin) => ({ ...pin, offered: offered ?? null })
const sourceOf = (body: unknown): string => (body as z.infer<typeof schemas.pinNamed>).source

/** Whom something that is no identity led to when it was first used. */
export const pinRoutes = ({ pins }: MeshNode): readonly Route[] => [
  {
    method: 'GET',
    url: '/v1/pins',
    right: '/api/read',
    summary: 'Whom addresses without a peer ID led to at first; `offered` answered there since and was refused',
    reply: z.object({ pins: z.array(schemas.pin) }),
    handle: async () => ({ pins: pins.list().map(view) }),
  },
  {
    method: 'POST',
    url: '/v1/pins/approve',
    right: '/api/trust',
    summary: 'Take whoever answered last for the right one',
    body: schemas.pinNamed,
    reply: schemas.pin,
    handle: async ({ body }) => view(await pins.approve(sourceOf(body))),
  },
  {
    method: 'POST',
    url: '/v1/pins/remove',
    right: '/api/trust',
    summary: 'Forget a pin',
    body: schemas.pinNamed,
    reply: schemas.pin,
    handle: async ({ body }) => view(await pins.remove(sourceOf(body))),
  },
]
