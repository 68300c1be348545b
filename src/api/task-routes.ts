import { z } from 'zod'
import type { Did } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { LinesRoute, Route } from './routes.ts'
import * as schemas from './schemas.ts'

type Order = Parameters<MeshNode['tasks']['run']>[0]

/** Tasks of this node on other machines. */
export function taskRoutes(node: MeshNode, who: (text: string) => Did): readonly (Route | LinesRoute)[] {
  const orderOf = (body: unknown): Order => {
    const { on, limits, files, bundle, input, ...given } = body as z.infer<typeof schemas.taskBody>
    return {
      ...present(given),
      on: on === 'any' ? 'any' : who(on),
      code: given.code,
      input,
      limits: present(limits ?? {}),
      ...(files === undefined
        ? {}
        : { files: files.map(({ name, path, base64 }) => present({ name, path, bytes: base64 === undefined ? undefined : Buffer.from(base64, 'base64') })) }),
      ...(bundle === undefined ? {} : { bundle: Buffer.from(bundle, 'base64') }),
    }
  }
  return [
    {
      method: 'POST',
      url: '/v1/tasks',
      summary: 'Run code on a peer; the answer is progress in lines of JSON, a result or an error last. Closing the connection stops the task',
      body: schemas.taskBody,
      reply: schemas.taskLine,
      lines: ({ body, signal }) => node.tasks.run(orderOf(body), { signal }),
    },
    {
      method: 'POST',
      url: '/v1/tasks/start',
      summary: 'Run code on a peer and do not wait: the answer comes once the task is on disk here',
      body: schemas.taskBody,
      reply: schemas.askedTask,
      handle: async ({ body }) => await node.tasks.start(orderOf(body)),
    },
    {
      method: 'POST',
      url: '/v1/tasks/plan',
      summary: 'What would be sent, to whom, and what the executor says to it; nothing runs',
      body: schemas.taskBody,
      reply: schemas.taskPlan,
      handle: async ({ body, signal }) => await node.tasks.plan(orderOf(body), { signal }),
    },
    {
      method: 'GET',
      url: '/v1/tasks',
      summary: 'Tasks this node asked for: those that go on, then those that ended, the newest first',
      query: schemas.taskListQuery,
      reply: z.object({ asked: z.array(schemas.askedTask) }),
      async handle({ query }) {
        const { limit, ended } = query as z.infer<typeof schemas.taskListQuery>
        const all = node.tasks.list()
        const asked = ended === undefined ? all : all.filter(({ endedAt }) => (endedAt !== null) === (ended === 'true'))
        return { asked: asked.slice(0, limit) }
      },
    },
    {
      method: 'GET',
      url: '/v1/tasks/:id',
      summary: 'One task with its attempts, result and receipt',
      params: schemas.taskParams,
      reply: schemas.taskDescription,
      handle: async ({ params }) => await node.tasks.describe((params as z.infer<typeof schemas.taskParams>).id),
    },
    {
      method: 'GET',
      url: '/v1/tasks/:id/logs',
      summary: 'What a task printed, in lines of JSON; with follow=true until it ends. Closing the connection does not stop the task',
      params: schemas.taskParams,
      query: schemas.taskLogsQuery,
      reply: schemas.taskLogLine,
      lines({ params, query, signal }) {
        const { follow } = query as z.infer<typeof schemas.taskLogsQuery>
        return node.tasks.logs((params as z.infer<typeof schemas.taskParams>).id, { signal, follow: follow === 'true' })
      },
    },
    {
      method: 'POST',
      url: '/v1/tasks/stop',
      summary: 'Stop a task; the answer comes when it has ended',
      body: schemas.taskParams,
      reply: schemas.taskStopped,
      handle: async ({ body }) => await node.tasks.stop((body as z.infer<typeof schemas.taskParams>).id),
    },
  ]
}

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> }
/** The fields that were given. */
const present = <T extends object>(fields: T): Partial<Present<T>> & Pick<Present<T>, RequiredKeys<T>> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Present<T>> & Pick<Present<T>, RequiredKeys<T>>
type RequiredKeys<T> = { [K in keyof T]-?: undefined extends T[K] ? never : K }[keyof T]
