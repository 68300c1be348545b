import { describe, expect, test } from 'vitest'
import { agentCapabilities, MeshError } from '../../src/base/index.ts'
import {
  fileSystemPolicySchema,
  grantsSchema,
  hostCallCapabilities,
  memoryPolicySchema,
  networkPolicySchema,
  noGrants,
  parsePolicy,
  policyEntriesMax,
} from '../../src/sandbox/index.ts'

const problem = (read: () => unknown): string => {
  try {
    read()
  } catch (error) {
    if (error instanceof MeshError && error.code === 'ERR_SANDBOX_CONFIG') return error.message
    throw error
  }
  return 'taken'
}
const network = (value: object) => parsePolicy(networkPolicySchema, value)

test('nothing is granted where nobody granted anything', () => {
  expect(noGrants).toMatchObject({ capabilities: [], vault: [], spawn: [], files: { roots: [], scratch: false } })
  expect(noGrants.network).toEqual({
    allowOutbound: false,
    allowInbound: false,
    allowedDomains: [],
    blockedDomains: [],
    allowedPorts: [443],
    requireTLS: true,
    allowedPrivate: [],
  })
})

describe('a network policy', () => {
  test('holds hosts as URLs write them', () => {
    const { allowedDomains, allowedPrivate } = network({
      allowedDomains: ['API.Example.', '*.Bücher.example', '127.1', '[2606:4700:0:0::1]'],
      allowedPrivate: ['LOCALHOST:8080', '[0:0::1]:9', '0x7f.1:80'],
    })
    expect(allowedDomains).toEqual(['api.example', '*.xn--bcher-kva.example', '127.0.0.1', '[2606:4700::1]'])
    expect(allowedPrivate).toEqual(['localhost:8080', '[::1]:9', '127.0.0.1:80'])
  })

  test('opens the plain port only where TLS is not required', () => {
    expect(network({ requireTLS: false }).allowedPorts).toEqual([80, 443])
    expect(network({ requireTLS: false, allowedPorts: [] }).allowedPorts).toEqual([])
  })

  test.each([
    [{ allowInbound: true }, /allowInbound: must be false/],
    [{ allowedDomains: ['*'] }, /allowedDomains\.0/],
    [{ allowedDomains: ['*.'] }, /allowedDomains\.0/],
    [{ allowedDomains: ['a.*.example'] }, /allowedDomains\.0/],
    [{ allowedDomains: ['*.10.0.0.1'] }, /allowedDomains\.0/],
    [{ allowedDomains: ['a.example/path'] }, /allowedDomains\.0/],
    [{ allowedDomains: ['user@a.example'] }, /allowedDomains\.0/],
    [{ allowedDomains: ['a.example:80'] }, /allowedDomains\.0/],
    [{ allowedDomains: [''] }, /allowedDomains\.0/],
    [{ allowedPrivate: ['10.0.0.1'] }, /allowedPrivate\.0/],
    [{ allowedPrivate: ['10.0.0.1:0'] }, /allowedPrivate\.0/],
    [{ allowedPrivate: ['*.internal:80'] }, /allowedPrivate\.0/],
    [{ allowedPrivate: ['10.0.0.1:99999'] }, /allowedPrivate\.0/],
    [{ allowedPorts: [0] }, /allowedPorts\.0/],
    [{ allowedPorts: [80.5] }, /allowedPorts\.0/],
    [{ allowOutbond: true }, /unknown: allowOutbond/],
    [{ allowedDomains: Array.from({ length: policyEntriesMax + 1 }, (_, at) => `a${at}.example`) }, /allowedDomains/],
  ])('%j is refused by the name of the field', (value, why) => {
    expect(problem(() => network(value))).toMatch(why)
  })
})

test.each([
  [{ roots: [{ name: 'work', path: '/srv' }] }, /"work" names the scratch root/],
  [{ roots: [{ name: '..', path: '/srv' }] }, /roots\.0\.name/],
  [{ roots: [{ name: 'a/b', path: '/srv' }] }, /roots\.0\.name/],
  [{ roots: [{ name: 'a', path: 'srv' }] }, /roots\.0\.path: must be an absolute path/],
  [{ roots: [{ name: 'a', path: '/srv\0' }] }, /roots\.0\.path/],
  [{ roots: [1, 2].map(() => ({ name: 'a', path: '/srv' })) }, /two roots have one name/],
  [{ roots: [{ name: 'a', path: '/srv', mode: 'append' }] }, /roots\.0\.mode/],
])('a file policy of %j is refused', (value, why) => {
  expect(problem(() => parsePolicy(fileSystemPolicySchema, value))).toMatch(why)
})

test('a partition is a plain name', () => {
  expect(parsePolicy(memoryPolicySchema, { partition: 'shop' })).toEqual({ maxBytes: 1 << 20, maxKeys: 1_000, ttlMs: 0, partition: 'shop' })
  expect(problem(() => parsePolicy(memoryPolicySchema, { partition: 'a/b' }))).toMatch(/partition/)
})

test.each([
  [{ capabilities: ['root'] }, /capabilities\.0/],
  [{ llm: { url: 'file:///etc/passwd', allowed: ['m'] } }, /llm\.url: must be an http or https URL/],
  [{ llm: { url: 'https://api.example', allowed: [] } }, /llm\.allowed/],
  [{ llm: { url: 'https://api.example', allowed: ['m'], headers: { 'a\r\nb': 'c' } } }, /llm\.headers/],
  [{ llm: { url: 'https://api.example', allowed: ['m'], headers: { a: 'b\r\nc: d' } } }, /llm\.headers\.a/],
  [{ spawn: ['sh -c'] }, /spawn\.0: is no program/],
  [{ vault: ['../key'] }, /vault\.0/],
])('grants of %j are refused', (value, why) => {
  expect(problem(() => parsePolicy(grantsSchema, value))).toMatch(why)
})

test('a host call needs one of the capabilities, or none; none opens a way in', () => {
  const needed = new Set<string | undefined>(Object.values(hostCallCapabilities))
  for (const capability of needed) expect([...agentCapabilities, undefined]).toContain(capability)
  expect(needed).not.toContain('network:inbound')
})
