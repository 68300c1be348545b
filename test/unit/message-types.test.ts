import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { messageExamples } from '../../scripts/vectors/message-types.ts'
import { type Members, messageSchemas } from '../../scripts/docs.ts'
import { isReservedType, messageBodies, type ReservedType, validateBody } from '../../src/agents/index.ts'
import { MeshError } from '../../src/base/index.ts'

const coded = (code: string): Error => expect.objectContaining({ code }) as Error
const types = Object.keys(messageBodies) as readonly ReservedType[]
const take = (type: string, body: unknown): void => validateBody(type, 'json', JSON.stringify(body))

/** True when the message is taken, false when it is refused with a code; anything else is a fault of ours. */
function takes(type: string, encoding: string, body: string): boolean {
  try {
    validateBody(type, encoding, body)
    return true
  } catch (error) {
    if (error instanceof MeshError && ['ERR_MESSAGE_TYPE', 'ERR_JSON_INVALID', 'ERR_WIRE_TOO_LARGE'].includes(error.code)) return false
    throw error
  }
}

test('the seventeen types of the document are known', () => {
  expect(types.toSorted()).toEqual(
    `task_request task_result task_error task_progress status_update heartbeat memory_read memory_write state_sync capability_announce service_discovery
     security_alert trust_update config_update contract_proposal contract_acceptance contract_execution`
      .split(/\s+/)
      .toSorted(),
  )
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) expect(isReservedType(name)).toBe(false)
})

describe.each(types)('%s', (type) => {
  const { body } = messageExamples[type] as { readonly body: Readonly<Record<string, unknown>> }
  const { required, properties } = messageSchemas()[type] as Members

  test('is taken with what it needs, and refused without any of it', () => {
    take(type, body)
    take(type, Object.fromEntries(Object.entries(body).filter(([name]) => required.includes(name))))
    for (const name of required) {
      const { [name]: _, ...rest } = body
      expect(() => take(type, rest), name).toThrow(coded('ERR_JSON_INVALID'))
    }
  })

  test('takes nothing that it does not know, and no member of another kind', () => {
    for (const name of ['extra', '__proto__', 'constructor', '']) {
      const text = JSON.stringify(body).replace('{', `{${JSON.stringify(name)}:1,`)
      expect(() => validateBody(type, 'json', text), name).toThrow(coded('ERR_JSON_INVALID'))
    }
    for (const name of Object.keys(properties)) {
      const free = name === 'input' || name === 'output' || name === 'value'
      const wrong = [undefined, Number.NaN, true, 1e300, -1, 'a'.repeat(20_000), [[]], { a: {} }].filter((value) => JSON.stringify(value) !== undefined)
      const refused = wrong.filter((value) => !takes(type, 'json', JSON.stringify({ ...body, [name]: value })))
      if (!free) expect(refused.length, name).toBeGreaterThan(wrong.length - 3)
    }
  })

  test('is refused as text, as bytes, and in JSON that two readers could read differently', () => {
    const text = JSON.stringify(body)
    for (const encoding of ['text', 'bytes', '']) expect(() => validateBody(type, encoding, text)).toThrow(coded('ERR_MESSAGE_TYPE'))
    const [first = ''] = Object.keys(body)
    for (const twice of [text.replace('{', `{${JSON.stringify(first)}:0,`), `${text} x`, text.slice(0, -1), '', 'null', `[${text}]`]) {
      expect(() => validateBody(type, 'json', twice)).toThrow(coded('ERR_JSON_INVALID'))
    }
    expect(() => validateBody(type, 'json', `{"a":"${'x'.repeat(70_000)}"}`)).toThrow(coded('ERR_WIRE_TOO_LARGE'))
    expect(() => validateBody(type, 'json', '['.repeat(60_000))).toThrow(coded('ERR_JSON_INVALID'))
  })
})

describe('other names', () => {
  test.each([
    'text',
    'ask',
    'greeting',
    'shop/order',
    'shop/order_placed',
    'com.example.order',
    'Task_Request',
    'task-request',
    'tâche',
    '_',
    'a__b',
    '_a',
    'klp',
    'x klp/',
  ])('%s is the app’s own, whatever its body', (type) => {
    for (const encoding of ['text', 'json', 'bytes']) validateBody(type, encoding, '{"a":1,"a":')
  })

  test.each(['task_pause', 'task_requset', 'a_b', 'v2_x', 'klp/', 'klp/anything', 'kindmesh/x', '', 'x'.repeat(65), 'a\ud800'])('%j is refused', (type) => {
    for (const encoding of ['text', 'json', 'bytes']) expect(() => validateBody(type, encoding, '{}')).toThrow(coded('ERR_MESSAGE_TYPE'))
  })
})

test('whatever a stranger sends is taken or refused with a code, and soon', () => {
  let taken = 0
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' }), fc.boolean(), (type, value, mixed) => {
      const { body } = messageExamples[type]
      const mutant = mixed && typeof value === 'object' && value !== null ? Object.assign({ ...body }, value) : value
      if (takes(type, 'json', JSON.stringify(mutant))) taken++
      takes(type, 'json', JSON.stringify(mutant).slice(1))
    }),
    { numRuns: 1_000, seed: 5 },
  )
  expect(taken).toBeGreaterThan(0)
})
