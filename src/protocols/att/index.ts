export { fetchStatements, serveStatements, type StatementItem } from './att.ts'
