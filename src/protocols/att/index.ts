export { attestationBatchMax, attProtocol, fetchStatements, serveStatements, type StatementItem } from './att.ts'
