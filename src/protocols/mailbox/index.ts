export { type HolderSession, withHolder } from './client.ts'
export { type RequestOf } from './codec.ts'
export { type MailboxHandlers, serveMailbox } from './server.ts'
export {
  type Acceptance,
  type AcceptanceFacts,
  type DepositGrant,
  evidenceSlackMs,
  mailboxItemBytesMax,
  type MailboxPage,
  mailboxStatementBytesMax,
  mailboxTtlMsMax,
  openAcceptance,
  openDepositGrant,
  openPage,
  openReceipt,
  openRegistration,
  pageEntriesMax,
  type Registration,
  registrationLifetimeMsMax,
  signAcceptance,
  signDepositGrant,
  signPage,
  signReceipt,
  signRegistration,
  type SignOptions,
  type StorageReceipt,
} from './statements.ts'
export { doWork, isWorkDone, workBitsDefault, workBitsRiseMax } from './work.ts'
