import { basename } from 'node:path'
import type { z } from 'zod'
import { type Did, MeshError, type SignalOption } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { LocalPaths } from './local-paths.ts'
import type { Principal } from './principals.ts'
import type { LinesRoute, Route } from './routes.ts'
import * as schemas from './schemas.ts'

/** Tasks of others looked through for the beginning of an id. */
const servedLookMax = 1_000

type Order = Parameters<MeshNode['tasks']['run']>[0]

/** Tasks of this node on other machines, and those of others here. */
export function taskRoutes(node: MeshNode, who: (text: string) => Did, paths: LocalPaths): readonly (Route | LinesRoute)[] {
  /** @throws ERR_POLICY_DENIED for paths of this machine that are not the caller's to name */
  const orderOf = async (body: unknown, principal: Principal): Promise<Order> => {
    const { on, limits, files: named, out, bundle, input, grants, ...given } = body as z.infer<typeof schemas.taskBody>
    const files = named && (await Promise.all(named.map((file) => checkedFile(file, principal))))
    return {
      ...present(given),
      on: on === 'any' ? 'any' : who(on),
      code: given.code,
      input,
      limits: present(limits ?? {}),
      ...(out === undefined ? {} : { out: await paths.checked(principal, out) }),
      ...(files === undefined
        ? {}
        : { files: files.map(({ name, path, base64 }) => present({ name, path, bytes: base64 === undefined ? undefined : Buffer.from(base64, 'base64') })) }),
      ...(grants === undefined ? {} : { grants: grants.map((text) => node.grants.chainOf(text)) }),
      ...(bundle === undefined ? {} : { bundle: Buffer.from(bundle, 'base64') }),
    }
  }
  type Named = NonNullable<z.infer<typeof schemas.taskBody>['files']>[number]
  async function checkedFile({ path, name, ...rest }: Named, principal: Principal): Promise<Named> {
    if (path === undefined) return { ...rest, name }
    const real = await paths.checked(principal, path)
    return { ...rest, path: real, name: name ?? basename(path) }
  }
  const idOf = (params: unknown): string => (params as z.infer<typeof schemas.taskParams>).id
  /** The whole id of a task run for others, by the beginning of it; undefined when this node asked for it, or nobody did. */
  function servedId(start: string): string | undefined {
    if (node.tasks.list().some(({ id }) => id.startsWith(start))) return undefined
    const { served } = node.tasks
    const fits = new Set([...served.list(), ...served.history({ limit: servedLookMax })].map(({ id }) => id).filter((id) => id.startsWith(start)))
    if (fits.size > 1) throw new MeshError('ERR_USAGE', `several tasks begin with ${start}`)
    return [...fits][0]
  }
  return [
    {
      method: 'POST',
      url: '/v1/tasks',
      right: '/api/task',
      summary: 'Run code on a peer; the answer is progress in lines of JSON, a result or an error last. Closing the connection stops the task',
      body: schemas.taskBody,
      reply: schemas.taskLine,
      async *lines({ body, signal, principal }) {
        yield* node.tasks.run(await orderOf(body, principal), { signal })
      },
    },
    {
      method: 'POST',
      url: '/v1/tasks/start',
      right: '/api/task',
      summary: 'Run code on a peer and do not wait: the answer comes once the task is on disk here',
      body: schemas.taskBody,
      reply: schemas.askedTask,
      handle: async ({ body, principal }) => await node.tasks.start(await orderOf(body, principal)),
    },
    {
      method: 'POST',
      url: '/v1/tasks/plan',
      right: '/api/task',
      summary: 'What would be sent, to whom, and what the executor says to it; nothing runs',
      body: schemas.taskBody,
      reply: schemas.taskPlan,
      handle: async ({ body, signal, principal }) => await node.tasks.plan(await orderOf(body, principal), { signal }),
    },
    {
      method: 'GET',
      url: '/v1/tasks',
      right: '/api/read',
      summary: 'Tasks this node asked for, and those it runs for others: those that go on, then those that ended, the newest first',
      query: schemas.taskListQuery,
      reply: schemas.taskList,
      async handle({ query }) {
        const { limit, ended } = query as z.infer<typeof schemas.taskListQuery>
        const asked = node.tasks.list().filter(({ endedAt }) => ended === undefined || (endedAt !== null) === (ended === 'true'))
        const { served } = node.tasks
        const others = [...(ended === 'true' ? [] : served.list()), ...(ended === 'false' ? [] : served.history({ limit }))]
        return { asked: asked.slice(0, limit), served: others.slice(0, limit).map(servedView) }
      },
    },
    {
      method: 'GET',
      url: '/v1/tasks/:id',
      right: '/api/task/read',
      summary: 'One task, asked for with attempts, result and receipt, or run for somebody else; the beginning of its id is enough',
      params: schemas.taskParams,
      reply: schemas.anyTask,
      async handle({ params }) {
        const id = idOf(params)
        const served = servedId(id)
        return served === undefined ? await node.tasks.describe(id) : servedView(node.tasks.served.describe(served))
      },
    },
    {
      method: 'GET',
      url: '/v1/tasks/:id/logs',
      right: '/api/task/read',
      summary: 'What a task printed, in lines of JSON; with follow=true until it ends. Closing the connection does not stop the task',
      params: schemas.taskParams,
      query: schemas.taskLogsQuery,
      reply: schemas.taskLogLine,
      lines({ params, query, signal }) {
        const follow = (query as z.infer<typeof schemas.taskLogsQuery>).follow === 'true'
        const id = idOf(params)
        const served = servedId(id)
        return served === undefined ? node.tasks.logs(id, { signal, follow }) : servedLogs(node, served, { signal, follow })
      },
    },
    {
      method: 'POST',
      url: '/v1/tasks/stop',
      right: '/api/task',
      summary: 'Stop a task, asked for or run for somebody else; the answer comes when one that was asked for has ended',
      body: schemas.taskParams,
      reply: schemas.taskStopped,
      async handle({ body }) {
        const id = idOf(body)
        const served = servedId(id)
        if (served === undefined) return await node.tasks.stop(id)
        const stopped = node.tasks.served.stop(served)
        return { id: served, stopped, status: node.tasks.served.describe(served).state }
      },
    },
  ]
}

type Served = MeshNode['tasks']['served']

const servedView = (task: ReturnType<Served['describe']>): object => ({ role: 'served', ...task })

/** The log of a task run for somebody else, in the lines of one that was asked for. */
async function* servedLogs(node: MeshNode, id: string, options: SignalOption & { readonly follow: boolean }): AsyncGenerator<object> {
  let n = 0
  for await (const item of node.tasks.served.logs(id, options)) {
    if ('cut' in item) {
      n += item.cut.lines
      yield { type: 'cut', ...item.cut }
    } else yield { type: 'line', n: ++n, ...item }
  }
  yield { type: 'end', status: node.tasks.served.describe(id).state }
}

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> }
/** The fields that were given. */
const present = <T extends object>(fields: T): Partial<Present<T>> & Pick<Present<T>, RequiredKeys<T>> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Present<T>> & Pick<Present<T>, RequiredKeys<T>>
type RequiredKeys<T> = { [K in keyof T]-?: undefined extends T[K] ? never : K }[keyof T]
