export { type HolderSession, withHolder } from './client.ts'
export { mailboxProtocol, type RequestOf } from './codec.ts'
export { type MailboxHandlers, serveMailbox } from './server.ts'
export {
  type Acceptance,
  type AcceptanceFacts,
  type DepositGrant,
  depositGrantLifetimeMsMax,
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
  showsLoss,
  signAcceptance,
  signDepositGrant,
  signPage,
  signReceipt,
  signRegistration,
  type SignOptions,
  type StorageReceipt,
} from './statements.ts'
export { doWork, isWorkDone, workBitsDefault, workBitsRiseMax } from './work.ts'
