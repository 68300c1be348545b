import { readdirSync, readFileSync } from 'node:fs'
import { Command } from 'commander'
import { expect, test } from 'vitest'
import { type AddCommand, commandAdders } from '../../src/cli/program.ts'
import { createClient } from '../../src/client/index.ts'

/** Commands that call the running node, by the calls of the client they make; those of a node that is off do the same on its files. */
const atNode: Readonly<Record<string, readonly string[]>> = {
  id: ['identity'],
  'id rotate': ['rotate'],
  'id export-recovery': ['exportRecovery'],
  'id recover': ['recover'],
  status: ['status'],
  peers: ['peers'],
  dial: ['dial'],
  ping: ['ping'],
  find: ['find'],
  presence: ['setPresence'],
  send: ['send', 'sendFile'],
  ask: ['ask'],
  outbox: ['outbox'],
  inbox: ['inbox'],
  'topic publish': ['publish'],
  'topic subscribe': ['topic'],
  receive: ['receiveFiles'],
  transfers: ['transfers', 'cancelTransfer'],
  'mailbox add': ['addMailbox'],
  'mailbox list': ['mailboxes'],
  'mailbox remove': ['removeMailbox'],
  'mailbox collect': ['collectMail'],
  'mailbox check': ['checkReceipt'],
  'mailbox status': ['heldMail'],
  'group create': ['createGroup'],
  'group add': ['changeGroup'],
  'group remove': ['changeGroup'],
  'group admin': ['changeGroup'],
  'group send': ['sendToGroup'],
  'group list': ['groups'],
  'group messages': ['groupMessages'],
  'group merge': ['mergeGroup'],
  'group leave': ['leaveGroup'],
  'agent add': ['addAgent'],
  'agent list': ['agents'],
  'agent update': ['updateAgent'],
  'agent start': ['startAgent'],
  'agent stop': ['stopAgent'],
  'agent logs': ['agentLogs'],
  'agent rotate': ['rotateAgent'],
  'agent remove': ['removeAgent'],
  'vault status': ['vault'],
  'vault list': ['secrets'],
  'vault get': ['readSecret'],
  'vault set': ['setSecret'],
  'vault rm': ['removeSecret'],
  'vault passphrase': ['changeVaultPassphrase'],
  'vault export': ['exportVault'],
  'vault import': ['importVault'],
  'vault slots add-recovery': ['addVaultSlot'],
  'vault slots add-passphrase': ['addVaultSlot'],
  'vault slots add-keyring': ['addVaultSlot'],
  'vault slots rm': ['removeVaultSlot'],
  'vault seal': ['sealVault'],
  'vault unseal': ['unsealVault'],
  'identity create': ['generateIdentity'],
  'identity list': ['identities'],
  sign: ['sign'],
  invite: ['invite'],
  'invite list': ['invites'],
  'invite revoke': ['revokeInvite'],
  join: ['join'],
  'verify-peer': ['compare', 'acceptComparison'],
  'name set': ['setName'],
  'name list': ['names'],
  'name rm': ['removeName'],
  'pending list': ['pending'],
  'pending approve': ['approve'],
  'pending reject': ['reject'],
  'pin list': ['pins'],
  'pin approve': ['approvePin'],
  'pin rm': ['removePin'],
  attest: ['attest'],
  revoke: ['revoke', 'attestations', 'simulateTrust'],
  'trust show': ['attestations'],
  'trust roots': ['trustRoots'],
  'trust rendezvous': ['trustRendezvous'],
  'trust rank': ['rank'],
  'trust import': ['attest', 'setName', 'attestations', 'status'],
  'trust export': ['attestations', 'status'],
  'trust explain': ['explain'],
  'trust graph': ['trustGraph'],
  'trust simulate': ['simulateTrust'],
  introduce: ['introduce'],
  'domain check': ['checkDomain'],
  'domain pin': ['pinDomain'],
  'domain list': ['domains'],
  'domain recheck': ['recheckDomains'],
  'domain rm': ['removeDomain'],
  'domain document': ['domainDocument'],
  'authorities sign': ['signList'],
  'authorities inspect': ['inspectList'],
  'authorities add': ['followList'],
  'authorities list': ['followedLists'],
  'authorities rm': ['unfollowList'],
  'grant issue': ['issueGrant'],
  'grant check': ['checkGrant'],
  'grant show': ['grant'],
  'grant list': ['grants'],
  'grant revoke': ['revokeGrant'],
  'grant forget': ['forgetGrant'],
  'grant import': ['importGrant'],
  'policy show': ['policy'],
  run: ['planTask', 'startTask', 'run', 'status', 'find'],
  'task list': ['tasks'],
  'task describe': ['task'],
  'task logs': ['taskLogs'],
  'task stop': ['stopTask'],
  'task history': ['tasks'],
  'audit tail': ['auditTail'],
  'audit verify': ['auditVerify'],
  'audit prove': ['auditProve'],
  'user invite': ['inviteUser'],
  'user add': ['inviteUser'],
  'user list': ['users', 'userInvites', 'revokeUserInvite'],
  'user login': ['authenticate', 'as', 'logout'],
  'user totp': ['beginTotp', 'finishTotp', 'removeTotp'],
  'user recovery': ['makeRecoveryCodes'],
  'user sessions': ['userSessions', 'revokeUserSession'],
  'user role': ['setUserRole'],
  'user remove': ['removeUser'],
  'user passkeys': ['passkeys', 'removePasskey', 'enablePasskey', 'factors'],
  'config get': ['settings'],
  'config explain': ['settings'],
  'config set': ['setSetting'],
  'config unset': ['setSetting'],
  'config edit': ['reloadSettings'],
  'token create': ['createToken'],
  'token list': ['tokens'],
  'token revoke': ['revokeToken'],
  doctor: ['status', 'auditVerify'],
}

