import { type Audit, grantForgotten, grantImported, grantIssued, grantRevoked } from '../audit/index.ts'
import { type Clock, type Did, hourMs, MeshError, type Random } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import {
  bytesOfGrantText,
  type Caveats,
  chainProblem,
  checkNarrower,
  type Command,
  createChainOpener,
  decideCommand,
  encodeChain,
  fileScope,
  type GrantChain,
  grantChainLengthMax,
  grantLifetimeMsMax,
  grantText,
  type HeldToken,
  heldToken,
  isCommandPath,
  isGrantText,
  messageScope,
  narrowed,
  type Policy,
  type Reasons,
  signToken,
  taskScope,
  type TokenPlace,
} from '../policy/index.ts'
import type { Store } from '../store/index.ts'
import type { KeyBook, Level, TrustBook } from '../trust/index.ts'
import { type GrantRecord, grantsHeldMax, grantsIssuedMax, openGrantRecords } from './grant-records.ts'

export interface GrantFields {
  readonly audience: Did
  readonly command: Command
  readonly caveats?: Caveats | undefined
  /** As long as the token it is made from, or an hour, unless given. */
  readonly lifetimeMs?: number | undefined
  /** A token of somebody else's to hand on: its text, or the id of one that was imported. */
  readonly proof?: string | undefined
}

/** A capability token as people see it. Times in ms since 1970. */
export interface GrantView {
  readonly id: string
  /** Signed here, or given to this node. */
  readonly kind: 'issued' | 'held'
  readonly state: 'valid' | 'expired' | 'revoked' | 'invalid'
  /** Why it is not valid. */
  readonly reason: string
  readonly issuer: Did
  readonly audience: Did
  /** Whose resource it is about. */
  readonly owner: Did
  readonly command: Command
  readonly caveats: Caveats
  readonly issuedAt: number
  readonly expiresAt: number
  readonly revokedAt: number | undefined
  /** How many tokens lead from the owner to it, itself among them. */
  readonly chainLength: number
  /** What its audience imports or shows. */
  readonly text: string
}

export interface GrantCheck {
  readonly did: Did
  readonly command: Command
  readonly level: Level
  readonly allow: boolean
  /** `ok`, or the code of the refusal. */
  readonly code: string
  readonly reason: string
  readonly reasons: Reasons
  /** What to do about a no. */
  readonly next: string
}

/** Capability tokens of this node: those it gives and those it was given. Source: grant/v1. */
export interface Grants {
  /** Signs a token and keeps it: from then on its audience is held to it here. @throws ERR_GRANT_INVALID, ERR_USAGE, ERR_OVERLOADED */
  issue(fields: GrantFields, approval?: Uint8Array): Promise<GrantView>
  /** What a person signed of a token given here, for anyone to verify: auth/v1 section 7. Undefined where nobody did. */
  approvalOf(id: string): Promise<Uint8Array | undefined>
  /** Withdraws a token signed here. @throws ERR_NOT_FOUND */
  revoke(id: string, kind?: 'soft' | 'hard'): Promise<GrantView>
  /** Puts away a token that ended. @throws ERR_NOT_FOUND, ERR_USAGE while it holds */
  forget(id: string): Promise<GrantView>
  /** Keeps a token that was given to this node. @throws ERR_USAGE, ERR_GRANT_INVALID, ERR_STATEMENT_* */
  import(text: string): Promise<GrantView>
  /** The newest first. */
  list(): readonly GrantView[]
  /** By its id, or the beginning of it. @throws ERR_NOT_FOUND, ERR_USAGE */
  find(id: string): GrantView
  /** The chain to show, of a token's text or id. @throws ERR_NOT_FOUND, ERR_USAGE */
  chainOf(textOrId: string): Uint8Array
  /** May somebody do this here now, as far as it can be said beforehand, and why? @throws ERR_USAGE */
  check(did: Did, command: Command): GrantCheck
  /** What an asker leans on: the chains it shows, then the tokens it was given here. @throws for a chain that does not verify: ERR_WIRE_*, ERR_STATEMENT_*, ERR_GRANT_INVALID */
  tokensOf(asker: Did, shown?: readonly Uint8Array[]): readonly HeldToken[]
}

/** What is withdrawn travels with the statements about trust. */
export type Withdrawals = Pick<TrustBook, 'withdraw' | 'revokedAt'>

export interface GrantsOptions {
  /** Its own part. */
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly keys: KeyBook
  readonly withdrawals: Withdrawals
  policy(): Policy
  level(did: Did, scope: string): Level
  /** After a token was given or withdrawn: who may go on is asked anew. */
  onChange(id: string, audience: Did, change: 'issued' | 'revoked' | 'forgotten'): void
}

