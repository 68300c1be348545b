import type { z } from 'zod'
import type { MeshNode } from '../node/index.ts'
import type { Route } from './routes.ts'
import { doctorReport } from './doctor-schemas.ts'

type Finding = z.infer<typeof doctorReport>['findings'][number]

const ok = (what: string, detail: string): Finding => ({ what, state: 'ok', detail, fix: null })
const warn = (what: string, detail: string, fix: string): Finding => ({ what, state: 'warn', detail, fix })

/** How a running node does, and the command that mends it; `kindmesh doctor` also looks at files, disk and machine. */
export const doctorRoutes = (node: MeshNode): readonly Route[] => [
  {
    method: 'GET',
    url: '/v1/doctor',
    right: '/api/audit/read',
    summary: 'What is wrong with the node, and the command that mends it; checks the whole audit log',
    reply: doctorReport,
    async handle() {
      const findings = [ok('Node.js', process.versions.node), ...checkMesh(node), checkOwner(node), ...checkSandboxes(node), await checkAudit(node)]
      return { ok: findings.every(({ state }) => state !== 'fail'), findings }
    },
  },
]

function checkMesh(node: MeshNode): readonly Finding[] {
  const [addresses, peers] = [node.addresses().length, node.peers().length]
  return [
    addresses > 0 ? ok('node', `up, ${addresses} addresses`) : warn('node', 'nobody can reach it', 'kindmesh up --listen <multiaddr>'),
    peers > 0 ? ok('peers', String(peers)) : warn('peers', 'none', 'kindmesh dial <ticket of somebody>'),
    node.identity().status === 'active'
      ? ok('identity', node.did)
      : { what: 'identity', state: 'fail', detail: 'two successions of it are known', fix: 'kindmesh id recover' },
  ]
}

const checkOwner = ({ users }: MeshNode): Finding =>
  users.hasOwner() ? ok('people', `${users.users().length}`) : warn('people', 'nobody owns the console yet', 'open the link that kindmesh up printed')

const checkSandboxes = ({ sandboxes }: MeshNode): readonly Finding[] =>
  sandboxes.available().map(({ level, backend, lacks }) => {
    const detail = backend === undefined ? `not available: ${lacks ?? 'no back end'}` : `${backend}${lacks === undefined ? '' : `: ${lacks}`}`
    // Only the level that tasks run at by default is worth a warning.
    return level === 'sandboxed' && (backend === undefined || lacks !== undefined)
      ? warn(`sandbox ${level}`, detail, 'apt-get install bubblewrap')
      : ok(`sandbox ${level}`, detail)
  })

async function checkAudit(node: MeshNode): Promise<Finding> {
  const expectedCheckpoint = await node.keptCheckpoint()
  const verdict = await node.audit.verify(expectedCheckpoint === undefined ? {} : { expectedCheckpoint })
  if (verdict.ok) return ok('audit log', `${verdict.entries} entries`)
  const { seq, reason } = verdict.firstBad
  return { what: 'audit log', state: 'fail', detail: `entry ${seq}: ${reason}`, fix: 'keep a copy of the home folder and compare it with a backup' }
}
