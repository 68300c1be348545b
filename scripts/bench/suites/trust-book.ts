import { createSeededRandom, dayMs, type Did, minuteMs, realClock, realRandom } from '../../../src/base/index.ts'
import { createKeyring, type Keyring, signStatement } from '../../../src/identity/index.ts'
import { createLevelStore, type Store } from '../../../src/store/index.ts'
import { openTrustBook, type SignedItem, type TrustBook } from '../../../src/trust/index.ts'
import { attestationCodec, readTrustStatement } from '../../../src/trust/statements.ts'
import { alternate, type Bench, row, type Row } from '../harness.ts'

/** As many as bitcoinotc has ratings. */
const statementsFull = 35_592
const statementsQuick = 600
const perIssuer = 100
const scopes = ['/task/run']

const keyringOf = (number: number): Keyring => {
  const random = createSeededRandom(number)
  return createKeyring({ seed: random.bytes(32), rootKey: random.bytes(32) }, random)
}

/** `count` statements by issuers who each speak of a hundred others. */
function statements(count: number): { readonly issuers: readonly Keyring[]; readonly items: readonly SignedItem[] } {
  const issuers = Array.from({ length: Math.ceil(count / perIssuer) }, (_, index) => keyringOf(index + 1))
  const random = createSeededRandom(1)
  const subjects = Array.from({ length: 6_000 }, (_, index) => keyringOf(index + 100_000).did)
  const now = realClock.now() - minuteMs
  const items = issuers.flatMap((keyring) =>
    Array.from({ length: perIssuer }, (_, index): SignedItem => {
      const payload = attestationCodec.encode({ version: 1, level: 1, scopes, depth: 0, evidence: undefined, seq: index + 1, prev: undefined })
      const to = subjects[Math.floor(random.fraction() * subjects.length)] as Did
      const signed = signStatement('attestation', { to, type: 'attestation', payload, issuedAt: now + index, expiresAt: now + dayMs }, { keyring, random })
      return { kind: 'attestation', bytes: signed.bytes }
    }),
  )
  return { issuers, items: items.slice(0, count) }
}

/** What it costs to take statements in, and to have them again after a start. */
export async function* trustBook(bench: Bench): AsyncIterable<Row> {
  const { issuers, items } = statements(bench.rounds(2) === 1 ? statementsQuick : statementsFull)
  const me = keyringOf(0)
  await using stack = new AsyncDisposableStack()
  let stores = 0
  async function open(store: Store): Promise<TrustBook> {
    return await openTrustBook({ store, keyring: me, clock: realClock, random: realRandom, commit: (_change, ops) => store.durable(ops) })
  }
  async function opened(isCertifying: boolean): Promise<{ readonly book: TrustBook; readonly store: Store }> {
    const store = await createLevelStore(bench.path(`book-${stores++}`))
    stack.defer(() => store.close())
    const book = await open(store)
    if (isCertifying) for (const { did } of issuers) await book.attest({ subject: did, level: 3, scopes, lifetimeMs: dayMs })
    return { book, store }
  }
  const perSecond = async (count: number, act: () => unknown): Promise<number> => {
    const start = performance.now()
    await act()
    return (count * 1_000) / (performance.now() - start)
  }
  const certifying = await opened(true)
  let kept: Store | undefined
  const figures = await alternate(bench.rounds(3), {
    async aside() {
      const { book } = await opened(false)
      return await perSecond(items.length, () => book.acceptAll(items))
    },
    async verifying() {
      const { book, store } = kept === undefined ? certifying : await opened(true)
      kept ??= store
      return await perSecond(items.length, () => book.acceptAll(items))
    },
    signatures: () =>
      perSecond(items.length, () => {
        for (const item of items) readTrustStatement(item).verify()
      }),
  })
  yield row({
    id: 'trust-ingest-aside',
    what: 'statements of issuers who are not certified put aside, unverified',
    unit: 'statements/s',
    figures: figures.aside,
    against: 'reading and verifying the same',
    others: figures.signatures,
  })
  yield row({
    id: 'trust-ingest-verified',
    what: 'statements of certified issuers verified and on disk, 64 a write',
    unit: 'statements/s',
    figures: figures.verifying,
    against: 'reading and verifying the same',
    others: figures.signatures,
  })
  const store = kept ?? certifying.store
  const cold = await alternate(bench.rounds(3), {
    async open() {
      const start = performance.now()
      const book = await open(store)
      book.snapshot(scopes[0] ?? '/')
      return performance.now() - start
    },
    verify() {
      const start = performance.now()
      for (const item of items) readTrustStatement(item).verify()
      return performance.now() - start
    },
  })
  yield row({
    id: 'trust-cold-start',
    what: `a book of ${items.length} statements opened and asked once`,
    unit: 'ms',
    figures: cold.open,
    against: 'verifying their signatures',
    others: cold.verify,
  })
}
