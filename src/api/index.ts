export type ApiSchemas = typeof import('./schemas.ts') &
  typeof import('./audit-schemas.ts') &
  typeof import('./config-schemas.ts') &
  typeof import('./proof-schemas.ts') &
  typeof import('./vault-schemas.ts') &
  typeof import('./token-schemas.ts') &
  typeof import('./factor-schemas.ts') &
  typeof import('./user-schemas.ts') &
  typeof import('./doctor-schemas.ts') &
  typeof import('./approval-schemas.ts')
export { type Api, type ApiOptions, startApi } from './server.ts'
export { type SealedApi, startSealedApi } from './sealed-server.ts'
