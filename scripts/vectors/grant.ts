import { dayMs, type Did, hourMs, minuteMs } from '../../src/base/index.ts'
import { type Keyring, type Signed, signStatement } from '../../src/identity/index.ts'
import { type Caveats, toWire } from '../../src/policy/caveats.ts'
import { encodeChain, grantText, openToken } from '../../src/policy/token.ts'
import { sandboxLimitsMax } from '../../src/sandbox/index.ts'
import { encode } from '../../src/wire/index.ts'
import { anna, ben, chance, cleo, flipped, keyringOf, now, type Vector, type Vectors } from './world.ts'

// anna owns the node; tokens go to ben, from him to cleo, and on.
const [owner, first, second] = [anna, ben, cleo]
const [third, fourth, fifth] = [keyringOf(4), keyringOf(5), keyringOf(6)]

interface Given {
  readonly by?: Keyring
  readonly to?: Keyring
  readonly sub?: Did
  readonly command?: string
  readonly policy?: Caveats
  readonly from?: number
  readonly until?: number
  readonly proofs?: readonly Signed[]
  readonly type?: string
}

const limitsAsWritten = (policy: Caveats): readonly unknown[] => {
  const { capabilities, limits, isolation, code, hosts, secrets, roots } = toWire(policy)
  const bounds = limits === undefined ? null : Object.keys(sandboxLimitsMax).map((name) => limits[name as keyof typeof limits] ?? null)
  return [capabilities ?? null, bounds, isolation ?? null, code ?? null, hosts ?? null, secrets ?? null, roots ?? null]
}

/** A token as it is asked for, also one that breaks the rules. */
function token({
  by = owner,
  to = first,
  sub = owner.did,
  command = '/task/run',
  policy = {},
  from = now - minuteMs,
  until = now + hourMs,
  proofs = [],
  type = 'grant',
}: Given = {}): Signed {
  const key = Buffer.from(sub === owner.did ? owner.publicKey : first.publicKey)
  const payload = encode([1, new Uint8Array(key), command, limitsAsWritten(policy) as never])
  const fields = { to: to.did, type, payload, caps: proofs.map(({ hash }) => hash), issuedAt: from, expiresAt: until }
  return signStatement('delegation', fields, { keyring: by, random: chance(90) })
}

const chainOf = (...tokens: readonly Signed[]): Uint8Array => encode([1, tokens.map(({ bytes }) => bytes)])

function grant(comment: string, spec: string, tokens: readonly Signed[], more: Partial<Vector> = {}): Vector {
  const last = tokens.at(-1)
  const bearer = [first, second, third, fourth, fifth].find(({ did }) => did === last?.statement.to) ?? first
  return { comment, spec, expect: 'ok', kind: 'grant', chain: chainOf(...tokens), owner: owner.publicKey, bearer: bearer.publicKey, now, revoked: [], ...more }
}

/** A parent of ben's and what he makes of it for cleo. */
function handed(comment: string, parent: Given, child: Given, more: Partial<Vector> = {}, spec = '3.3'): Vector {
  const given = token(parent)
  return grant(comment, spec, [given, token({ by: first, to: second, proofs: [given], ...child })], more)
}

const invalid = { expect: 'ERR_GRANT_INVALID' } as const
const needed = { expect: 'ERR_GRANT_NEEDED' } as const
const codeA = '11'.repeat(32)
const codeB = '22'.repeat(32)
const wide: Caveats = {
  capabilities: ['file:read', 'network:outbound'],
  limits: { memoryMiB: 128, wallMs: 10_000 },
  isolation: 'sandboxed',
  code: [codeA, codeB],
  hosts: ['*.example.org', 'data.example.net'],
  secrets: ['key', 'other'],
  roots: ['notes', 'papers'],
}
const narrow: Caveats = {
  capabilities: ['file:read'],
  limits: { memoryMiB: 64, wallMs: 10_000, cpuMs: 5 },
  isolation: 'containerized',
  code: [codeB],
  hosts: ['*.a.example.org', 'b.example.org', 'data.example.net'],
  secrets: ['key'],
  roots: [],
}

