import { base64url, type Clock, type Did, hex, type Logger, MeshError, minuteMs, type Random } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import type { Store } from '../store/index.ts'
import { type Act, statementOf } from './approval.ts'
import { createEntrance, type EntranceRules } from './entrance.ts'
import type { FactorSecrets } from './factor-secrets.ts'
import type { AuthenticationChallenge, AuthenticationResult } from './factors.ts'
import { createOwnCodes, type OwnCodes } from './own-codes.ts'
import { type InviteEntry, type InviteView, linkSpent, openUserInvites, viewInvite } from './invites.ts'
import type { CreationOptions, RequestOptions } from './options.ts'
import { type Begun, createPasskeys, credentialIdOf, withCredential } from './passkeys.ts'
import { isAppEnough } from './policies.ts'
import { credentialLabelCharsMax, credentialsMax, type StoredCredential } from './records.ts'
import { createRefusals } from './refusals.ts'
import { openSessions, type SessionLife } from './sessions.ts'
import type { Actor, AnsweredPasskey, CredentialView, Entered, OpenedSession, RecordEvent, RoleName, Session, User } from './types.ts'
import { openUserBook, parseUserName, type UserEntry, viewCredential, viewUser } from './user-book.ts'

/** An invite with its token, which is shown once. */
export interface OpenedInvite extends InviteView {
  readonly token: string
}

/** People with a right to this node: how they come in, and for how long. Source: auth/v1. */
export interface Auth extends OwnCodes {
  /** A link for the first owner; undefined while there is one. Each call makes a new one, and the one before is dead. */
  ownerLink(): Promise<OpenedInvite | undefined>
  /** A one-time link for a new user. @throws ERR_POLICY_DENIED, ERR_STEP_UP, ERR_USAGE, ERR_NAME_TAKEN, ERR_OVERLOADED */
  inviteUser(draft: { readonly role: RoleName; readonly name?: string | undefined }, by: Actor): Promise<OpenedInvite>
  /** @throws ERR_LINK_SPENT */
  inspectInvite(token: string): InviteView
  invites(): readonly InviteView[]
  /** @throws ERR_NOT_FOUND, ERR_POLICY_DENIED, ERR_STEP_UP */
  revokeInvite(id: string, by: Actor): Promise<InviteView>
  /** A passkey for a new user by a link, or one more for whoever is logged in. @throws ERR_LINK_SPENT, ERR_STEP_UP, ERR_USAGE, ERR_NAME_TAKEN */
  beginRegistration(by: { readonly token: string } | { readonly session: Session }, given: { readonly name?: string | undefined }): Begun<CreationOptions>
  /** A new user is logged in by it; for one more passkey there is no new session. @throws ERR_LOGIN_REFUSED, ERR_LINK_SPENT, ERR_NAME_TAKEN */
  finishRegistration(answer: AnsweredPasskey & { readonly label?: string | undefined }): Promise<{
    readonly user: User
    readonly credential: CredentialView
    readonly session: OpenedSession | undefined
  }>
  /** The same for every name, known or not. */
  beginLogin(given?: { readonly name?: string | undefined }): Begun<RequestOptions>
  /** @throws ERR_LOGIN_REFUSED, ERR_FACTOR_NEEDED with what is missing and the flow to go on in */
  finishLogin(answer: AnsweredPasskey): Promise<Entered>
  /** With any factors, in one step or several; the seed's authenticateUser. What failed, and why, is not in the result. */
  authenticateUser(challenge: AuthenticationChallenge): Promise<AuthenticationResult>
  /** Asks for the person anew; with an act the passkey signs what is done. */
  beginStepUp(session: Session, act?: Act): Begun<RequestOptions>
  /** The session goes on under a new token. With an act, also the approval for anyone to verify. @throws ERR_LOGIN_REFUSED */
  finishStepUp(session: Session, answer: AnsweredPasskey): Promise<{ readonly session: OpenedSession; readonly approval: Uint8Array | undefined }>
  /** The same with any factors, in one step or several, as the role's step-up asks for. */
  stepUp(session: Session, challenge: AuthenticationChallenge): Promise<AuthenticationResult>
  /** The person of a session was verified just now, or it is the machine's own. @throws ERR_STEP_UP */
  requireFresh(by: Actor): void
  /** The live session of a token, seen now. */
  session(token: string): Session | undefined
  sessions(userId?: string): readonly Session[]
  logout(token: string): Promise<boolean>
  /** @throws ERR_NOT_FOUND, ERR_POLICY_DENIED */
  revokeSession(id: string, by: Actor): Promise<Session>
  users(): readonly User[]
  /** By id or name. @throws ERR_NOT_FOUND */
  user(idOrName: string): User
  hasOwner(): boolean
  /** @throws ERR_NOT_FOUND, ERR_POLICY_DENIED, ERR_STEP_UP, ERR_USER_LAST */
  setRole(id: string, role: RoleName, by: Actor): Promise<User>
  /** @throws ERR_NOT_FOUND, ERR_POLICY_DENIED, ERR_STEP_UP, ERR_USER_LAST */
  removeUser(id: string, by: Actor): Promise<User>
  /** @throws ERR_NOT_FOUND */
  credentials(userId: string): readonly CredentialView[]
  /** @throws ERR_NOT_FOUND, ERR_POLICY_DENIED, ERR_STEP_UP, ERR_USER_LAST */
  removeCredential(id: string, by: Actor): Promise<CredentialView>
  /** Puts a passkey into use again whose counter went back. @throws ERR_NOT_FOUND, ERR_POLICY_DENIED, ERR_STEP_UP */
  enableCredential(id: string, by: Actor): Promise<CredentialView>
  stop(): void
}

