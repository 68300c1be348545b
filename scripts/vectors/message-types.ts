import type { MessageBody, ReservedType } from '../../src/agents/index.ts'
import { hex } from '../../src/base/index.ts'
import { anna, ben, now, type Vector, type Vectors } from './world.ts'

const hash = hex(new Uint8Array(32).fill(6))

interface Example<T extends ReservedType> {
  readonly body: MessageBody<T>
  /** What is wrong with the second body. */
  readonly fault: string
  readonly wrong: unknown
}

/** One body that fits and one that does not, for each reserved type. */
export const messageExamples: { readonly [T in ReservedType]: Example<T> } = {
  task_request: {
    body: { taskId: 't-1', description: 'find all mentions of the pond', capability: 'search/text', input: { book: 'walden' }, deadline: now + 60_000 },
    fault: 'no description',
    wrong: { taskId: 't-1' },
  },
  task_result: { body: { taskId: 't-1', output: [3, null], receipt: hash }, fault: 'no output', wrong: { taskId: 't-1', receipt: hash } },
  task_error: {
    body: { taskId: 't-1', code: 'BOOK_MISSING', message: 'no such book', retryable: false, retryAfterMs: 0 },
    fault: 'a code in small letters',
    wrong: { taskId: 't-1', code: 'missing', message: '' },
  },
  task_progress: { body: { taskId: 't-1', fraction: 0.5, note: 'half' }, fault: 'more than all', wrong: { taskId: 't-1', fraction: 1.01 } },
  status_update: { body: { status: 'busy', load: 1, until: now }, fault: 'a status there is not', wrong: { status: 'asleep' } },
  heartbeat: { body: { seq: 0, uptimeMs: 12_000 }, fault: 'half a number', wrong: { seq: 0.5, uptimeMs: 12_000 } },
  memory_read: { body: { space: 'notes', key: 'Ä 1', version: 3 }, fault: 'an empty key', wrong: { space: 'notes', key: '' } },
  memory_write: {
    body: { space: 'notes', key: 'a', value: null, ifVersion: 3, ttlMs: 1 },
    fault: 'a member nobody knows',
    wrong: { space: 'notes', key: 'a', value: 1, force: true },
  },
  state_sync: {
    body: {
      space: 'notes',
      base: 1,
      version: 3,
      entries: [
        { key: 'a', version: 2, value: { x: 1 } },
        { key: 'b', version: 3, deleted: true },
      ],
    },
    fault: 'an entry both set and deleted',
    wrong: { space: 'notes', base: 1, version: 3, entries: [{ key: 'a', version: 2, value: 1, deleted: true }] },
  },
  capability_announce: {
    body: { capabilities: ['search/text', 'llm:invoke'], roles: ['archive'], validUntil: now + 1 },
    fault: 'a role there is not',
    wrong: { capabilities: [], roles: ['king'], validUntil: now },
  },
  service_discovery: { body: { seek: ['search/text'], limit: 5 }, fault: 'seeks nothing', wrong: { seek: [] } },
  security_alert: {
    body: { severity: 'warning', event: 'replay', at: now, subject: ben.did, description: 'one message, 40 times', evidence: [hash] },
    fault: 'a subject in another spelling',
    wrong: { severity: 'warning', event: 'replay', at: now, subject: 'ben' },
  },
  trust_update: { body: { issuer: anna.did, statements: [hash] }, fault: 'a hash in capitals', wrong: { issuer: anna.did, statements: ['AB'.repeat(32)] } },
  config_update: {
    body: { layer: 'organization', version: 7, changes: [{ key: 'log.level', value: 'warn', locked: true }] },
    fault: 'a layer there is not',
    wrong: { layer: 'galaxy', version: 7, changes: [{ key: 'a', value: 1 }] },
  },
  contract_proposal: {
    body: { contractId: 'c-1', participants: [anna.did, ben.did], terms: { pays: 'anna', for: ['search/text'] }, expiresAt: now + 1 },
    fault: 'terms in a list',
    wrong: { contractId: 'c-1', participants: [anna.did, ben.did], terms: ['anna pays'], expiresAt: now },
  },
  contract_acceptance: {
    body: { contractId: 'c-1', termsHash: hash, accepted: true },
    fault: 'neither yes nor no',
    wrong: { contractId: 'c-1', termsHash: hash, accepted: 'yes' },
  },
  contract_execution: {
    body: { contractId: 'c-1', termsHash: hash, step: 'search/text', state: 'done', output: 3, receipt: hash },
    fault: 'an identifier of 65 characters',
    wrong: { contractId: 'c'.repeat(65), termsHash: hash, step: 'search/text', state: 'done' },
  },
}

const item = (comment: string, spec: string, expect: string, type: string, body: string, encoding = 'json'): Vector => ({
  comment,
  spec,
  expect,
  kind: 'body',
  type,
  encoding,
  body,
})

export function messageTypeVectors(): Vectors {
  const progress = JSON.stringify(messageExamples.task_progress.body)
  return {
    ...Object.fromEntries(
      Object.entries(messageExamples).flatMap(([type, { body, fault, wrong }]) => [
        [`type-${type}`, item(`a ${type}`, '6', 'ok', type, JSON.stringify(body))],
        [`type-${type}-refused`, item(fault, '5.1', 'ERR_JSON_INVALID', type, JSON.stringify(wrong))],
      ]),
    ),
    'type-as-text': item('the same as text', '5.1', 'ERR_MESSAGE_TYPE', 'task_progress', progress, 'text'),
    'type-name-twice': item('one member twice', '5.1', 'ERR_JSON_INVALID', 'task_progress', '{"taskId":"t","fraction":0,"fraction":1}'),
    'type-no-object': item('a list', '5.1', 'ERR_JSON_INVALID', 'task_progress', '[]'),
    'type-later': item('a name of a later version', '5.2', 'ERR_MESSAGE_TYPE', 'task_pause', '{}'),
    'type-misspelt': item('a reserved name with a slip', '5.2', 'ERR_MESSAGE_TYPE', 'task_requset', '{}'),
    'type-own-prefix': item('of the protocol, unknown', '5.2', 'ERR_MESSAGE_TYPE', 'klp/route', '', 'text'),
    'type-own-prefix-long': item('of the protocol, unknown', '5.2', 'ERR_MESSAGE_TYPE', 'kindmesh/vault', '', 'text'),
    'type-empty': item('no type', '5.3', 'ERR_MESSAGE_TYPE', '', '', 'text'),
    'type-text': item('plain text', '5.3', 'ok', 'text', 'hello', 'text'),
    'type-app': item('an app’s own', '5.3', 'ok', 'shop/order_placed', '{"a":1,"a":2}'),
    'type-capitals': item('an app’s own: reserved names have none', '5.3', 'ok', 'Task_Request', '', 'text'),
  }
}
