import { type ErrorCode, MeshError } from '../base/index.ts'

/** Capability or policy says no: a security event of the run. The text is for the guest too: no path of the host, no address behind a name, no secret. */
export class Denied extends MeshError {
  constructor(reason: string) {
    super('ERR_POLICY_DENIED', reason)
  }
}

const messageCharsMax = 300

/** Faults of this machine whose texts are not for guests. */
const inward: ReadonlySet<ErrorCode> = new Set(['ERR_INTERNAL', 'ERR_STORE_FAILED', 'ERR_STORE_CLOSED', 'ERR_AUDIT_TAMPERED'])

/** Texts of the system, without the path that Node adds to each. */
const systemTexts: Readonly<Record<string, readonly [code: ErrorCode, text: string]>> = {
  ENOENT: ['ERR_NOT_FOUND', 'no such file'],
  ENOTDIR: ['ERR_NOT_FOUND', 'no such folder'],
  EISDIR: ['ERR_HOST_FAILED', 'it is a folder'],
  EEXIST: ['ERR_HOST_FAILED', 'it exists already'],
  EACCES: ['ERR_HOST_FAILED', 'the system does not let the node'],
  EPERM: ['ERR_HOST_FAILED', 'the system does not let the node'],
  EROFS: ['ERR_HOST_FAILED', 'the file system is read-only'],
  ENOSPC: ['ERR_DISK_FULL', 'the disk is full'],
  EDQUOT: ['ERR_DISK_FULL', 'the disk is full'],
  ENAMETOOLONG: ['ERR_HOST_ARGUMENTS', 'the name is too long'],
  ECONNREFUSED: ['ERR_NET_UNREACHABLE', 'the connection was refused'],
  ECONNRESET: ['ERR_NET_UNREACHABLE', 'the connection was reset'],
  EHOSTUNREACH: ['ERR_NET_UNREACHABLE', 'no route to the host'],
  ENETUNREACH: ['ERR_NET_UNREACHABLE', 'no route to the host'],
  ETIMEDOUT: ['ERR_NET_UNREACHABLE', 'the host does not answer'],
  ENOTFOUND: ['ERR_NET_UNREACHABLE', 'the name has no address'],
  EAI_AGAIN: ['ERR_NET_UNREACHABLE', 'the name could not be resolved'],
  HPE_HEADER_OVERFLOW: ['ERR_HOST_QUOTA', 'the headers of the answer are too large'],
}

/** What a guest is told about a fault of a host call: a code and a short text. */
export function guestText(given: unknown): { readonly code: ErrorCode; readonly message: string } {
  const error = given instanceof Error && given.name === 'AbortError' && given.cause instanceof MeshError ? given.cause : given
  if (error instanceof MeshError && !inward.has(error.code)) return { code: error.code, message: error.message.slice(0, messageCharsMax) }
  const { code } = error instanceof Error ? (error as NodeJS.ErrnoException) : {}
  const known = code === undefined || !Object.hasOwn(systemTexts, code) ? undefined : systemTexts[code]
  if (known !== undefined) return { code: known[0], message: known[1] }
  if (/^(?:HPE_|ERR_HTTP|ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED)/.test(code ?? '')) {
    return { code: 'ERR_HOST_FAILED', message: `the other side broke HTTP or TLS (${code})` }
  }
  return { code: 'ERR_HOST_FAILED', message: 'the host failed' }
}