/** Commands that call no node, and why that is their nature. */
const offline: Readonly<Record<string, string>> = {
  init: 'makes the profile a node runs on',
  up: 'is the node',
  'vault accept': 'lets a node start again whose vault was put back from a copy',
  verify: 'needs nothing but the document and a key',
  'trust compute': 'computes over a file',
  'authorities create': 'writes a file',
  'sandbox run': 'runs without a mesh',
  'sandbox probe': 'looks at this machine',
  'sandbox analyse': 'reads a file',
  'sandbox setup': 'prepares this machine',
  'bundle sign': 'signs a file with the profile’s key',
  'bundle verify': 'reads a file',
  'bundle pin': 'a file of the profile, read by the node with each task',
  'bundle unpin': 'a file of the profile, read by the node with each task',
  'bundle pins': 'a file of the profile, read by the node with each task',
  'dev up': 'starts nodes',
}

/** Calls that no command makes, and why. */
const notOfTheCommandLine: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      ...['inspectUserInvite', 'beginRegistration', 'finishRegistration', 'beginLogin', 'finishLogin', 'loginWithCode'],
      ...['beginStepUp', 'finishStepUp', 'authenticateStepUp', 'me', 'ownPasskeys', 'beginGrant', 'finishGrant'],
    ].map((name) => [name, 'of a person in a browser, with a session']),
  ),
  verify: 'the command does it by itself',
  doctor: 'the command looks by itself, also where no node runs',
  grantApproval: 'the console shows it with the grant',
  levels: 'trust explain says it of one, trust rank of many',
  auditCheckpoint: 'for whoever watches the log from outside',
  auditConsistency: 'for whoever watches the log from outside',
  auditVerifyLines: 'the console shows how far it is',
  topics: 'the console lists them',
  health: 'for whatever watches processes',
  events: 'for the console and programs',
}

interface Found {
  readonly path: string
  /** Calls of the client that its own text makes. */
  readonly calls: readonly string[]
}

function commandTree(): readonly Found[] {
  const found: Found[] = []
  const pathOf = (command: Command): string => (command.parent === null ? '' : `${pathOf(command.parent)} ${command.name()}`.trim())
  const add: AddCommand = (parent, usage, _description, build, act) => {
    const calls = [...act.toString().matchAll(/\bclient(?:\(\)\)?)?\)?\s*\.\s*(\w+)\(/g)].map(([, name = '']) => name)
    found.push({ path: pathOf(build(parent.command(usage))), calls: calls.filter((name) => name !== 'then') })
  }
  const program = new Command('kindmesh')
  for (const addAll of commandAdders) addAll(program, add)
  return found
}

const tree = commandTree()
const calls = Object.keys(createClient({ url: 'http://localhost:1', token: '' }))

test('every command has its calls at the API, or a reason to have none', () => {
  expect(tree.map(({ path }) => path).toSorted()).toEqual([...Object.keys(atNode), ...Object.keys(offline)].toSorted())
})

test('the calls of a command are those its text makes, and the client has them', () => {
  const folder = new URL('../../src/cli/', import.meta.url)
  const text = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n')
  for (const { path, calls: made } of tree) {
    const said = atNode[path] ?? []
    expect([path, made.filter((name) => !said.includes(name))]).toEqual([path, []])
    expect([path, said.filter((name) => !calls.includes(name) || !new RegExp(`\\.${name}\\(`).test(text))]).toEqual([path, []])
  }
})

test('every call of the client is made by some command, or is not for the command line', () => {
  const made = new Set(Object.values(atNode).flat())
  expect(calls.filter((name) => !made.has(name)).toSorted()).toEqual(Object.keys(notOfTheCommandLine).toSorted())
})
