import { z } from 'zod'
import type { MeshNode } from '../node/index.ts'
import { explicitCapabilities } from '../policy/index.ts'
import type { LocalPaths } from './local-paths.ts'
import type { LinesRoute, Route } from './routes.ts'
import * as schemas from './schemas.ts'

type Named = z.infer<typeof schemas.agentBody>
type View = ReturnType<MeshNode['agents']['programs']['get']>

const programOf = ({ usage: { cpuMs, memoryBytes }, grants, backend, lastError, ...view }: View) => ({
  ...view,
  cpuMs,
  memoryBytes,
  capabilities: grants.capabilities,
  backend: backend ?? null,
  lastError: lastError ?? null,
})

/** What of grants names folders of this machine; whatever else they hold is read where they are kept. */
const foldersOf = z.object({ files: z.object({ roots: z.array(z.object({ path: z.string() })) }) })

/** Code without a sandbox, and what is granted by name alone: secrets and the system. */
function reachesFar(program: Pick<NonNullable<z.infer<typeof schemas.agentAddBody>['program']>, 'level' | 'grants'> | undefined): boolean {
  if (program === undefined) return false
  const { capabilities, vault } = program.grants
  const named: ReadonlySet<unknown> = new Set([capabilities].flat())
  return program.level === 'native' || [vault].flat().some((name) => name !== undefined) || explicitCapabilities.some((name) => named.has(name))
}

export function agentRoutes(node: MeshNode, paths: LocalPaths): readonly (Route | LinesRoute)[] {
  const { programs } = node.agents
  return [
    {
      method: 'GET',
      url: '/v1/agents',
      right: '/api/read',
      summary: 'Agents that live here, and how those do that are programs',
      reply: z.object({ agents: z.array(z.string()), keys: z.array(schemas.agentKey), programs: z.array(schemas.agentProgram) }),
      handle: async () => ({ agents: node.agents.list(), keys: node.agents.keys(), programs: node.agents.programs.list().map(programOf) }),
    },
    {
      method: 'POST',
      url: '/v1/agents',
      right: '/api/agent',
      stepUp: ({ body }) => reachesFar((body as z.infer<typeof schemas.agentAddBody>).program),
      summary: 'Register a built-in agent, or a program that runs in a sandbox of its own',
      body: schemas.agentAddBody,
      reply: schemas.agentKey,
      async handle({ body, principal }) {
        const { name, program } = body as z.infer<typeof schemas.agentAddBody>
        const folders = foldersOf.safeParse(program?.grants)
        for (const { path } of folders.data?.files.roots ?? []) await paths.checkedTree(principal, path)
        return await node.agents.add(name, program)
      },
    },
    {
      method: 'POST',
      url: '/v1/agents/update',
      right: '/api/agent',
      stepUp({ body }) {
        const { name } = body as Named
        return programs.list().some(({ level, grants, ...program }) => program.name === name && reachesFar({ level, grants: { ...grants } }))
      },
      summary: 'Put other code in the place of an agent program; what it may do stays',
      body: schemas.agentUpdateBody,
      reply: schemas.agentProgram,
      async handle({ body }) {
        const { name, ...code } = body as z.infer<typeof schemas.agentUpdateBody>
        return programOf(await programs.update(name, code))
      },
    },
    {
      method: 'POST',
      url: '/v1/agents/start',
      right: '/api/agent',
      summary: 'Start an agent program that is stopped or has failed',
      body: schemas.agentBody,
      reply: schemas.agentProgram,
      handle: async ({ body }) => programOf(await programs.start((body as Named).name)),
    },
    {
      method: 'POST',
      url: '/v1/agents/stop',
      right: '/api/agent',
      summary: 'Stop an agent program until it is started again',
      body: schemas.agentBody,
      reply: schemas.agentProgram,
      handle: async ({ body }) => programOf(await programs.stop((body as Named).name)),
    },
    {
      method: 'GET',
      url: '/v1/agents/logs',
      right: '/api/task/read',
      summary: 'What an agent program printed of late, in lines of JSON; with `follow` also what comes',
      query: schemas.agentLogsQuery,
      reply: schemas.agentLogLine,
      async *lines({ query, signal }) {
        const { name, follow } = query as z.infer<typeof schemas.agentLogsQuery>
        for await (const line of programs.logs(name, { follow, signal })) yield { type: 'line', ...line }
      },
    },
    {
      method: 'POST',
      url: '/v1/agents/rotate',
      right: '/api/agent',
      summary: 'Replace the key of an agent; its DID stays',
      body: schemas.agentBody,
      reply: schemas.agentKey,
      handle: async ({ body }) => await node.agents.rotate((body as Named).name),
    },
    {
      method: 'POST',
      url: '/v1/agents/remove',
      right: '/api/agent',
      summary: 'Send an agent away and forget its key',
      body: schemas.agentBody,
      reply: schemas.agentBody,
      async handle({ body }) {
        const { name } = body as Named
        await node.agents.remove(name)
        return { name }
      },
    },
  ]
}
