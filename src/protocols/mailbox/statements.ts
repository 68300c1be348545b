import { dayMs, type Did, equal, hex, MeshError, type Random } from '../../base/index.ts'
import { clockSkewMsMax, type Keyring, openStatement, type Signed, signStatement, type StatementKind } from '../../identity/index.ts'
import { bytesOf, codec, type Decoded, did, instant, listOf, literal, nullable, row, uintUpTo } from '../../wire/index.ts'

// What the parties of a mailbox sign for each other. Source: mailbox/v1 sections 2 to 5.

/** One sealed item. Source: klp/v1 section 2. */
export const mailboxItemBytesMax = 256 * 1024
/** How long a holder keeps an item at most. Source: klp/v1 section 2. */
export const mailboxTtlMsMax = 7 * dayMs
/** A registration is good this long at most and renewed when half of it is over. */
export const registrationLifetimeMsMax = 30 * dayMs
/** A recipient's word that somebody may deposit lives this long at most. There is no revocation but its end. */
export const depositGrantLifetimeMsMax = 30 * dayMs
/** Receipts and pages are evidence and outlive what they are about by this. */
export const evidenceKeptMs = 30 * dayMs
/** Entries a signed page lists at most. */
export const pageEntriesMax = 64
/** Most a signed statement of this protocol takes on the wire. */
export const mailboxStatementBytesMax = 8_192

const count = uintUpTo(Number.MAX_SAFE_INTEGER)

const registrationCodec = codec('mailbox registration', row({ version: literal(1), items: count, bytes: count }), 64)
const acceptanceShape = row({ version: literal(1), items: count, bytes: count, itemBytesMax: count, ttlMsMax: count, lastSeq: count })
const acceptanceCodec = codec('mailbox acceptance', acceptanceShape, 128)
const grantCodec = codec(
  'mailbox delegation',
  row({ version: literal(1), subject: did, command: literal('/mailbox/put'), items: nullable(count), bytes: nullable(count) }),
  256,
)
const receiptShape = row({ version: literal(1), itemHash: bytesOf(32), bytes: count, seq: count, storedUntil: instant })
const receiptCodec = codec('storage receipt', receiptShape, 128)
const pageShape = row({
  version: literal(1),
  after: count,
  upTo: count,
  last: count,
  entries: listOf(row({ seq: count, itemHash: bytesOf(32) }), pageEntriesMax),
})
const pageCodec = codec('mailbox page', pageShape, 4_096)

export interface SignOptions {
  readonly keyring: Pick<Keyring, 'did' | 'sign'>
  readonly random: Random
  readonly now: number
}

interface Wanted {
  /** What the owner wants kept at most. */
  readonly items: number
  readonly bytes: number
}

function sign(
  kind: StatementKind,
  { keyring, random, now }: SignOptions,
  fields: { readonly to: Did; readonly payload: Uint8Array; readonly expiresAt: number; readonly refs?: readonly Uint8Array[] },
): Signed {
  return signStatement(kind, { type: kind, issuedAt: now, ...fields }, { keyring, random })
}

/** Opens a statement that must be from one and to another. @throws ERR_WIRE_*, ERR_STATEMENT_* */
function open(
  kind: StatementKind,
  bytes: Uint8Array,
  { from, to, now, lifetimeMsMax, atAnyTime = false }: Parties & { readonly lifetimeMsMax: number },
): Signed {
  const signed = openStatement(kind, bytes, { now, lifetimeMsMax, atAnyTime })
  if (signed.statement.from !== from) throw new MeshError('ERR_STATEMENT_SENDER', `the ${kind} is signed by somebody else`)
  if (signed.statement.to !== to) throw new MeshError('ERR_STATEMENT_AUDIENCE', `the ${kind} is addressed to somebody else`)
  return signed
}

export interface Parties {
  readonly from: Did
  readonly to: Did
  readonly now: number
  /** Leave the clock out of it: for what was checked when it arrived. */
  readonly atAnyTime?: boolean
}

/** The owner asks a holder to keep mail for it. */
export const signRegistration = (holder: Did, { items, bytes }: Wanted, lifetimeMs: number, options: SignOptions): Signed =>
  sign('mailbox-registration', options, { to: holder, payload: registrationCodec.encode({ version: 1, items, bytes }), expiresAt: options.now + lifetimeMs })

export interface Registration extends Wanted {
  readonly signed: Signed
  readonly until: number
}

/** @throws ERR_WIRE_*, ERR_STATEMENT_* */
export function openRegistration(bytes: Uint8Array, parties: Parties): Registration {
  const signed = open('mailbox-registration', bytes, { ...parties, lifetimeMsMax: registrationLifetimeMsMax })
  return { ...registrationCodec.decode(signed.statement.payload), signed, until: signed.statement.expiresAt }
}

export type AcceptanceFacts = Omit<Decoded<typeof acceptanceShape>, 'version'>

export interface Acceptance extends AcceptanceFacts {
  readonly signed: Signed
  readonly until: number
}

/** The holder's yes to a registration, with what it grants. */
export const signAcceptance = (registration: Registration, facts: AcceptanceFacts, options: SignOptions): Signed =>
  sign('mailbox-acceptance', options, {
    to: registration.signed.statement.from,
    payload: acceptanceCodec.encode({ version: 1, ...facts }),
    refs: [registration.signed.hash],
    expiresAt: registration.until,
  })