function chains(): Vectors {
  const one = token()
  const two = token({ by: first, to: second, proofs: [one] })
  const three = token({ by: second, to: third, proofs: [two] })
  const four = token({ by: third, to: fourth, proofs: [three] })
  const five = token({ by: fourth, to: fifth, proofs: [four] })
  return {
    token: grant('the owner gives a token', '1', [one], {
      token: { id: one.hash, command: '/task/run', expiresAt: now + hourMs },
      text: grantText(encodeChain([one.bytes])),
    }),
    'token-of-all': grant('a token for every command but those that are granted by name', '1.1', [token({ command: '/' })], { command: '/file/read' }),
    'token-with-caveats': grant('every caveat there is', '2', [token({ policy: wide })]),
    'chain-of-4': grant('handed on three times', '3', [one, two, three, four]),
    'chain-of-5': grant('handed on four times', '3', [one, two, three, four, five], { expect: 'ERR_WIRE_MALFORMED' }),
    'chain-empty': grant('no token at all', '3', [], invalid),
    'proof-missing': grant('a later token that names none before it', '3.1', [one, token({ by: first, to: second })], invalid),
    'proof-of-the-first': grant('the first token names another', '3.1', [two], invalid),
    'proof-of-another': grant(
      'made from another token than the one before it',
      '3.1',
      [one, token({ by: first, to: second, proofs: [token({ command: '/' })] })],
      invalid,
    ),
    'proofs-two': grant('made from two', '3.1', [one, token({ by: first, to: second, proofs: [one, two] })], invalid),
    'sub-changes': handed('about another owner than its parent', {}, { sub: first.did }, invalid, '3.1'),
    'not-by-the-owner': grant('somebody gives what is not his', '3.2', [token({ by: second })], invalid),
    'handed-on-by-another': handed('handed on by somebody it was not given to', {}, { by: third }, invalid, '3.2'),
    'shown-by-another': grant('shown by somebody it was not given to', '3.2', [one], { bearer: second.publicKey, expect: 'ERR_STATEMENT_AUDIENCE' }),
    'of-another-node': grant('about another node', '3.5', [token({ by: first, to: second, sub: first.did })], invalid),
    expired: grant('its time is over', '3.4', [token({ until: now })], { expect: 'ERR_STATEMENT_EXPIRED' }),
    'of-the-future': grant('from an hour from now', '3.4', [token({ from: now + hourMs, until: now + 2 * hourMs })], { expect: 'ERR_STATEMENT_FUTURE' }),
    revoked: grant('revoked by who signed it', '3.4', [one], { revoked: [one.hash], expect: 'ERR_GRANT_REVOKED' }),
    'parent-revoked': grant('what it was made from is revoked', '3.4', [one, two], { revoked: [one.hash], expect: 'ERR_GRANT_REVOKED' }),
    altered: grant('a bit turned', '1', [one], { chain: encode([1, [flipped(one.bytes, -1)]]), expect: 'ERR_STATEMENT_SIGNATURE' }),
    'other-delegation': grant('a delegation of another kind', '1', [token({ type: 'delegation' })], invalid),
    'long-lived': grant('401 days', '1.2', [token({ until: now + 401 * dayMs })], { expect: 'ERR_STATEMENT_LIFETIME' }),
    'too-large': grant(
      '1,281 bytes and more',
      '1.2',
      [token({ policy: { hosts: Array.from({ length: 8 }, (_, index) => `${index}${'a'.repeat(140)}.example.org`) } })],
      { expect: 'ERR_WIRE_MALFORMED' },
    ),
    'command-no-path': grant('a command that is no path', '1.1', [token({ command: 'task/run' })], invalid),
    'host-in-capitals': grant('a host not as URLs write it', '2.1', [token({ policy: { hosts: ['Example.org'] } })], invalid),
    'named-twice': grant('a secret named twice', '2.1', [token({ policy: { secrets: ['key', 'key'] } })], invalid),
  }
}