export async function openGrants({ store, keyring, clock, random, audit, keys, withdrawals, policy, level, onChange }: GrantsOptions): Promise<Grants> {
  const self = keyring.identity
  const open = createChainOpener()
  const records = await openGrantRecords(store, open)

  const place = (bearer: Did, owner: Did): TokenPlace => ({
    now: clock.now(),
    bearer,
    owner,
    keys,
    level: (did) => level(did, taskScope),
    revokedAt(issuer, id) {
      if (issuer !== self) return withdrawals.revokedAt(issuer, id)
      const own = records.find('issued', id)
      // Of what others signed it is not known here since when: where their key was lost all of it is void.
      return withdrawals.revokedAt(issuer, id, own === undefined ? undefined : { issuedAt: own.chain.token.issuedAt })
    },
  })
  const factsOf = ({ token }: GrantChain) => ({
    did: self,
    id: token.signed.hash,
    audience: token.audience,
    owner: token.owner,
    command: token.command,
  })
  function view(record: GrantRecord): GrantView {
    const { tokens, token, bytes } = record.chain
    const problem = chainProblem(record.chain, place(keys.subject(token.audience), keys.subject(token.owner)))
    const states = { ERR_STATEMENT_EXPIRED: 'expired', ERR_GRANT_REVOKED: 'revoked' } as const
    return {
      id: token.id,
      kind: record.kind,
      state: problem === undefined ? 'valid' : (states[problem.code as keyof typeof states] ?? 'invalid'),
      reason: problem?.message ?? '',
      issuer: keys.subject(token.issuer),
      audience: keys.subject(token.audience),
      owner: keys.subject(token.owner),
      command: token.command,
      caveats: token.caveats,
      issuedAt: token.issuedAt,
      expiresAt: token.expiresAt,
      revokedAt: place(self, self).revokedAt(keys.subject(token.issuer), token.id),
      chainLength: tokens.length,
      text: grantText(bytes),
    }
  }
  function recordOf(id: string, kind?: 'issued'): GrantRecord {
    const fits = /^[0-9a-f]{4,64}$/.test(id) ? records.list(kind).filter(({ chain }) => chain.token.id.startsWith(id)) : []
    if (new Set(fits.map(({ chain }) => chain.token.id)).size > 1) throw new MeshError('ERR_USAGE', `several tokens begin with ${id}`)
    const [record] = fits
    if (record === undefined) throw new MeshError('ERR_NOT_FOUND', `no token ${id.slice(0, 64)} here`, { hint: 'see `kindmesh grant show`' })
    return record
  }
  const find = (id: string): GrantView => view(recordOf(id))
  const chainOf = (textOrId: string): GrantChain => (isGrantText(textOrId.trim()) ? open(bytesOfGrantText(textOrId)) : recordOf(textOrId).chain)

  return {
    async issue({ audience, command, caveats = {}, lifetimeMs, proof }, approval) {
      const to = keys.subject(audience)
      if (to === self) throw new MeshError('ERR_USAGE', 'this node needs no token for itself', { hint: 'name another DID' })
      if (!isCommandPath(command)) throw new MeshError('ERR_USAGE', `'${command.slice(0, 64)}' is no command path`, { hint: 'such as /task/run or /file/read' })
      if (records.list('issued').length >= grantsIssuedMax) {
        throw new MeshError('ERR_OVERLOADED', `${grantsIssuedMax} tokens are kept`, { hint: '`kindmesh grant forget` puts ended ones away' })
      }
      const parent = proof === undefined ? undefined : chainOf(proof)
      const issuedAt = clock.now()
      const expiresAt = lifetimeMs === undefined ? (parent?.token.expiresAt ?? issuedAt + hourMs) : issuedAt + lifetimeMs
      if (expiresAt <= issuedAt || expiresAt - issuedAt > grantLifetimeMsMax) {
        throw new MeshError('ERR_STATEMENT_LIFETIME', 'a token lives at most 400 days', { hint: 'give --expires 400d or less' })
      }
      const fields = { owner: parent?.token.owner ?? self, command, caveats: narrowed(parent?.token.caveats ?? {}, caveats), expiresAt }
      if (parent !== undefined) {
        const problem = chainProblem(parent, place(self, keys.subject(parent.token.owner)))
        if (problem !== undefined) throw problem
        if (parent.tokens.length >= grantChainLengthMax) {
          throw new MeshError('ERR_GRANT_INVALID', `a token is handed on ${grantChainLengthMax - 1} times at most`)
        }
        checkNarrower(fields, parent.token)
      }
      const signed = signToken({ ...fields, audience: to, issuedAt, proof: parent }, { keyring, random })
      const chain = open(encodeChain([...(parent?.tokens.map((token) => token.signed.bytes) ?? []), signed.bytes]))
      const record: GrantRecord = { kind: 'issued', chain, keptAt: issuedAt }
      await audit.record(grantIssued({ ...factsOf(record.chain), until: expiresAt, approval }), records.keep(record, approval))
      records.remember(record)
      onChange(chain.token.id, to, 'issued')
      return view(record)
    },
    approvalOf: async (id) => await records.approvalOf(recordOf(id, 'issued').chain.token.id),
    async revoke(id, kind = 'soft') {
      const { chain } = recordOf(id, 'issued')
      const { token } = chain
      const audience = keys.subject(token.audience)
      if (withdrawals.revokedAt(self, token.id, { issuedAt: token.issuedAt }) === undefined) {
        await withdrawals.withdraw({ id: token.id, subject: audience, kind })
        await audit.record(grantRevoked(factsOf(chain)))
        onChange(token.id, audience, 'revoked')
      }
      return find(id)
    },
    async forget(id) {
      const record = recordOf(id)
      const seen = view(record)
      if (record.kind === 'issued' && seen.state === 'valid') {
        throw new MeshError('ERR_USAGE', 'the token still holds', { hint: `\`kindmesh grant revoke ${seen.id.slice(0, 12)}\` first` })
      }
      await audit.record(grantForgotten(factsOf(record.chain)), records.forget(record))
      records.drop(record)
      onChange(seen.id, seen.audience, 'forgotten')
      return seen
    },
    async import(text) {
      const chain = open(bytesOfGrantText(text))
      const { token } = chain
      const problem = chainProblem(chain, place(self, keys.subject(token.owner)))
      if (problem !== undefined) throw problem
      if (records.list('held').length >= grantsHeldMax) throw new MeshError('ERR_OVERLOADED', `${grantsHeldMax} tokens of others are kept`)
      const record: GrantRecord = { kind: 'held', chain, keptAt: clock.now() }
      await audit.record(grantImported({ ...factsOf(record.chain), until: token.expiresAt }), records.keep(record))
      records.remember(record)
      return view(record)
    },
    list: () =>
      records
        .list()
        .toSorted((a, b) => b.keptAt - a.keptAt)
        .map(view),
    find,
    chainOf: (textOrId) => chainOf(textOrId).bytes,
    check(key, command) {
      if (!isCommandPath(command)) throw new MeshError('ERR_USAGE', `'${command.slice(0, 64)}' is no command path`, { hint: 'such as /task/run or /file/read' })
      const did = keys.subject(key)
      const held = level(did, command === messageScope || command === fileScope ? command : taskScope)
      const verdict = decideCommand(policy(), command, { level: held, asker: did, tokens: tokensOf(did) })
      const { code, reason } = verdict.allow
        ? { code: 'ok', reason: `${verdict.reasons.ceiling.text}; ${verdict.reasons.token.text}; ${verdict.reasons.policy.text}` }
        : verdict
      return {
        did,
        command,
        level: held,
        allow: verdict.allow,
        code,
        reason,
        reasons: verdict.reasons,
        next: verdict.allow ? '' : nextStep(code, did, command),
      }
    },
    tokensOf,
  }

  function tokensOf(asker: Did, shown: readonly Uint8Array[] = []): readonly HeldToken[] {
    const bearer = keys.subject(asker)
    const own = records
      .list('issued')
      .filter(
        ({ chain: { token } }) => keys.subject(token.audience) === bearer && keys.subject(token.owner) === self && token.signed.statement.caps.length === 0,
      )
    const here = place(bearer, self)
    const presented = shown.map((bytes) => open(bytes))
    return [...presented.map((chain) => heldToken(chain, here)), ...own.map(({ chain }) => heldToken(chain, here, { binds: true }))]
  }
}

/** The next step after a no, as the operator would take it. */
function nextStep(code: string, did: Did, command: Command): string {
  if (code === 'ERR_TRUST_LOW') return `\`kindmesh attest ${did} --level verified --scope ${taskScope}\`, or see \`kindmesh trust explain ${did}\``
  if (code.startsWith('ERR_GRANT_') || code === 'ERR_STATEMENT_EXPIRED') return `\`kindmesh grant issue ${did} --command ${command}\``
  return 'see `kindmesh policy show`'
}
