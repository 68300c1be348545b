export type { Handed, JoinAsk, Welcome } from './codec.ts'
export { joinAt, serveJoins } from './join.ts'
export { compareWith, type Sas, serveSas } from './sas.ts'
export {
  inviteIdBytesLength,
  type InviteKeys,
  inviteKeys,
  inviteScopesMax,
  inviteSecretBytesLength,
  type InviteTerms,
  type JoinFacts,
  joinProof,
  type Party,
  termsFields,
} from './proof.ts'