/** @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_PROTOCOL when it answers another registration */
export function openAcceptance(bytes: Uint8Array, parties: Parties & { readonly registrationHash?: Uint8Array }): Acceptance {
  const signed = open('mailbox-acceptance', bytes, { ...parties, lifetimeMsMax: registrationLifetimeMsMax })
  const [ref] = signed.statement.refs
  if (parties.registrationHash !== undefined && (ref === undefined || !equal(ref, parties.registrationHash))) {
    throw new MeshError('ERR_PROTOCOL', 'the acceptance answers another registration')
  }
  return { ...acceptanceCodec.decode(signed.statement.payload), signed, until: signed.statement.expiresAt }
}

export interface DepositGrant {
  readonly signed: Signed
  /** What the depositor may have lying there at a time; undefined leaves it to the holder. */
  readonly items: number | undefined
  readonly bytes: number | undefined
}

/** The recipient lets somebody deposit for it, with any of its holders. */
export const signDepositGrant = (
  depositor: Did,
  { items, bytes, lifetimeMs = depositGrantLifetimeMsMax }: Partial<Wanted> & { readonly lifetimeMs?: number },
  options: SignOptions,
): Signed =>
  sign('delegation', options, {
    to: depositor,
    payload: grantCodec.encode({ version: 1, subject: options.keyring.did, command: '/mailbox/put', items, bytes }),
    expiresAt: options.now + lifetimeMs,
  })

/** @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_MAILBOX_GRANT for a delegation of what is not the issuer's */
export function openDepositGrant(bytes: Uint8Array, parties: Parties): DepositGrant {
  const signed = open('delegation', bytes, { ...parties, lifetimeMsMax: depositGrantLifetimeMsMax })
  const { subject, items, bytes: bytesMax } = grantCodec.decode(signed.statement.payload)
  if (subject !== signed.statement.from || signed.statement.caps.length > 0) {
    throw new MeshError('ERR_MAILBOX_GRANT', 'only the recipient itself delegates its mailbox')
  }
  return { signed, items, bytes: bytesMax }
}

/** A holder's signed word that it stores an item. */
export interface StorageReceipt {
  readonly holder: Did
  readonly recipient: Did
  readonly itemHash: Uint8Array
  readonly bytes: number
  /** The item's place in the recipient's mailbox, from 1. */
  readonly seq: number
  readonly storedUntil: number
  readonly signed: Signed
}

export const signReceipt = (
  recipient: Did,
  facts: { readonly itemHash: Uint8Array; readonly bytes: number; readonly seq: number; readonly storedUntil: number },
  options: SignOptions,
): Signed =>
  sign('storage-receipt', options, {
    to: recipient,
    payload: receiptCodec.encode({ version: 1, ...facts }),
    expiresAt: facts.storedUntil + evidenceKeptMs,
  })

/** @throws ERR_WIRE_*, ERR_STATEMENT_* */
export function openReceipt(bytes: Uint8Array, parties: Parties): StorageReceipt {
  const signed = open('storage-receipt', bytes, { ...parties, lifetimeMsMax: mailboxTtlMsMax + clockSkewMsMax + evidenceKeptMs })
  const { itemHash, bytes: size, seq, storedUntil } = receiptCodec.decode(signed.statement.payload)
  return { holder: parties.from, recipient: parties.to, itemHash, bytes: size, seq, storedUntil, signed }
}

export type PageFacts = Omit<Decoded<typeof pageShape>, 'version'>

/** What a holder swears it has for a recipient: every item with a seq above `after` and up to `upTo`. `last` is the highest seq it has given out. */
export interface MailboxPage extends PageFacts {
  readonly holder: Did
  readonly recipient: Did
  readonly signed: Signed
}

export const signPage = (recipient: Did, facts: PageFacts, options: SignOptions): Signed =>
  sign('mailbox-page', options, { to: recipient, payload: pageCodec.encode({ version: 1, ...facts }), expiresAt: options.now + evidenceKeptMs })

/** @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_PROTOCOL for a page out of order */
export function openPage(bytes: Uint8Array, parties: Parties): MailboxPage {
  const signed = open('mailbox-page', bytes, { ...parties, lifetimeMsMax: evidenceKeptMs })
  const facts = pageCodec.decode(signed.statement.payload)
  const { after, upTo, last, entries } = facts
  let previous = after
  for (const { seq } of entries) {
    if (seq <= previous || seq > upTo) throw new MeshError('ERR_PROTOCOL', 'the entries of a page are out of order')
    previous = seq
  }
  if (upTo > last || (upTo < last && upTo <= after)) throw new MeshError('ERR_PROTOCOL', 'the range of a page is none')
  return { ...facts, holder: parties.from, recipient: parties.to, signed }
}

/** Clocks of one machine may be set: this close to its end an item's absence proves nothing. */
export const evidenceSlackMs = 10 * 60_000

/**
 * Whether a page shows that its holder does not have what it gave a receipt for, though the time it promised is not over. Between depositor and recipient
 * this is proof; for others the recipient's word that it never acknowledged the item is needed as well. Source: mailbox/v1 section 5.
 */
export function showsLoss(receipt: StorageReceipt, page: MailboxPage): boolean {
  if (receipt.holder !== page.holder || receipt.recipient !== page.recipient) return false
  const { issuedAt } = page.signed.statement
  if (issuedAt < receipt.signed.statement.issuedAt || issuedAt + evidenceSlackMs > receipt.storedUntil) return false
  // Given out after the receipt, yet with fewer numbers: the holder went back.
  if (receipt.seq > page.last) return true
  if (receipt.seq <= page.after || receipt.seq > page.upTo) return false
  return !page.entries.some(({ seq, itemHash }) => seq === receipt.seq && hex(itemHash) === hex(receipt.itemHash))
}