export interface AuthOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Whose users they are. */
  readonly did: Did
  readonly record: RecordEvent
  /** Scheme, host and port of our own pages. @throws while nothing is served */
  origin(): string
  life(): SessionLife
  readonly rules: EntranceRules
  /** Where the secrets of authenticator apps are kept. */
  readonly secrets: FactorSecrets
  prfSalt?(): Uint8Array | undefined
}

export async function openAuth({ store, clock, random, logger, did, record, origin, life, rules, secrets, prfSalt }: AuthOptions): Promise<Auth> {
  const book = await openUserBook(store.sub('users'))
  const invites = await openUserInvites({ store: store.sub('user-invites'), clock, random, logger })
  const roleOf = (id: string): RoleName | undefined => book.find(id)?.role
  const sessions = await openSessions({ store: store.sub('user-sessions'), clock, random, logger, life, roleOf })
  const refuse = createRefusals({ clock, record })
  const passkeys = createPasskeys({
    ...{ clock, random, book, refuse, origin },
    ...(prfSalt === undefined ? {} : { prfSalt }),
    async disable(user, credential, reason) {
      const entry = withCredential(user, { ...credential, disabled: true })
      const ended = sessions.ofCredential(credential.id).map(({ id }) => id)
      const ops = [...book.write(entry), ...sessions.end(ended)]
      await record({ kind: 'credential_disabled', user: user.id, credential: base64url(credential.id), reason }, ops)
      book.remember(entry)
    },
  })
  let cancelSweep: (() => void) | undefined
  /** What is past its time is looked at while it is, and so goes for good. */
  function sweepLater(): void {
    if (cancelSweep !== undefined || sessions.list().length + invites.list().length === 0) return
    cancelSweep = clock.after(minuteMs, () => {
      cancelSweep = undefined
      sweepLater()
    })
  }
  sweepLater()
  let writing: Promise<unknown> = Promise.resolve()
  /** One change at a time: what it looked at still holds when it writes. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = writing.then(act)
    writing = turn.catch(() => undefined).then(sweepLater)
    return turn
  }

  const hasOwner = (): boolean => book.list().some(({ role }) => role === 'owner')
  const nameOfActor = (by: Actor): string => (by === 'machine' ? by : by.userId)
  function requireFresh(by: Actor): void {
    if (by === 'machine' || sessions.isFresh(by)) return
    throw new MeshError('ERR_STEP_UP', 'this needs you, verified within the last 5 minutes')
  }
  /** @throws ERR_POLICY_DENIED, ERR_STEP_UP */
  function requireOwner(by: Actor, what: string): void {
    if (by !== 'machine' && roleOf(by.userId) !== 'owner') {
      throw new MeshError('ERR_POLICY_DENIED', `only an owner ${what}`, { hint: 'ask an owner of this node' })
    }
    requireFresh(by)
  }
  function keepOneOwner(id: string): void {
    const isLast = book.get(id).role === 'owner' && book.list().filter(({ role }) => role === 'owner').length === 1
    if (isLast) throw new MeshError('ERR_USER_LAST', 'the last owner stays', { hint: 'make somebody else an owner first' })
  }
  const hasOtherPasskey = ({ credentials }: UserEntry, one?: StoredCredential): boolean => credentials.some((other) => other !== one && !other.disabled)
  const logsInByApp = async ({ id, role }: UserEntry): Promise<boolean> =>
    isAppEnough(rules.policy(role)) && (await entrance.codes.status(id)).totpSince !== undefined
  /** Takes an app away, unless it is what somebody without a passkey logs in with. One change at a time: that passkey may be going. @throws ERR_USER_LAST */
  const unlessLast = (userId: string, act: () => Promise<boolean>): Promise<boolean> =>
    inTurn(async () => {
      if (!hasOtherPasskey(book.get(userId))) throw new MeshError('ERR_USER_LAST', 'the last way to log in stays', { hint: 'add a passkey first' })
      return await act()
    })
  const find = (idOrName: string): UserEntry => book.find(idOrName) ?? book.named(idOrName) ?? book.get(idOrName)
  const sessionIds = (userId: string): readonly string[] => sessions.list(userId).map(({ id }) => id)
  async function endSessions(ended: readonly Session[], by: string, reason: string): Promise<void> {
    for (const { id, userId } of ended) await record({ kind: 'session_revoked', user: userId, session: id, by, reason }, sessions.end([id]))
  }
  const entrance = createEntrance({
    ...{ store: store.sub('user-factors'), clock, random, book, sessions, passkeys, secrets, issuer: 'kindmesh', rules, record, refuse, inTurn },
  })
  const credentialOf = (text: string): { readonly user: UserEntry; readonly credential: StoredCredential } => {
    const found = book.holder(credentialIdOf(text))
    if (found === undefined) throw new MeshError('ERR_NOT_FOUND', 'no such passkey here', { hint: 'see `kindmesh user list`' })
    return found
  }
  async function keepInvite(draft: Parameters<typeof invites.make>[0], dead: readonly string[] = []): Promise<OpenedInvite> {
    invites.drop(dead)
    const { token, entry, ops } = invites.make(draft)
    const view = viewInvite(entry)
    await record({ kind: 'user_invited', invite: entry.id, role: entry.role, by: entry.by, expiresAt: view.expiresAt }, [...ops, ...invites.erase(dead)])
    invites.remember(entry)
    return { ...view, token }
  }
  /** It still makes what it says: whoever made it may do so today, and one for the first owner leads nowhere once there is an owner. */
  const isUsable = ({ first, by, role }: InviteEntry): boolean => !(first && hasOwner()) && mayInvite(by === 'machine' ? 'owner' : roleOf(by), role)
  /** @throws ERR_LINK_SPENT */
  function usable(entry: InviteEntry | undefined): InviteEntry {
    if (entry === undefined || !isUsable(entry)) throw linkSpent()
    return entry
  }
  /** Links of somebody that end with their right to make them; without a role, all. */
  const lostLinks = (userId: string, left?: RoleName): readonly string[] =>
    invites.list().flatMap(({ id, by, role }) => (by === userId && !mayInvite(left, role) ? [id] : []))
  function dropLinks(ids: readonly string[]): void {
    invites.drop(ids)
    for (const id of ids) passkeys.drop(id)
  }
  async function register({ flow: id, response, context = {}, label }: AnsweredPasskey & { readonly label?: string | undefined }) {
    const { flow, passkey, form } = await passkeys.register(id, response)
    const credential: StoredCredential = {
      ...passkey,
      label: labelOf(label),
      transports: form.response.transports,
      createdAt: clock.now(),
      lastUsedAt: undefined,
      disabled: false,
    }
    const facts = { user: flow.userId, credential: base64url(passkey.id), keyHash: sha256(passkey.publicKey) }
    if (flow.session !== undefined) {
      const session = sessions.get(flow.session)
      const user = session === undefined ? undefined : book.find(session.userId)
      if (user === undefined || session === undefined || user.credentials.length >= credentialsMax) {
        throw await refuse({ ceremony: 'registration', reason: 'session' })
      }
      const entry = withCredential(user, credential)
      await record({ kind: 'credential_added', ...facts }, book.write(entry))
      book.remember(entry)
      return { user: viewUser(entry), credential: viewCredential(credential), session: undefined }
    }
    const invite = flow.invite === undefined ? undefined : invites.find(flow.invite)
    if (invite === undefined || !isUsable(invite)) {
      await refuse({ ceremony: 'registration', reason: 'link' })
      throw linkSpent()
    }
    const now = clock.now()
    const { role } = invite
    const entry: UserEntry = { id: flow.userId, name: book.freeName(flow.name), role, createdAt: now, lastLoginAt: now, credentials: [credential] }
    const made = sessions.make({ userId: entry.id, factors: ['webauthn', 'biometric'], credential: credential.id, context, isVerified: true })
    const ops = [...book.write(entry), ...made.ops, ...invites.erase([invite.id])]
    await record({ kind: 'user_registered', ...facts, name: entry.name, role }, ops)
    dropLinks([invite.id])
    book.remember(entry)
    made.commit()
    return { user: viewUser(entry), credential: viewCredential(credential), session: { ...made.session, role } }
  }

  return {
    ownerLink: () =>
      inTurn(async () => {
        if (hasOwner()) return undefined
        const before = invites.list().filter(({ first }) => first)
        for (const { id } of before) passkeys.drop(id)
        return await keepInvite(
          { role: 'owner', name: undefined, by: 'machine', first: true },
          before.map(({ id }) => id),
        )
      }),
    inviteUser: ({ role, name }, by) =>
      inTurn(async () => {
        const own = by === 'machine' ? 'owner' : roleOf(by.userId)
        if (!mayInvite(own, role)) throw new MeshError('ERR_POLICY_DENIED', `${own ?? 'nobody'} makes no ${role}`, { hint: 'ask an owner of this node' })
        requireFresh(by)
        return await keepInvite({ role, name: name === undefined ? undefined : book.freeName(name), by: nameOfActor(by), first: false })
      }),
    inspectInvite: (token) => viewInvite(usable(invites.open(token))),
    invites: () => invites.list().filter(isUsable).map(viewInvite),
    revokeInvite: (id, by) =>
      inTurn(async () => {
        const entry = invites.find(id)
        if (entry === undefined) throw new MeshError('ERR_NOT_FOUND', 'no such link is open')
        if (by === 'machine' || entry.by !== by.userId) requireOwner(by, 'withdraws links of others')
        await record({ kind: 'user_invite_revoked', invite: id, by: nameOfActor(by) }, invites.erase([id]))
        dropLinks([id])
        return viewInvite(entry)
      }),
    beginRegistration(by, { name }) {
      const challenge = passkeys.challenge()
      if ('token' in by) {
        const invite = usable(invites.open(by.token))
        const asked = invite.name ?? name
        if (asked === undefined) throw new MeshError('ERR_USAGE', 'a new user needs a name', { hint: 'give a name' })
        const userId = hex(random.bytes(16))
        return passkeys.creationOptions({ ceremony: 'registration', challenge, invite: invite.id, userId, name: book.freeName(asked) }, [])
      }
      requireFresh(by.session)
      const user = book.get(by.session.userId)
      if (user.credentials.length >= credentialsMax) {
        throw new MeshError('ERR_OVERLOADED', `${credentialsMax} passkeys are kept`, { hint: 'remove one first' })
      }
      return passkeys.creationOptions({ ceremony: 'registration', challenge, session: by.session.id, userId: user.id, name: user.name }, user.credentials)
    },
    finishRegistration: (answer) => inTurn(() => register(answer)),
    beginLogin({ name } = {}) {
      const challenge = passkeys.challenge()
      // A name nobody has leads to nobody, later and as late as one that is known.
      const user = name === undefined ? undefined : (book.named(name)?.id ?? '')
      return passkeys.requestOptions({ ceremony: 'login', challenge, user }, [])
    },
    finishLogin: entrance.finishLogin,
    authenticateUser: entrance.authenticateUser,
    ...createOwnCodes({ codes: entrance.codes, user: (idOrName) => viewUser(find(idOrName)), requireFresh, requireOwner, unlessLast }),
    beginStepUp(session, act) {
      const user = book.get(session.userId)
      const allowed = user.credentials.filter(({ disabled }) => !disabled)
      const said = act === undefined ? undefined : statementOf({ did, user: user.id, act, at: clock.now() }, random)
      const flow = { ceremony: 'step_up', session: session.id, user: user.id, act: act?.name ?? 'verify' } as const
      if (said === undefined) return passkeys.requestOptions({ ...flow, challenge: passkeys.challenge() }, allowed)
      return passkeys.requestOptions({ ...flow, ...said }, allowed)
    },
    finishStepUp: entrance.stepUps.finish,
    stepUp: entrance.stepUps.authenticate,
    requireFresh,
    session: sessions.find,
    sessions: sessions.list,
    logout: (token) =>
      inTurn(async () => {
        const session = sessions.find(token)
        if (session === undefined) return false
        await record({ kind: 'user_logout', user: session.userId, session: session.id }, sessions.end([session.id]))
        passkeys.drop(session.id)
        return true
      }),
    revokeSession: (id, by) =>
      inTurn(async () => {
        const session = sessions.get(id)
        if (session === undefined) throw new MeshError('ERR_NOT_FOUND', 'no such session', { hint: 'see `kindmesh user sessions`' })
        const isOwn = by !== 'machine' && by.userId === session.userId
        const may = by === 'machine' || isOwn || roleOf(by.userId) === 'owner'
        if (!may) throw new MeshError('ERR_POLICY_DENIED', 'only an owner ends sessions of others', { hint: 'ask an owner of this node' })
        passkeys.drop(id)
        await endSessions([session], nameOfActor(by), 'revoked')
        return session
      }),
    users: () => book.list().map(viewUser),
    user: (idOrName) => viewUser(find(idOrName)),
    hasOwner,
    setRole: (id, role, by) =>
      inTurn(async () => {
        requireOwner(by, 'changes roles')
        const user = book.get(id)
        if (user.role === role) return viewUser(user)
        if (role !== 'owner') keepOneOwner(id)
        const entry = { ...user, role }
        const lost = lostLinks(id, role)
        const ops = [...book.write(entry), ...invites.erase(lost), ...sessions.end(sessionIds(id))]
        await record({ kind: 'user_role_changed', user: id, role, before: user.role, by: nameOfActor(by) }, ops)
        book.remember(entry)
        dropLinks(lost)
        return viewUser(entry)
      }),
    async removeUser(id, by) {
      const removed = await inTurn(async () => {
        requireOwner(by, 'removes users')
        keepOneOwner(id)
        const user = book.get(id)
        const lost = lostLinks(id)
        const ops = [...book.erase(id), ...entrance.codes.erase(id), ...invites.erase(lost), ...sessions.end(sessionIds(id))]
        await record({ kind: 'user_removed', user: id, by: nameOfActor(by) }, ops)
        book.drop(id)
        dropLinks(lost)
        return viewUser(user)
      })
      // Not in that turn: a login under way holds its account's and waits for this one.
      await entrance.codes.forget(id)
      return removed
    },
    credentials: (userId) => book.get(userId).credentials.map(viewCredential),
    removeCredential: (text, by) =>
      inTurn(async () => {
        const { user, credential } = credentialOf(text)
        if (by === 'machine' || by.userId !== user.id) requireOwner(by, 'removes passkeys of others')
        requireFresh(by)
        if (!hasOtherPasskey(user, credential) && !(await logsInByApp(user))) {
          throw new MeshError('ERR_USER_LAST', 'the last way to log in stays', { hint: 'add another passkey first' })
        }
        const entry = { ...user, credentials: user.credentials.filter((other) => other !== credential) }
        const ended = sessions.ofCredential(credential.id).map(({ id }) => id)
        const ops = [...book.write(entry), ...sessions.end(ended)]
        await record({ kind: 'credential_removed', user: user.id, credential: text, by: nameOfActor(by) }, ops)
        book.remember(entry)
        return viewCredential(credential)
      }),
    enableCredential: (text, by) =>
      inTurn(async () => {
        requireOwner(by, 'puts passkeys into use again')
        const { user, credential } = credentialOf(text)
        const enabled = { ...credential, disabled: false }
        const entry = withCredential(user, enabled)
        await record({ kind: 'credential_enabled', user: user.id, credential: text, by: nameOfActor(by) }, book.write(entry))
        book.remember(entry)
        return viewCredential(enabled)
      }),
    stop: () => cancelSweep?.(),
  }
}

/** Source: auth/v1 [1.3]. Undefined is nobody's role. */
const mayInvite = (own: RoleName | undefined, role: RoleName): boolean => own === 'owner' || (own === 'operator' && (role === 'viewer' || role === 'agent'))

/** A person's own word for a passkey, in the form of names; words of ours where there is none. */
function labelOf(label: string | undefined): string {
  if (label === undefined || label.trim() === '') return 'passkey'
  return parseUserName(label.slice(0, credentialLabelCharsMax))
}
