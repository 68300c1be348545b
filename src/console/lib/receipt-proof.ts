import { type Bytes, concat, equal, fromBase64, hex, utf8 } from './bytes.ts'
import { type Plain, readCbor } from './cbor.ts'
import { inSteps, Refusal, type Step } from './steps.ts'
import { sha256, verifyEd25519 } from './web-crypto.ts'

/** What a receipt says, read out of the signed bytes and not out of the words around them. */
export interface ReceiptFacts {
  readonly outcome: string
  readonly isolation: string
  readonly backend: string
  readonly engine: string
  readonly strict: boolean
  readonly startedAt: number
  readonly endedAt: number
  /** By name, in the units of the API. */
  readonly usage: Readonly<Record<string, number>>
  readonly limits: Readonly<Record<string, number>>
  readonly securityEvents: number
  readonly codeHash: string
  readonly resultHash: string | undefined
}

export interface ReceiptReport {
  readonly ok: boolean
  readonly steps: readonly Step[]
  readonly facts?: ReceiptFacts | undefined
}

interface Document {
  readonly signed: string
  readonly countersigned: string
}

/** The raw keys that may have signed, as the task's two parties are known here. */
export interface Parties {
  readonly executor: Bytes
  readonly asker: Bytes
}

/** Checks both signatures of a task receipt in this browser. Source: task/v1 section 5, klp/v1 section 1. */
export async function checkReceipt({ signed, countersigned }: Document, { executor, asker }: Parties): Promise<ReceiptReport> {
  const found: { facts?: ReceiptFacts } = {}
  const report = await inSteps(async (steps) => {
    const receipt = await steps.run(
      'signature of the executor',
      () => open('task-receipt', signed, { from: executor, to: asker }),
      ({ hash }) => `Ed25519 over receipt ${hex(hash)}`,
    )
    found.facts = await steps.run(
      'content',
      () => factsOf(readCbor(receipt.payload)),
      ({ isolation, backend }) => `run at level ${isolation} in ${backend}`,
    )
    await steps.run(
      'countersignature of the asker',
      async () => {
        const mark = await open('task-countersign', countersigned, { from: asker, to: executor })
        const [version, receiptHash, resultMatches] = list(readCbor(mark.payload), 3)
        if (version !== 1 || !(receiptHash instanceof Uint8Array) || !equal(receiptHash, receipt.hash)) refuse('it is about another receipt')
        return resultMatches === true
      },
      (matches) => (matches ? 'the asker got this receipt and a result that fits it' : 'the asker got this receipt; the result did not fit it'),
    )
  })
  return { ...report, ...found }
}

interface Opened {
  readonly hash: Bytes
  readonly payload: Bytes
}

/** Reads a signed statement of one kind, whose author and audience must be these two. */
async function open(kind: string, text: string, { from, to }: { readonly from: Bytes; readonly to: Bytes }): Promise<Opened> {
  const [signature, content] = list(readCbor(fromBase64(text) ?? refuse('not base64')), 2)
  const envelope = content as Readonly<Record<string, Plain>> | null
  const body = envelope?.[`klp/${kind}@1`]
  if (envelope?.['h'] !== 1 || Object.keys(envelope).length !== 2) return refuse(`no signed ${kind}`)
  if (!(signature instanceof Uint8Array) || !(body instanceof Uint8Array)) return refuse(`no signed ${kind}`)
  const [version, author, audience, , , , , , , payload] = list(readCbor(body), 10)
  if (version !== 1 || !(author instanceof Uint8Array) || !(audience instanceof Uint8Array) || !(payload instanceof Uint8Array)) return refuse('no statement')
  if (!equal(author, from) || !equal(audience, to)) return refuse('it is by, or to, somebody else')
  const hash = await sha256(body)
  if (!(await verifyEd25519(author, concat(utf8(`klp/1/${kind}\0`), hash), signature))) return refuse('the signature does not match')
  return { hash, payload }
}

const usageNames = ['cpuMs', 'wallMs', 'memoryBytes', 'outputBytes', 'hostCalls', 'netBytes', 'fsOps']
const limitNames = ['memoryMiB', 'wallMs', 'cpuMs', 'outputBytes', 'hostCalls', 'cpuPercent', 'netKiBps', 'fsOps', 'processes']

function factsOf(payload: Plain): ReceiptFacts {
  const [version, , codeHash, , resultHash, outcome, startedAt, endedAt, usage, isolation, backend, engine, strict, , limits, , , , securityEvents] = list(
    payload,
    21,
  )
  if (version !== 1) return refuse('a receipt of another version')
  return {
    outcome: word(outcome),
    isolation: word(isolation),
    backend: word(backend),
    engine: word(engine),
    strict: strict === true,
    startedAt: count(startedAt),
    endedAt: count(endedAt),
    usage: counts(usage, usageNames),
    limits: counts(limits, limitNames),
    securityEvents: count(securityEvents),
    codeHash: codeHash instanceof Uint8Array ? hex(codeHash) : refuse('no code hash'),
    resultHash: resultHash instanceof Uint8Array ? hex(resultHash) : undefined,
  }
}

function list(value: Plain, length: number): readonly Plain[] {
  return Array.isArray(value) && value.length === length ? (value as readonly Plain[]) : refuse(`not a list of ${length}`)
}
const counts = (value: Plain | undefined, names: readonly string[]): Readonly<Record<string, number>> =>
  Object.fromEntries(list(value ?? null, names.length).map((item, index) => [names[index] ?? '', count(item)]))
const word = (value: Plain | undefined): string => (typeof value === 'string' ? value : refuse('not a text'))
const count = (value: Plain | undefined): number => (typeof value === 'number' ? value : refuse('not a count'))

function refuse(reason: string): never {
  throw new Refusal(reason)
}