function narrowing(): Vectors {
  return {
    'child-narrower': handed('narrower in everything', { command: '/task', policy: wide }, { policy: narrow }),
    'child-equal': handed('as much as its parent', { policy: wide }, { policy: wide }),
    'child-of-none': handed('its parent has no caveat', {}, { policy: narrow }),
    'command-wider': handed('a command above', {}, { command: '/task' }, invalid),
    'command-beside': handed('a command that begins with the same letters', { command: '/task' }, { command: '/tasks/run' }, invalid),
    'outlives-parent': handed('it ends later', {}, { until: now + hourMs + 1 }, invalid),
    'caveats-dropped': handed('all caveats left out', { policy: wide }, {}, invalid),
    'capability-added': handed('one more capability', { policy: wide }, { policy: { ...narrow, capabilities: ['file:read', 'memory:read'] } }, invalid),
    'limit-raised': handed('a higher limit', { policy: wide }, { policy: { ...narrow, limits: { memoryMiB: 129, wallMs: 10_000 } } }, invalid),
    'limit-dropped': handed('one limit left out', { policy: wide }, { policy: { ...narrow, limits: { memoryMiB: 64 } } }, invalid),
    'isolation-weaker': handed('a weaker level', { policy: wide }, { policy: { ...narrow, isolation: 'native' } }, invalid),
    'code-other': handed('other code', { policy: wide }, { policy: { ...narrow, code: ['33'.repeat(32)] } }, invalid),
    'host-above-suffix': handed(
      'the suffix itself, which the pattern does not mean',
      { policy: wide },
      { policy: { ...narrow, hosts: ['example.org'] } },
      invalid,
    ),
    'host-like-suffix': handed('a name that ends with the same letters', { policy: wide }, { policy: { ...narrow, hosts: ['badexample.org'] } }, invalid),
    'host-wider-pattern': handed('a wider pattern', { policy: wide }, { policy: { ...narrow, hosts: ['*.org'] } }, invalid),
    'secret-added': handed('one more secret', { policy: wide }, { policy: { ...narrow, secrets: ['key', 'third'] } }, invalid),
    'root-added': handed('one more folder', { policy: wide }, { policy: { ...narrow, roots: ['notes', 'home'] } }, invalid),
  }
}

function uses(): Vectors {
  const small = token({ policy: { capabilities: ['file:read'], limits: { memoryMiB: 64 }, code: [codeA] } })
  const use = { capabilities: ['file:read'], limits: { memoryMiB: 64, wallMs: 5_000 }, code: codeA }
  const all = token({ command: '/' })
  const vault = token({ command: '/vault/access' })
  return {
    'use-within': grant('a task within its token', '2', [small], { command: '/task/run', use }),
    'use-below': grant('a command below the token’s', '1.1', [token({ command: '/file' })], { command: '/file/read' }),
    'use-beside': grant('a command beside the token’s', '1.1', [token({ command: '/file/read' })], { command: '/file/reader', ...needed }),
    'use-more-capabilities': grant('one capability more', '2', [small], {
      command: '/task/run',
      use: { ...use, capabilities: ['file:read', 'file:write'] },
      ...needed,
    }),
    'use-over-limit': grant('over a limit', '2', [small], { command: '/task/run', use: { ...use, limits: { memoryMiB: 65 } }, ...needed }),
    'use-other-code': grant('other code', '2', [small], { command: '/task/run', use: { ...use, code: codeB }, ...needed }),
    'use-by-name': grant('a secret granted by name', '4.5', [vault], { command: '/vault/access' }),
    'use-not-by-name': grant('a secret granted by `/`', '4.5', [all], { command: '/vault/access', ...needed }),
    'use-by-name-handed-on': grant(
      'a secret granted through another',
      '4.5',
      [vault, token({ by: first, to: second, command: '/vault/access', proofs: [vault] })],
      {
        command: '/vault/access',
        ...needed,
      },
    ),
  }
}

/** Capability tokens: chains, what a child may be, what a token serves. */
export function grantVectors(): Vectors {
  // That the fixed ones are read is no news; that they can be is a mistake of this file otherwise.
  openToken(token().bytes)
  return { ...chains(), ...narrowing(), ...uses() }
}
