import type { z } from 'zod'
import type { ApiSchemas } from '../api/index.ts'
import { type LiveEvent, resumed } from './events.ts'
import { linesOf } from './lines.ts'
import { isErrorCode, MeshError, type SignalOption } from '../base/index.ts'

type In<K extends keyof ApiSchemas> = z.input<ApiSchemas[K]>
type Out<K extends keyof ApiSchemas> = z.output<ApiSchemas[K]>

export interface ClientOptions {
  /** Such as `http://localhost:4169`. */
  readonly url: string
  readonly token: string
  /** Instead of the global one: the console adds a session that changes while the client lives. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}

export type AuditVerifyLine = Out<'verifyLine'>
export type AgentLogLine = Out<'agentLogLine'>
export type TaskLine = Out<'taskLine'>
export type TaskLogLine = Out<'taskLogLine'>
export type AskedTask = Out<'askedTask'>
export type ServedTask = Out<'servedTask'>
export type TaskDescription = Out<'anyTask'>
export type TaskPlan = Out<'taskPlan'>
export type TaskBody = In<'taskBody'>
export type TopicLine = Out<'topicLine'>
export type SendFileLine = Out<'sendFileLine'>
export type ReceiveLine = Out<'receiveLine'>

/** The local API of a running node, typed. Every call throws MeshError with the node's code, ERR_NODE_DOWN when nobody listens. */
export interface Client {
  /** The same node, as whoever holds another token or session. */
  as(token: string): Client
  /** With any factors, in one step or several. @throws ERR_LOGIN_REFUSED */
  authenticate(body: In<'challengeBody'>, options?: SignalOption): Promise<Out<'authenticationResult'>>
  factors(query?: In<'codesOf'>, options?: SignalOption): Promise<Out<'factorStatus'>>
  beginTotp(body: In<'codesOf'>, options?: SignalOption): Promise<Out<'totpEnrolment'>>
  finishTotp(body: In<'totpFinishBody'>, options?: SignalOption): Promise<Out<'factorStatus'>>
  removeTotp(body: In<'codesOf'>, options?: SignalOption): Promise<Out<'factorStatus'>>
  makeRecoveryCodes(body: In<'codesOf'>, options?: SignalOption): Promise<Out<'recoveryCodes'>>
  status(options?: SignalOption): Promise<Out<'status'>>
  peers(options?: SignalOption): Promise<{ readonly peers: readonly Out<'peer'>[]; readonly away: readonly Out<'awayPeer'>[] }>
  find(query: { readonly capability: string; readonly limit?: number }, options?: SignalOption): Promise<{ readonly peers: readonly Out<'foundPeer'>[] }>
  setPresence(body: In<'presenceBody'>, options?: SignalOption): Promise<Out<'presenceBody'>>
  dial(body: In<'dialBody'>, options?: SignalOption): Promise<Out<'dialed'>>
  ping(body: In<'pingBody'>, options?: SignalOption): Promise<Out<'pinged'>>
  send(body: In<'sendBody'>, options?: SignalOption): Promise<Out<'sent'>>
  outbox(options?: SignalOption): Promise<{ readonly messages: readonly Out<'outboxEntry'>[] }>
  ask(body: In<'askBody'>, options?: SignalOption): Promise<Out<'asked'>>
  inbox(page: { readonly limit: number }, options?: SignalOption): Promise<{ readonly messages: readonly Out<'message'>[] }>
  groups(options?: SignalOption): Promise<Out<'groupList'>>
  createGroup(body: In<'groupBody'>, options?: SignalOption): Promise<Out<'group'>>
  changeGroup(action: 'add' | 'remove' | 'admin', body: In<'groupChangeBody'>, options?: SignalOption): Promise<Out<'group'>>
  mergeGroup(body: In<'groupNamed'>, options?: SignalOption): Promise<Out<'group'>>
  leaveGroup(body: In<'groupNamed'>, options?: SignalOption): Promise<{ readonly group: string }>
  sendToGroup(body: In<'groupSendBody'>, options?: SignalOption): Promise<Out<'groupSent'>>
  groupMessages(
    page: { readonly group: string; readonly limit: number },
    options?: SignalOption,
  ): Promise<{ readonly group: string; readonly messages: readonly Out<'message'>[] }>
  publish(body: In<'publishBody'>, options?: SignalOption): Promise<Out<'published'>>
  /** A public topic, until the signal aborts; the first line says that it is being read. */
  topic(topic: string, options?: SignalOption): AsyncGenerator<TopicLine>
  agents(options?: SignalOption): Promise<{
    readonly agents: readonly string[]
    readonly keys: readonly Out<'agentKey'>[]
    readonly programs: readonly Out<'agentProgram'>[]
  }>
  addAgent(body: In<'agentAddBody'>, options?: SignalOption): Promise<Out<'agentKey'>>
  updateAgent(body: In<'agentUpdateBody'>, options?: SignalOption): Promise<Out<'agentProgram'>>
  startAgent(name: string, options?: SignalOption): Promise<Out<'agentProgram'>>
  stopAgent(name: string, options?: SignalOption): Promise<Out<'agentProgram'>>
  /** What an agent program printed, oldest first; with `follow` until the signal aborts. */
  agentLogs(
    query: { readonly name: string; readonly follow?: boolean },
    options?: SignalOption,
  ): AsyncGenerator<Exclude<AgentLogLine, { readonly type: 'error' }>>
  rotateAgent(name: string, options?: SignalOption): Promise<Out<'agentKey'>>
  removeAgent(name: string, options?: SignalOption): Promise<{ readonly name: string }>
  identities(options?: SignalOption): Promise<{ readonly identities: readonly Out<'agentIdentity'>[] }>
  generateIdentity(body: In<'identityBody'>, options?: SignalOption): Promise<Out<'agentIdentity'>>
  sign(body: In<'signBody'>, options?: SignalOption): Promise<Out<'signedJson'>>
  verify(body: In<'verifyBody'>, options?: SignalOption): Promise<{ readonly valid: boolean }>
  /** Who holds mail for the node while it is off. */
  mailboxes(options?: SignalOption): Promise<{ readonly mailboxes: readonly Out<'mailbox'>[] }>
  addMailbox(body: In<'mailboxBody'>, options?: SignalOption): Promise<Out<'mailbox'>>
  removeMailbox(holder: string, options?: SignalOption): Promise<{ readonly did: string; readonly left: boolean }>
  collectMail(options?: SignalOption): Promise<Out<'collected'>>
  /** What became of an item, by the storage receipt a sender shows, base64. */
  checkReceipt(receipt: string, options?: SignalOption): Promise<Out<'receiptVerdict'>>
  /** What the node holds for others. */
  heldMail(options?: SignalOption): Promise<Out<'heldMail'>>
  identity(options?: SignalOption): Promise<Out<'identity'>>
  rotate(body: In<'rotateBody'>, options?: SignalOption): Promise<Out<'rotated'>>
  /** Hands the recovery key over and erases it, with `keep` only the first; `held` is a copy made so, which is safe now. @throws ERR_NOT_FOUND, ERR_USAGE */
  exportRecovery(body: In<'recoveryExportBody'>, options?: SignalOption): Promise<Out<'recoveryBody'>>
  recover(body: In<'recoveryBody'>, options?: SignalOption): Promise<Out<'rotated'>>
  vault(options?: SignalOption): Promise<Out<'vaultStatus'>>
  secrets(options?: SignalOption): Promise<Out<'vaultSecrets'>>
  setSecret(body: In<'vaultSetBody'>, options?: SignalOption): Promise<Out<'vaultSecret'>>
  readSecret(name: string, options?: SignalOption): Promise<Out<'vaultValue'>>
  removeSecret(name: string, options?: SignalOption): Promise<Out<'vaultNamed'>>
  changeVaultPassphrase(body: In<'vaultPassphraseBody'>, options?: SignalOption): Promise<Out<'vaultStatus'>>
  addVaultSlot(body: In<'vaultSlotBody'>, options?: SignalOption): Promise<Out<'vaultSlotAdded'>>
  removeVaultSlot(id: string, options?: SignalOption): Promise<Out<'vaultSlotNamed'>>
  exportVault(passphrase: string, options?: SignalOption): Promise<Out<'vaultBackup'>>
  importVault(body: In<'vaultImportBody'>, options?: SignalOption): Promise<Out<'vaultImported'>>
  sealVault(options?: SignalOption): Promise<Out<'vaultStatus'>>
  unsealVault(body: In<'vaultKeyBody'>, options?: SignalOption): Promise<Out<'vaultStatus'>>
  invite(body: In<'inviteBody'>, options?: SignalOption): Promise<Out<'invited'>>
  invites(options?: SignalOption): Promise<{ readonly invites: readonly Out<'invite'>[] }>
  revokeInvite(name: string, options?: SignalOption): Promise<Out<'invite'>>
  /** Joins by a ticket: both sides sign what it says of each other. */
  join(body: In<'joinBody'>, options?: SignalOption): Promise<Out<'joined'>>
  pins(options?: SignalOption): Promise<{ readonly pins: readonly Out<'pin'>[] }>
  approvePin(source: string, options?: SignalOption): Promise<Out<'pin'>>
  removePin(source: string, options?: SignalOption): Promise<Out<'pin'>>
  /** What to read to each other; the same at both. */
  compare(body: In<'compareBody'>, options?: SignalOption): Promise<Out<'comparison'>>
  acceptComparison(body: In<'acceptBody'>, options?: SignalOption): Promise<Out<'approved'>>
  names(options?: SignalOption): Promise<{ readonly names: readonly Out<'petname'>[] }>
  setName(body: In<'nameBody'>, options?: SignalOption): Promise<Out<'petname'>>
  removeName(name: string, options?: SignalOption): Promise<Out<'petname'>>
  /** Peers that were refused for want of trust. */
  pending(options?: SignalOption): Promise<{ readonly pending: readonly Out<'pendingPeer'>[] }>
  approve(body: In<'approveBody'>, options?: SignalOption): Promise<Out<'approved'>>
  reject(peer: string, options?: SignalOption): Promise<Out<'pendingPeer'>>
  attest(body: In<'attestBody'>, options?: SignalOption): Promise<Out<'attested'>>
  attestations(query?: In<'attestationsQuery'>, options?: SignalOption): Promise<Out<'attestationList'>>
  /** Signs a capability token for somebody, or hands one on. */
  /** Which person signed a grant. */
  grantApproval(id: string, options?: SignalOption): Promise<Out<'grantApproval'>>
  issueGrant(body: In<'grantBody'>, options?: SignalOption): Promise<Out<'grant'>>
  grants(options?: SignalOption): Promise<{ readonly grants: readonly Out<'grant'>[] }>
  grant(id: string, options?: SignalOption): Promise<Out<'grant'>>
  revokeGrant(body: In<'grantRevokeBody'>, options?: SignalOption): Promise<Out<'grant'>>
  forgetGrant(id: string, options?: SignalOption): Promise<Out<'grant'>>
  importGrant(text: string, options?: SignalOption): Promise<Out<'grant'>>
  /** May somebody do this at the node now, and why? */
  checkGrant(query: { readonly did: string; readonly command: string }, options?: SignalOption): Promise<Out<'grantCheck'>>
  policy(options?: SignalOption): Promise<Out<'policyView'>>
  revoke(body: In<'revokeBody'>, options?: SignalOption): Promise<{ readonly id: string }>
  explain(query: { readonly subject: string; readonly scope?: string }, options?: SignalOption): Promise<Out<'explanation'>>
  /** What this node itself says of others. */
  trustRoots(options?: SignalOption): Promise<Out<'ownWordList'>>
  trustRendezvous(options?: SignalOption): Promise<Out<'rendezvous'>>
  /** Whose level would change; nothing is signed. */
  simulateTrust(body: In<'simulateBody'>, options?: SignalOption): Promise<Out<'simulation'>>
  trustGraph(query: { readonly scope?: string; readonly subject?: string; readonly nodes?: number }, options?: SignalOption): Promise<Out<'graphView'>>
  rank(query: { readonly scope?: string; readonly capability?: string; readonly limit?: number }, options?: SignalOption): Promise<Out<'ranking'>>
  levels(query: { readonly scope?: string }, options?: SignalOption): Promise<{ readonly levels: readonly { readonly did: string; readonly level: number }[] }>
  domains(options?: SignalOption): Promise<{ readonly domains: readonly Out<'domainPin'>[] }>
  checkDomain(body: In<'domainBody'>, options?: SignalOption): Promise<Out<'domainReport'>>
  pinDomain(body: In<'pinDomainBody'>, options?: SignalOption): Promise<Out<'domainPin'>>
  recheckDomains(options?: SignalOption): Promise<{ readonly domains: readonly Out<'domainPin'>[] }>
  removeDomain(domain: string, options?: SignalOption): Promise<Out<'domainPin'>>
  domainDocument(domain: string, options?: SignalOption): Promise<Out<'domainDocument'>>
  followedLists(options?: SignalOption): Promise<{ readonly lists: readonly Out<'followedList'>[] }>
  inspectList(body: In<'listBody'>, options?: SignalOption): Promise<Out<'listReport'>>
  followList(body: In<'followBody'>, options?: SignalOption): Promise<Out<'followedList'>>
  signList(body: In<'listBody'>, options?: SignalOption): Promise<Out<'listBody'>>
  unfollowList(name: string, options?: SignalOption): Promise<Out<'followedList'>>
  introduce(body: In<'introduceBody'>, options?: SignalOption): Promise<Out<'introduced'>>
  settings(query?: { readonly agent?: string }, options?: SignalOption): Promise<{ readonly settings: readonly Out<'setting'>[] }>
  setSetting(body: In<'settingBody'>, options?: SignalOption): Promise<Out<'setting'>>
  reloadSettings(options?: SignalOption): Promise<{ readonly changed: readonly string[] }>
  auditTail(
    page: { readonly limit?: number; readonly before?: number; readonly event?: string; readonly party?: string },
    options?: SignalOption,
  ): Promise<Out<'auditPage'>>
  /** The newest checkpoint, and the keys that may have signed it. */
  auditCheckpoint(options?: SignalOption): Promise<Out<'checkpoint'>>
  /** Shows that the log continues the one of `from` entries. */
  auditConsistency(from: number, options?: SignalOption): Promise<Readonly<Record<string, unknown>>>
  /** The same as `auditVerify` with progress; the last line is the verdict. Leaving early stops it. */
  auditVerifyLines(options?: SignalOption): AsyncGenerator<Exclude<AuditVerifyLine, { readonly type: 'error' }>>
  auditVerify(options?: SignalOption): Promise<Out<'verdict'>>
  auditProve(seq: number, options?: SignalOption): Promise<Readonly<Record<string, unknown>>>
  /** Progress of a task on a peer; the last line is its result. Leaving early stops the task. */
  run(body: TaskBody, options?: SignalOption): AsyncGenerator<Exclude<TaskLine, { readonly type: 'error' }>>
  /** The same, but the task goes on by itself. */
  startTask(body: TaskBody, options?: SignalOption): Promise<AskedTask>
  /** What would be sent, and what the executor says to it. */
  planTask(body: TaskBody, options?: SignalOption): Promise<TaskPlan>
  tasks(query?: { readonly limit?: number; readonly ended?: 'true' | 'false' }, options?: SignalOption): Promise<Out<'taskList'>>
  /** By the id, or the beginning of one. */
  task(id: string, options?: SignalOption): Promise<TaskDescription>
  /** What a task printed; with `follow` until it ends. */
  taskLogs(id: string, options?: SignalOption & { readonly follow?: boolean }): AsyncGenerator<Exclude<TaskLogLine, { readonly type: 'error' }>>
  stopTask(id: string, options?: SignalOption): Promise<Out<'taskStopped'>>
  /** Sends a file of the node's machine; the last line is how it stands. Leaving early does not stop the transfer. */
  sendFile(body: In<'sendFileBody'>, options?: SignalOption): AsyncGenerator<Exclude<SendFileLine, { readonly type: 'error' }>>
  /** Lets the node take files into a folder, until the signal aborts or the caller leaves. */
  receiveFiles(body: In<'receiveBody'>, options?: SignalOption): AsyncGenerator<Exclude<ReceiveLine, { readonly type: 'error' }>>
  transfers(options?: SignalOption): Promise<{ readonly outgoing: readonly Out<'outgoingTransfer'>[]; readonly incoming: readonly Out<'incomingTransfer'>[] }>
  cancelTransfer(id: string, options?: SignalOption): Promise<{ readonly id: string; readonly cancelled: boolean }>
  /** Makes a token for a program; its text is shown once. */
  createToken(body: In<'tokenBody'>, options?: SignalOption): Promise<Out<'tokenCreated'>>
  tokens(options?: SignalOption): Promise<{ readonly tokens: readonly Out<'token'>[] }>
  revokeToken(id: string, options?: SignalOption): Promise<Out<'token'>>
  /** Whom a one-time link makes. */
  inspectUserInvite(token: string, options?: SignalOption): Promise<Out<'enrolInvite'>>
  /** What the browser is asked for a passkey: of a new user by a one-time link, or one more. */
  beginRegistration(body: In<'registerBegin'>, options?: SignalOption): Promise<Out<'begun'>>
  finishRegistration(body: In<'passkeyAnswer'>, options?: SignalOption): Promise<Out<'registered'>>
  beginLogin(body: In<'loginBegin'>, options?: SignalOption): Promise<Out<'begun'>>
  finishLogin(body: In<'passkeyAnswer'>, options?: SignalOption): Promise<Out<'entered'>>
  loginWithCode(body: In<'codeLogin'>, options?: SignalOption): Promise<Out<'codeEntered'>>
  beginStepUp(body: In<'stepUpBegin'>, options?: SignalOption): Promise<Out<'begun'>>
  /** With any factors, in one step or several; the session goes on under a new token. */
  authenticateStepUp(body: Omit<In<'challengeBody'>, 'userId' | 'deviceToken'>, options?: SignalOption): Promise<Out<'authenticationResult'>>
  finishStepUp(body: In<'passkeyAnswer'>, options?: SignalOption): Promise<Out<'steppedUp'>>
  logout(options?: SignalOption): Promise<Out<'loggedOut'>>
  /** Who is logged in, and what they may do. */
  me(options?: SignalOption): Promise<Out<'me'>>
  /** One's own passkeys. */
  ownPasskeys(options?: SignalOption): Promise<Out<'passkeyList'>>
  users(options?: SignalOption): Promise<{ readonly users: readonly Out<'user'>[] }>
  /** The link is shown once. */
  inviteUser(body: In<'userInviteBody'>, options?: SignalOption): Promise<Out<'userInvited'>>
  userInvites(options?: SignalOption): Promise<{ readonly invites: readonly Out<'userInvite'>[] }>
  revokeUserInvite(id: string, options?: SignalOption): Promise<Out<'userInvite'>>
  setUserRole(body: In<'userRoleBody'>, options?: SignalOption): Promise<Out<'user'>>
  /** By id or name. */
  removeUser(user: string, options?: SignalOption): Promise<Out<'user'>>
  /** One's own; with the right over people those of one user, or of `all`. */
  userSessions(query?: { readonly user?: string }, options?: SignalOption): Promise<{ readonly sessions: readonly Out<'userSession'>[] }>
  revokeUserSession(id: string, options?: SignalOption): Promise<Out<'userSession'>>
  passkeys(user: string, options?: SignalOption): Promise<Out<'passkeyList'>>
  removePasskey(id: string, options?: SignalOption): Promise<Out<'passkey'>>
  enablePasskey(id: string, options?: SignalOption): Promise<Out<'passkey'>>
  /** Asks the person of the session to sign a grant with their passkey. */
  beginGrant(body: In<'grantBody'>, options?: SignalOption): Promise<Out<'begun'>>
  finishGrant(body: In<'passkeyAnswer'>, options?: SignalOption): Promise<{ readonly session: Out<'openedSession'>; readonly grant: Out<'grant'> }>
  /** What is wrong with the node, and the command that mends it. */
  doctor(options?: SignalOption): Promise<Out<'doctorReport'>>
  /** Topics that are read here now. */
  topics(options?: SignalOption): Promise<{ readonly topics: readonly string[] }>
  /** Is the node up, or `sealed` and waiting for its vault to be opened? Needs no token. */
  health(options?: SignalOption): Promise<{ readonly ok: boolean; readonly sealed?: boolean }>
  /**
   * What happens at the node, until the signal aborts; with a cursor what came after it first. A stream that breaks is opened again where it was.
   * `gap` comes where something was missed.
   */
  events(options?: SignalOption & { readonly cursor?: string }): AsyncGenerator<LiveEvent>
}

export function createClient({ url, token, fetch = globalThis.fetch }: ClientOptions): Client {
  async function open(path: string, { signal }: SignalOption, body?: unknown): Promise<Response> {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    let response: Response
    try {
      response = await fetch(url + path, {
        method: body === undefined ? 'GET' : 'POST',
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        signal: signal ?? null,
      })
    } catch (cause) {
      signal?.throwIfAborted()
      throw new MeshError('ERR_NODE_DOWN', `nobody answers at ${url}`, { cause })
    }
    if (!response.ok) throw problemOf(await response.json().catch(() => undefined), response.status)
    return response
  }
  const call = async <T>(path: string, options: SignalOption = {}, body?: unknown): Promise<T> => (await (await open(path, options, body)).json()) as T
  const query = (fields: Readonly<Record<string, string | number | undefined>>): string => {
    const given = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)] as const]))
    return given.length === 0 ? '' : `?${new URLSearchParams(Object.fromEntries(given)).toString()}`
  }

  /** An answer in lines of JSON; an error is its last line. */
  async function* lines<T extends object>(path: string, options: SignalOption = {}, body?: unknown): AsyncGenerator<Exclude<T, { readonly type: 'error' }>> {
    const response = await open(path, options, body)
    for await (const line of linesOf(response, options.signal)) {
      const item = JSON.parse(line) as T | { readonly type: 'error'; readonly error: unknown }
      if ('type' in item && item.type === 'error' && 'error' in item) throw problemOf(item.error, 200)
      yield item as Exclude<T, { readonly type: 'error' }>
    }
  }

  return {
    as: (other) => createClient({ url, token: other, fetch }),
    authenticate: (body, options) => call('/v1/auth/authenticate', options, body),
    factors: (fields = {}, options = {}) => call(`/v1/auth/factors${query(fields)}`, options),
    beginTotp: (body, options) => call('/v1/auth/totp/begin', options, body),
    finishTotp: (body, options) => call('/v1/auth/totp/finish', options, body),
    removeTotp: (body, options) => call('/v1/auth/totp/remove', options, body),
    makeRecoveryCodes: (body, options) => call('/v1/auth/recovery-codes', options, body),
    status: (options) => call('/v1/status', options),
    peers: (options) => call('/v1/peers', options),
    find: (fields, options) => call(`/v1/find${query(fields)}`, options),
    setPresence: (body, options) => call('/v1/presence', options, body),
    dial: (body, options) => call('/v1/dial', options, body),
    ping: (body, options) => call('/v1/ping', options, body),
    send: (body, options) => call('/v1/send', options, body),
    outbox: (options) => call('/v1/outbox', options),
    ask: (body, options) => call('/v1/ask', options, body),
    inbox: (page, options) => call(`/v1/inbox${query(page)}`, options),
    groups: (options) => call('/v1/groups', options),
    createGroup: (body, options) => call('/v1/groups', options, body),
    changeGroup: (action, body, options) => call(`/v1/groups/${action}`, options, body),
    mergeGroup: (body, options) => call('/v1/groups/merge', options, body),
    leaveGroup: (body, options) => call('/v1/groups/leave', options, body),
    sendToGroup: (body, options) => call('/v1/groups/send', options, body),
    groupMessages: (page, options) => call(`/v1/groups/messages${query(page)}`, options),
    publish: (body, options) => call('/v1/topics/publish', options, body),
    topic: (topic, options) => lines<TopicLine>(`/v1/topics/messages${query({ topic })}`, options),
    agents: (options) => call('/v1/agents', options),
    addAgent: (body, options) => call('/v1/agents', options, body),
    updateAgent: (body, options) => call('/v1/agents/update', options, body),
    startAgent: (name, options) => call('/v1/agents/start', options, { name }),
    stopAgent: (name, options) => call('/v1/agents/stop', options, { name }),
    agentLogs: ({ name, follow = false }, options) => lines<AgentLogLine>(`/v1/agents/logs${query({ name, follow: String(follow) })}`, options),
    rotateAgent: (name, options) => call('/v1/agents/rotate', options, { name }),
    removeAgent: (name, options) => call('/v1/agents/remove', options, { name }),
    identities: (options) => call('/v1/identities', options),
    generateIdentity: (body, options) => call('/v1/identities', options, body),
    sign: (body, options) => call('/v1/sign', options, body),
    verify: (body, options) => call('/v1/verify', options, body),
    mailboxes: (options) => call('/v1/mailboxes', options),
    addMailbox: (body, options) => call('/v1/mailboxes', options, body),
    removeMailbox: (holder, options) => call('/v1/mailboxes/remove', options, { holder }),
    collectMail: (options) => call('/v1/mailboxes/collect', options, {}),
    checkReceipt: (receipt, options) => call('/v1/mailboxes/check', options, { receipt }),
    heldMail: (options) => call('/v1/mailboxes/held', options),
    identity: (options) => call('/v1/identity', options),
    rotate: (body, options) => call('/v1/identity/rotate', options, body),
    exportRecovery: (body, options) => call('/v1/identity/recovery', options, body),
    recover: (body, options) => call('/v1/identity/recover', options, body),
    vault: (options) => call('/v1/vault', options),
    secrets: (options) => call('/v1/vault/secrets', options),
    setSecret: (body, options) => call('/v1/vault/secrets', options, body),
    readSecret: (name, options) => call('/v1/vault/secrets/read', options, { name }),
    removeSecret: (name, options) => call('/v1/vault/secrets/remove', options, { name }),
    changeVaultPassphrase: (body, options) => call('/v1/vault/passphrase', options, body),
    addVaultSlot: (body, options) => call('/v1/vault/slots', options, body),
    removeVaultSlot: (id, options) => call('/v1/vault/slots/remove', options, { id }),
    exportVault: (passphrase, options) => call('/v1/vault/export', options, { passphrase }),
    importVault: (body, options) => call('/v1/vault/import', options, body),
    sealVault: (options) => call('/v1/vault/seal', options, {}),
    unsealVault: (body, options) => call('/v1/vault/unseal', options, body),
    invite: (body, options) => call('/v1/invites', options, body),
    invites: (options) => call('/v1/invites', options),
    revokeInvite: (name, options) => call('/v1/invites/revoke', options, { name }),
    join: (body, options) => call('/v1/join', options, body),
    pins: (options) => call('/v1/pins', options),
    approvePin: (source, options) => call('/v1/pins/approve', options, { source }),
    removePin: (source, options) => call('/v1/pins/remove', options, { source }),
    compare: (body, options) => call('/v1/compare', options, body),
    acceptComparison: (body, options) => call('/v1/compare/accept', options, body),
    names: (options) => call('/v1/names', options),
    setName: (body, options) => call('/v1/names', options, body),
    removeName: (name, options) => call('/v1/names/remove', options, { name }),
    pending: (options) => call('/v1/pending', options),
    approve: (body, options) => call('/v1/pending/approve', options, body),
    reject: (peer, options) => call('/v1/pending/reject', options, { peer }),
    attest: (body, options) => call('/v1/attestations', options, body),
    attestations: (fields = {}, options) => call(`/v1/attestations${query(fields)}`, options),
    trustRoots: (options) => call('/v1/trust/roots', options),
    trustRendezvous: (options) => call('/v1/trust/rendezvous', options),
    simulateTrust: (body, options) => call('/v1/trust/simulate', options, body),
    trustGraph: (fields, options) => call(`/v1/trust/graph${query(fields)}`, options),
    rank: (fields, options) => call(`/v1/trust/rank${query(fields)}`, options),
    grantApproval: (id, options) => call('/v1/grants/approval', options, { id }),
    issueGrant: (body, options) => call('/v1/grants', options, body),
    grants: (options) => call('/v1/grants', options),
    grant: (id, options) => call(`/v1/grants/${encodeURIComponent(id)}`, options),
    revokeGrant: (body, options) => call('/v1/grants/revoke', options, body),
    forgetGrant: (id, options) => call('/v1/grants/forget', options, { id }),
    importGrant: (text, options) => call('/v1/grants/import', options, { text }),
    checkGrant: (fields, options) => call(`/v1/grants/check${query(fields)}`, options),
    policy: (options) => call('/v1/policy', options),
    revoke: (body, options) => call('/v1/revocations', options, body),
    explain: (fields, options) => call(`/v1/trust/explain${query(fields)}`, options),
    levels: (fields, options) => call(`/v1/trust/levels${query(fields)}`, options),
    domains: (options) => call('/v1/domains', options),
    checkDomain: (body, options) => call('/v1/domains/check', options, body),
    pinDomain: (body, options) => call('/v1/domains', options, body),
    recheckDomains: (options) => call('/v1/domains/recheck', options, {}),
    removeDomain: (domain, options) => call('/v1/domains/remove', options, { domain }),
    domainDocument: (domain, options) => call(`/v1/domains/document${query({ domain })}`, options),
    followedLists: (options) => call('/v1/authorities', options),
    inspectList: (body, options) => call('/v1/authorities/inspect', options, body),
    followList: (body, options) => call('/v1/authorities', options, body),
    signList: (body, options) => call('/v1/authorities/sign', options, body),
    unfollowList: (name, options) => call('/v1/authorities/remove', options, { name }),
    introduce: (body, options) => call('/v1/introductions', options, body),
    settings: (fields = {}, options = {}) => call(`/v1/config${query(fields)}`, options),
    setSetting: (body, options) => call('/v1/config', options, body),
    reloadSettings: (options) => call('/v1/config/reload', options, {}),
    auditTail: (page, options) => call(`/v1/audit${query(page)}`, options),
    auditVerify: (options) => call('/v1/audit/verify', options, {}),
    auditCheckpoint: (options) => call('/v1/audit/checkpoint', options),
    auditConsistency: (from, options) => call(`/v1/audit/consistency${query({ from })}`, options),
    auditVerifyLines: (options) => lines<AuditVerifyLine>('/v1/audit/verify/lines', options, {}),
    auditProve: (seq, options) => call(`/v1/audit/${seq}/proof`, options),
    run: (body, options) => lines<TaskLine>('/v1/tasks', options, body),
    startTask: (body, options) => call('/v1/tasks/start', options, body),
    planTask: (body, options) => call('/v1/tasks/plan', options, body),
    tasks: (fields = {}, options = {}) => call(`/v1/tasks${query(fields)}`, options),
    task: (id, options) => call(`/v1/tasks/${encodeURIComponent(id)}`, options),
    taskLogs: (id, { follow = false, ...options } = {}) =>
      lines<TaskLogLine>(`/v1/tasks/${encodeURIComponent(id)}/logs${query({ follow: String(follow) })}`, options),
    stopTask: (id, options) => call('/v1/tasks/stop', options, { id }),
    sendFile: (body, options) => lines<SendFileLine>('/v1/files/send', options, body),
    receiveFiles: (body, options) => lines<ReceiveLine>('/v1/files/receive', options, body),
    transfers: (options) => call('/v1/transfers', options),
    cancelTransfer: (id, options) => call('/v1/transfers/cancel', options, { id }),
    createToken: (body, options) => call('/v1/tokens', options, body),
    tokens: (options) => call('/v1/tokens', options),
    revokeToken: (id, options) => call('/v1/tokens/revoke', options, { id }),
    inspectUserInvite: (text, options) => call('/v1/auth/invite', options, { token: text }),
    beginRegistration: (body, options) => call('/v1/auth/register/begin', options, body),
    finishRegistration: (body, options) => call('/v1/auth/register/finish', options, body),
    beginLogin: (body, options) => call('/v1/auth/login/begin', options, body),
    finishLogin: (body, options) => call('/v1/auth/login/finish', options, body),
    loginWithCode: (body, options) => call('/v1/auth/login/code', options, body),
    beginStepUp: (body, options) => call('/v1/auth/step-up/begin', options, body),
    authenticateStepUp: (body, options) => call('/v1/auth/step-up/authenticate', options, body),
    finishStepUp: (body, options) => call('/v1/auth/step-up/finish', options, body),
    logout: (options) => call('/v1/auth/logout', options, {}),
    me: (options) => call('/v1/auth/me', options),
    ownPasskeys: (options) => call('/v1/auth/credentials', options),
    users: (options) => call('/v1/users', options),
    inviteUser: (body, options) => call('/v1/user-invites', options, body),
    userInvites: (options) => call('/v1/user-invites', options),
    revokeUserInvite: (id, options) => call('/v1/user-invites/revoke', options, { id }),
    setUserRole: (body, options) => call('/v1/users/role', options, body),
    removeUser: (user, options) => call('/v1/users/remove', options, { user }),
    userSessions: (fields = {}, options = {}) => call(`/v1/sessions${query(fields)}`, options),
    revokeUserSession: (id, options) => call('/v1/sessions/revoke', options, { id }),
    passkeys: (user, options) => call(`/v1/users/passkeys${query({ user })}`, options),
    removePasskey: (id, options) => call('/v1/auth/credentials/remove', options, { id }),
    enablePasskey: (id, options) => call('/v1/auth/credentials/enable', options, { id }),
    beginGrant: (body, options) => call('/v1/grants/approve/begin', options, body),
    finishGrant: (body, options) => call('/v1/grants/approve/finish', options, body),
    doctor: (options) => call('/v1/doctor', options),
    topics: (options) => call('/v1/topics', options),
    health: (options) => call('/healthz', options),
    events: (options = {}) => resumed((cursor) => open(`/v1/events${query({ cursor })}`, options), options),
  }
}

function problemOf(problem: unknown, status: number): MeshError {
  const { code, message, hint, details } = (problem ?? {}) as {
    readonly code?: unknown
    readonly message?: unknown
    readonly hint?: unknown
    readonly details?: Readonly<Record<string, unknown>>
  }
  if (!isErrorCode(code)) return new MeshError('ERR_INTERNAL', `the node answered ${status}`)
  return new MeshError(code, typeof message === 'string' ? message : '', {
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(details === undefined ? {} : { details }),
  })
}
