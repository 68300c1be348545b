import { z } from 'zod'
import type { Did } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import { policyView } from '../policy/index.ts'
import { parseLevel, scopeCovers } from '../trust/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'
import { statementsNamed } from './statement-names.ts'
import { rightsOf } from './word-rights.ts'

/** Statements of this node and of others, and what follows from them. */
export function trustRoutes(node: MeshNode, who: (text: string) => Did): readonly Route[] {
  /** The reader's own names for those who have one, and `you`. */
  const namesOf = (dids: readonly Did[]): Readonly<Record<string, string>> =>
    Object.fromEntries(
      [...new Set(dids)].flatMap((did) => [did === node.did ? 'you' : node.trust.nameOf(did)].flatMap((name) => (name === undefined ? [] : [[did, name]]))),
    )
  return [
    {
      method: 'POST',
      url: '/v1/attestations',
      right: '/api/trust',
      stepUp: ({ body }) => (body as z.infer<typeof schemas.attestBody>).level === 'authority',
      summary: 'Sign a statement about a subject',
      body: schemas.attestBody,
      reply: schemas.attested,
      async handle({ body }) {
        const { subject, level, ...fields } = body as z.infer<typeof schemas.attestBody>
        return await node.trust.attest({ subject: who(subject), level: parseLevel(level), ...fields })
      },
    },
    {
      method: 'GET',
      url: '/v1/attestations',
      right: '/api/read',
      summary: 'Statements known here that are not revoked, and warrants against their issuers',
      query: schemas.attestationsQuery,
      reply: schemas.attestationList,
      async handle({ query }) {
        const { issuer, subject, scope, mine, match } = query as z.infer<typeof schemas.attestationsQuery>
        const by = mine === 'true' ? node.did : issuer === undefined ? undefined : who(issuer)
        const about = subject === undefined ? undefined : who(subject)
        const all = match === undefined ? node.trust.show() : statementsNamed(match, { node, who, by })
        const attestations = all
          .filter((said) => (by ?? said.issuer) === said.issuer && (about ?? said.subject) === said.subject)
          .filter((said) => scope === undefined || said.scopes.some((written) => scopeCovers(written, scope)))
          .map(({ firstSeenAt: _local, ...said }) => said)
        const isAboutIssuers = about === undefined && scope === undefined && match === undefined
        const warrants = (isAboutIssuers ? node.trust.warrants() : [])
          .filter((warrant) => (by ?? warrant.issuer) === warrant.issuer)
          .map(({ id, issuer: guilty, statements, firstSeenAt }) => ({
            id,
            issuer: guilty,
            statements: statements.map(({ signed }) => signed.ref),
            firstSeenAt,
          }))
        const people = [...attestations.flatMap((said) => [said.issuer, said.subject]), ...warrants.map((warrant) => warrant.issuer)]
        return { attestations, warrants, names: namesOf(people) }
      },
    },
    {
      method: 'POST',
      url: '/v1/revocations',
      right: '/api/trust',
      summary: 'Withdraw a statement of this node',
      body: schemas.revokeBody,
      reply: z.object({ id: z.string() }),
      async handle({ body }) {
        const { id, kind } = body as z.infer<typeof schemas.revokeBody>
        return await node.trust.revoke(id, kind)
      },
    },
    {
      method: 'GET',
      url: '/v1/trust/explain',
      right: '/api/read',
      summary: 'How far a subject is trusted in a scope, and why',
      query: schemas.explainQuery,
      reply: schemas.explanation,
      async handle({ query, signal }) {
        const { subject, scope } = query as z.infer<typeof schemas.explainQuery>
        const why = await node.trust.explain(who(subject), { scope, signal })
        const people = [why.subject, ...why.because.flatMap(({ path }) => path), ...[...why.vetoes, ...why.ignored].map(({ issuer }) => issuer)]
        const near = why.missingForNext?.near.map(({ did }) => did) ?? []
        return { ...why, missingForNext: why.missingForNext ?? null, validUntil: why.validUntil ?? null, names: namesOf([...people, ...near]) }
      },
    },
    {
      method: 'GET',
      url: '/v1/trust/levels',
      right: '/api/read',
      summary: 'Everybody known in a scope with their level',
      query: schemas.levelsQuery,
      reply: z.object({ levels: z.array(z.object({ did: z.string(), level: z.int() })) }),
      async handle({ query }) {
        const snapshot = node.trust.snapshot((query as z.infer<typeof schemas.levelsQuery>).scope)
        return { levels: snapshot.subjects().map((did) => ({ did, level: snapshot.level(did) })) }
      },
    },
    {
      method: 'GET',
      url: '/v1/trust/roots',
      right: '/api/read',
      summary: 'What this node itself says of others, what it counts for now, and what the policy gives for it',
      reply: schemas.ownWordList,
      async handle() {
        const view = policyView(node.policy())
        const roots = node.trust.roots().map((word) => ({ ...word, rights: rightsOf(word, view) }))
        return { roots, names: namesOf(roots.map(({ subject }) => subject)) }
      },
    },
    {
      method: 'GET',
      url: '/v1/trust/rendezvous',
      right: '/api/read',
      summary: 'What others left here about strangers this node is close to, and how much was refused since the start',
      reply: schemas.rendezvous,
      handle: async () => node.trust.meeting(),
    },
    {
      method: 'POST',
      url: '/v1/trust/simulate',
      right: '/api/read',
      summary: 'Whose level would change with these statements made or taken back; nothing is signed',
      body: schemas.simulateBody,
      reply: schemas.simulation,
      async handle({ body }) {
        const { scope, revoke, kind, add } = body as z.infer<typeof schemas.simulateBody>
        const revoked = [...new Set(revoke.flatMap((text) => statementsNamed(text, { node, who }).map(({ id }) => id)))]
        const supposed = add.map(({ issuer, subject, level, depth, scopes }) => ({
          ...{ issuer: issuer === undefined ? node.did : who(issuer), subject: who(subject), level: parseLevel(level), depth, scopes },
        }))
        const changes = node.trust.simulate({ revoke: revoked, isHard: kind === 'hard', add: supposed }, { scope })
        return { scope, revoked, changes, names: namesOf(changes.map(({ subject }) => subject)) }
      },
    },
    {
      method: 'GET',
      url: '/v1/trust/graph',
      right: '/api/read',
      summary: 'Who says what about whom, around one or all of it; at most 500 identities',
      query: schemas.graphQuery,
      reply: schemas.graphView,
      async handle({ query }) {
        const { scope, subject, nodes: nodesMax } = query as z.infer<typeof schemas.graphQuery>
        const { nodes, ...view } = node.trust.graph({ scope, subject: subject === undefined ? undefined : who(subject), nodesMax })
        return {
          ...view,
          subject: view.subject ?? null,
          nodes: nodes.map(({ id, name, level, layer }) => ({ id, name: name ?? null, level, layer: layer ?? null })),
        }
      },
    },
    {
      method: 'GET',
      url: '/v1/trust/rank',
      right: '/api/read',
      summary: 'Candidates from the most trusted down; with a capability only peers that offer it',
      query: schemas.rankQuery,
      reply: schemas.ranking,
      async handle({ query, signal }) {
        const { scope, capability, limit } = query as z.infer<typeof schemas.rankQuery>
        const among = capability === undefined ? undefined : (await node.find(capability, { limit: 100, signal })).map(({ did }) => did)
        const ranked = node.trust.snapshot(scope).rank(among).slice(0, limit)
        return { scope, ranked, names: namesOf(ranked.map(({ subject }) => subject)) }
      },
    },
  ]
}
