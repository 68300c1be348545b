/** Exit codes of the command line, one meaning each. Source: the table in README, `kindmesh --help`. */
export const exitCodes = {
  ok: 0,
  generic: 1,
  usage: 2,
  noProfile: 10,
  locked: 11,
  authentication: 12,
  sealed: 13,
  denied: 14,
  unreachable: 15,
  timeout: 16,
  untrusted: 17,
  limit: 18,
  unavailable: 19,
  interrupted: 130,
} as const

export type ExitName = keyof typeof exitCodes

interface ErrorEntry {
  /** What happened, in one line, for the reference in `protocols/README.md`. */
  readonly meaning: string
  /** The next step a person can take. */
  readonly hint: string
  readonly exit: ExitName
}

/** Every error the project raises on purpose. The documentation table is tested to equal this one. */
export const errorTable = {
  ERR_INTERNAL: { meaning: 'a fault of ours', hint: 'run `kindmesh doctor`; report it with the log', exit: 'generic' },
  ERR_USAGE: { meaning: 'an argument is missing or has the wrong form', hint: 'see `kindmesh --help`', exit: 'usage' },
  ERR_ABORTED: { meaning: 'the caller cancelled', hint: 'start it again', exit: 'interrupted' },
  ERR_TIMEOUT: { meaning: 'no answer within the time given', hint: 'check that the peer is up, or raise --timeout', exit: 'timeout' },
  ERR_STOPPED: { meaning: 'the node is stopping or has stopped', hint: 'start it with `kindmesh up`', exit: 'generic' },
  ERR_OVERLOADED: { meaning: 'a queue is full', hint: 'try again later, with fewer requests in flight', exit: 'generic' },

  ERR_PROFILE_MISSING: { meaning: 'the home folder holds no identity', hint: 'run `kindmesh init`', exit: 'noProfile' },
  ERR_PROFILE_EXISTS: { meaning: 'the home folder already holds an identity', hint: 'use another --home, or keep this identity', exit: 'usage' },
  ERR_PROFILE_LOCKED: { meaning: 'another process uses this home folder', hint: 'stop that process, or use another --home', exit: 'locked' },
  ERR_NODE_DOWN: { meaning: 'no node is running for this home folder', hint: 'start one with `kindmesh up`', exit: 'unreachable' },
  ERR_AUTH_FAILED: { meaning: 'passphrase or token is wrong', hint: 'check --passphrase-file', exit: 'authentication' },
  ERR_STEP_UP: {
    meaning: 'the act needs fresh user verification',
    hint: 'confirm with your passkey at the console, then do it again',
    exit: 'authentication',
  },
  ERR_CONTENT_TYPE: { meaning: 'a request that changes something is not JSON', hint: 'send `content-type: application/json`', exit: 'usage' },
  ERR_RATE_LIMITED: { meaning: 'too many requests of one caller', hint: 'wait as long as `retry-after` says, then go on slower', exit: 'limit' },
  ERR_SEALED: {
    meaning: 'the vault is sealed, and no key was given',
    hint: 'give --passphrase-file or KINDMESH_PASSPHRASE_FILE; a node that runs is unsealed by `kindmesh vault unseal`',
    exit: 'sealed',
  },
  ERR_LOGIN_REFUSED: { meaning: 'a login, registration or step-up did not succeed', hint: 'try again; the audit log says why', exit: 'authentication' },
  ERR_FACTOR_NEEDED: {
    meaning: 'what was shown at a login was right, and more is asked for',
    hint: 'go on in the same login with a factor that is missing',
    exit: 'authentication',
  },
  ERR_LINK_SPENT: {
    meaning: 'a one-time link for a new user is not open: never made, used, withdrawn or past its time',
    hint: 'ask an owner for a new one; the first owner starts the node again for one',
    exit: 'authentication',
  },
  ERR_USER_LAST: {
    meaning: 'the last owner, or the last way of somebody to log in, stays',
    hint: 'add another one first',
    exit: 'denied',
  },

  ERR_IDENTITY_INVALID: { meaning: 'not a valid Ed25519 identity', hint: 'give a did:key, a peer ID or a kind:agent DID', exit: 'usage' },
  ERR_IDENTITY_CHAIN: {
    meaning: 'a statement has no place in the chain of keys of its identity',
    hint: 'ignore it; for your own identity see `kindmesh id`',
    exit: 'generic',
  },
  ERR_IDENTITY_SUPERSEDED: {
    meaning: 'the key was replaced by its owner',
    hint: 'use the DID: it leads to the key in force',
    exit: 'denied',
  },
  ERR_IDENTITY_FROZEN: {
    meaning: 'two different successions of one identity exist: somebody else has its keys',
    hint: 'its owner takes it back with `kindmesh id recover`',
    exit: 'denied',
  },
  ERR_CRYPTO_SELF_TEST: {
    meaning: 'the signature library does not verify as it must',
    hint: 'reinstall with `npm ci`; do not run this build',
    exit: 'generic',
  },
  ERR_CRYPTO_INPUT: { meaning: 'a key, nonce or signature has the wrong form', hint: 'check where it came from', exit: 'generic' },
  ERR_CRYPTO_OPEN: { meaning: 'a sealed text did not open: wrong key or altered', hint: 'ask the sender to send again', exit: 'generic' },

  ERR_WIRE_TOO_LARGE: { meaning: 'a frame or item is over its limit', hint: 'send less at once; see protocols/LIMITS.md', exit: 'generic' },
  ERR_WIRE_MALFORMED: { meaning: 'bytes are not valid deterministic CBOR of the expected shape', hint: 'the peer may run another version', exit: 'generic' },
  ERR_MESSAGE_TYPE: {
    meaning: 'a message type is reserved and unknown, or does not take such a body',
    hint: 'name types of your own without underscores, such as shop/order; see protocols/message/v1',
    exit: 'usage',
  },
  ERR_JSON_INVALID: {
    meaning: 'not plain JSON data that reads the same everywhere, or not of the form its type asks for',
    hint: 'see the reason; protocols/signed-json/v1 and protocols/message/v1 say what is taken',
    exit: 'usage',
  },

  ERR_VAULT_ROLLBACK: {
    meaning: 'the vault file is older than the one the log knows, or another one of the same age',
    hint: 'bring a newer backup in: `kindmesh vault import FILE`; to go on with this one: `kindmesh vault accept`',
    exit: 'authentication',
  },
  ERR_VAULT_IMPORT: {
    meaning: 'that is no backup or old vault, its parameters are refused, or it holds other values for names that are there',
    hint: 'see the reason and protocols/vault/v1 sections 7 and 8',
    exit: 'usage',
  },
  ERR_VAULT_KEYRING: {
    meaning: 'the operating system has no keyring that answers, or none for this vault',
    hint: 'unseal the vault with its passphrase',
    exit: 'unavailable',
  },
  ERR_VAULT_FULL: { meaning: 'the vault holds as many secrets or bytes as it may', hint: 'remove some: `kindmesh vault rm <name>`', exit: 'limit' },

  ERR_STORE_CLOSED: { meaning: 'the store is closed', hint: 'start the node again', exit: 'generic' },
  ERR_STORE_FAILED: {
    meaning: 'the disk did not take a write or gave back damaged data',
    hint: 'check free space and the disk, then `kindmesh doctor`',
    exit: 'generic',
  },

  ERR_STATEMENT_SIGNATURE: { meaning: 'the signature does not match the statement', hint: 'the statement was altered or forged', exit: 'generic' },
  ERR_STATEMENT_EXPIRED: { meaning: 'the statement is past its expiry', hint: 'ask for a fresh one; check both clocks', exit: 'generic' },
  ERR_STATEMENT_FUTURE: { meaning: 'the statement was issued in the future', hint: 'check both clocks', exit: 'generic' },
  ERR_STATEMENT_LIFETIME: { meaning: 'the statement lives longer than its kind allows', hint: 'use a shorter expiry', exit: 'generic' },
  ERR_STATEMENT_AUDIENCE: { meaning: 'the statement is addressed to somebody else', hint: 'it was re-addressed; ignore it', exit: 'generic' },
  ERR_STATEMENT_SENDER: { meaning: 'the sender is not the peer that carried it', hint: 'it was passed on by a third party; ignore it', exit: 'generic' },
  ERR_REPLAYED: { meaning: 'this message was taken before', hint: 'none needed: it was delivered once', exit: 'generic' },
  ERR_SEAL_PREKEY: { meaning: 'the prekey is unknown here or has been erased', hint: 'fetch the newest prekey bundle and send again', exit: 'generic' },
  ERR_SESSION_LOST: {
    meaning: 'the session of a sealed frame is not held here any more',
    hint: 'none needed: the sender opens a new one and sends again',
    exit: 'generic',
  },
  ERR_SEAL_SUITE: { meaning: 'no common cipher suite, or one weaker than the recipient allows', hint: 'update the older node', exit: 'generic' },
  ERR_NO_PREKEYS: { meaning: 'no prekey bundle of the recipient could be found', hint: 'dial the peer once, or give a bootstrap address', exit: 'unreachable' },

  ERR_NET_UNREACHABLE: { meaning: 'no route to the peer', hint: 'check that it is up, or dial one of its addresses', exit: 'unreachable' },
  ERR_NET_ADDRESS: { meaning: 'not a multiaddr this node can dial', hint: 'use /ip4/…/tcp/…/p2p/<peer id>', exit: 'usage' },
  ERR_NET_IDENTITY: {
    meaning: 'the peer that answered is not the one dialled',
    hint: 'the address belongs to somebody else; get a fresh one',
    exit: 'unreachable',
  },
  ERR_NET_CLOSED: { meaning: 'the stream or connection ended', hint: 'try again', exit: 'unreachable' },
  ERR_NET_LIMIT: { meaning: 'the peer holds as many connections or streams as allowed', hint: 'try again later', exit: 'unreachable' },
  ERR_PROTOCOL: { meaning: 'the peer broke the order of the protocol', hint: 'the peer may run another version', exit: 'generic' },
  ERR_RECORD_ROLLBACK: { meaning: 'an older record than one already seen', hint: 'none needed: the newer one is kept', exit: 'generic' },
  ERR_RECORD_INVALID: { meaning: 'a DHT record is forged, expired or of the wrong form', hint: 'ignore the peer that served it', exit: 'generic' },
  ERR_RECORD_MISSING: {
    meaning: 'nobody reached holds that record',
    hint: 'the peer may never have been online here; give a bootstrap address',
    exit: 'unreachable',
  },

  ERR_CAPABILITY_DENIED: { meaning: 'the peer does not offer a capability that is required', hint: 'ask another peer', exit: 'denied' },
  ERR_AGENT_UNKNOWN: { meaning: 'no agent of that name lives there', hint: 'ask the operator which agents it offers', exit: 'denied' },
  ERR_AGENT_FAILED: { meaning: 'the agent threw while it handled the message', hint: 'see the log of the node that hosts it', exit: 'generic' },
  ERR_AGENT_DOWN: {
    meaning: 'the agent is stopped, has failed, or ended before it answered',
    hint: 'ask again later; its operator sees why with `kindmesh agent list`',
    exit: 'unreachable',
  },
  ERR_AGENT_CODE: {
    meaning: 'what is kept of an agent program cannot be read, or its code is not what its hash names',
    hint: 'give it again: `kindmesh agent update <name> <file>`',
    exit: 'generic',
  },
  ERR_REFUSED: { meaning: 'the peer refused the message', hint: 'see the reason', exit: 'denied' },

  ERR_NOT_RECEIVING: {
    meaning: 'nobody takes files there at the moment',
    hint: 'none needed: it stays queued; the other side runs `kindmesh receive --dir <folder>`',
    exit: 'denied',
  },
  ERR_FILE_CHANGED: { meaning: 'the body is not the one that was offered', hint: 'send the file again as it is now', exit: 'generic' },
  ERR_FILE_HASH: { meaning: 'the bytes on disk are not those the offer names', hint: 'send the file again; check the disk of the receiver', exit: 'generic' },
  ERR_DISK_FULL: { meaning: 'too little space is left on the disk of the receiver', hint: 'free some space there', exit: 'limit' },
  ERR_MAILBOX_NONE: {
    meaning: 'the recipient names nobody who holds its mail',
    hint: 'send again when it is up, or let it run `kindmesh mailbox add <did>`',
    exit: 'unreachable',
  },
  ERR_MAILBOX_UNKNOWN: {
    meaning: 'this node holds no mail for that recipient',
    hint: 'the recipient registers with `kindmesh mailbox add <did>`',
    exit: 'denied',
  },
  ERR_MAILBOX_FULL: { meaning: 'a quota of the mailbox is used up', hint: 'try again later; the recipient empties it when it comes back', exit: 'limit' },
  ERR_MAILBOX_GRANT: {
    meaning: 'the delegation does not allow this deposit',
    hint: 'meet the recipient again for a fresh one, or deposit with proof of work',
    exit: 'denied',
  },
  ERR_MAILBOX_LOST: { meaning: 'a holder lost mail that it had signed for', hint: 'name another holder as well, or instead', exit: 'generic' },
  ERR_MAILBOX_WORK: { meaning: 'the proof of work is missing or too weak', hint: 'ask for the terms again and do the work they name', exit: 'denied' },
  ERR_GROUP_INVALID: {
    meaning: 'a roster entry or group message breaks a rule of group/v1',
    hint: 'see the reason and protocols/group/v1/spec.md',
    exit: 'generic',
  },
  ERR_GROUP_DENIED: {
    meaning: 'only members may speak in a group, and only its admins change it',
    hint: 'ask an admin of the group; `kindmesh group list` names them',
    exit: 'denied',
  },
  ERR_GROUP_KEY: {
    meaning: 'the key of a group message is not held here, or was used before',
    hint: 'none needed: the sender hands a new key over when it starts again',
    exit: 'generic',
  },

  ERR_TRUST_INVALID: { meaning: 'the attestation breaks a rule of trust/v1', hint: 'see protocols/trust/v1/spec.md', exit: 'generic' },
  ERR_TRUST_CSV: {
    meaning: 'a CSV of trust statements is not of the form asked for',
    hint: 'a header iss,sub,level,depth,iat,exp,scope, then one statement a line',
    exit: 'usage',
  },
  ERR_TRUST_DAMAGED: {
    meaning: 'what is kept of a statement about trust was altered on disk',
    hint: 'check the disk; put the home folder back from a backup',
    exit: 'generic',
  },
  ERR_TRUST_LOW: { meaning: 'the executor trusts the asker too little', hint: 'let somebody it trusts attest you at VERIFIED in /task/run', exit: 'untrusted' },
  ERR_INVITE_UNKNOWN: {
    meaning: 'no such invite is open there: never made, revoked, or burnt after wrong proofs',
    hint: 'ask for a new ticket',
    exit: 'denied',
  },
  ERR_INVITE_EXPIRED: { meaning: 'the invite is past its expiry', hint: 'ask for a new ticket; check both clocks', exit: 'denied' },
  ERR_INVITE_USED: { meaning: 'the invite was used by somebody, or what it gave was withdrawn', hint: 'ask for a new ticket', exit: 'denied' },
  ERR_INVITE_PROOF: {
    meaning: 'a proof or statement does not fit the invite: other secret, key, level, scope or expiry',
    hint: 'copy the ticket again, whole; if it fails again, somebody may be in the middle',
    exit: 'denied',
  },
  ERR_SAS_MISMATCH: {
    meaning: 'the two sides do not see the same words: somebody may be in the middle',
    hint: 'sign nothing; compare again over another network, or use an invite',
    exit: 'authentication',
  },
  ERR_PIN_CHANGED: {
    meaning: 'what led to one identity leads to another',
    hint: 'ask its operator over another channel; if it is right, `kindmesh pin approve <source>`',
    exit: 'authentication',
  },
  ERR_NAME_TAKEN: { meaning: 'the name is that of somebody else, or looks like it', hint: 'choose another name', exit: 'usage' },
  ERR_DOMAIN_UNPROVED: { meaning: 'a domain does not name this identity', hint: 'see `kindmesh domain check <domain>`', exit: 'untrusted' },
  ERR_DOMAIN_CHANGED: {
    meaning: 'a domain names somebody else than before',
    hint: 'ask its owner by another way; if it is right, pin it again with --replace',
    exit: 'denied',
  },
  ERR_LIST_INVALID: {
    meaning: 'an authority list is malformed, expired, older than the one held, or signed by too few',
    hint: 'get the newest one from who keeps it',
    exit: 'untrusted',
  },
  ERR_POLICY_DENIED: { meaning: 'policy forbids it', hint: 'ask the operator for a grant', exit: 'denied' },
  ERR_GRANT_NEEDED: {
    meaning: 'a capability token is needed, and none was shown that goes so far',
    hint: 'ask its owner: `kindmesh grant issue <your DID> --command <command>`',
    exit: 'denied',
  },
  ERR_GRANT_INVALID: {
    meaning: 'a capability token breaks a rule of grant/v1: it goes further than the one it is made from, or is by nobody who may',
    hint: 'see the reason; ask its owner for another one',
    exit: 'denied',
  },
  ERR_GRANT_REVOKED: { meaning: 'a capability token was revoked by who signed it', hint: 'ask its owner for another one', exit: 'denied' },

  ERR_SANDBOX_UNAVAILABLE: {
    meaning: 'the isolation level asked for does not exist on this machine',
    hint: 'see `kindmesh sandbox probe`; ask for another level, or another peer',
    exit: 'unavailable',
  },
  ERR_SANDBOX_PERMISSION: {
    meaning: 'the code makes use of what was not granted to it',
    hint: 'grant the capability named, or leave out the call at the line and column given',
    exit: 'denied',
  },
  ERR_BUNDLE_INVALID: {
    meaning: 'a bundle was altered, is of the wrong form, or its code is not what its hash names',
    hint: 'get it again from its publisher; do not run it',
    exit: 'denied',
  },
  ERR_BUNDLE_UNPINNED: {
    meaning: 'neither the publisher nor the hash of the bundle is pinned here',
    hint: 'if you trust it, `kindmesh bundle pin <publisher-or-hash>`',
    exit: 'denied',
  },
  ERR_CONFIG_INVALID: {
    meaning: 'a configuration file or setting is not valid',
    hint: 'mend the field named; `kindmesh config get` lists all settings',
    exit: 'usage',
  },
  ERR_CONFIG_LOCKED: {
    meaning: 'a layer above has locked this setting',
    hint: 'see `kindmesh config explain <setting>`',
    exit: 'denied',
  },
  ERR_SANDBOX_CONFIG: {
    meaning: 'a policy or the configuration of the sandboxes is not valid',
    hint: 'mend the field named; see protocols/sandbox/v1/spec.md section 5',
    exit: 'usage',
  },
  ERR_SANDBOX_CODE: { meaning: 'the code does not parse or uses what is forbidden', hint: 'see the line and column given', exit: 'generic' },
  ERR_SANDBOX_THREW: { meaning: 'the task threw', hint: 'see the message of the task', exit: 'generic' },
  ERR_SANDBOX_LIMIT: { meaning: 'the task hit a limit and was killed', hint: 'raise --limit if the executor allows it', exit: 'limit' },
  ERR_SANDBOX_RESULT: { meaning: 'the result is not plain JSON data or too large', hint: 'return plain data, smaller', exit: 'generic' },
  ERR_SANDBOX_CRASHED: { meaning: 'the worker process ended without an answer', hint: 'try again; see the log of the executor', exit: 'generic' },
  ERR_HOST_ARGUMENTS: {
    meaning: 'a host call got arguments it does not take',
    hint: 'see the reason; protocols/sandbox/v1/spec.md section 5 has the shapes',
    exit: 'usage',
  },
  ERR_HOST_QUOTA: { meaning: 'a host call is over its size or quota', hint: 'send or keep less; the operator sets the quotas', exit: 'limit' },
  ERR_HOST_FAILED: { meaning: 'what a host call asked outside the sandbox failed', hint: 'see the reason; try again', exit: 'generic' },
  ERR_TASK_CANCELLED: { meaning: 'the task was cancelled', hint: 'start it again', exit: 'interrupted' },
  ERR_TASK_LOST: {
    meaning: 'the executor does not have the task, or what became of it is not known',
    hint: 'see `kindmesh task describe`; run it again if twice does no harm',
    exit: 'generic',
  },
  ERR_TASK_PARTIAL: {
    meaning: 'a task for several peers did not end well at all of them',
    hint: 'see the results; run it again with --to-many and those that failed',
    exit: 'generic',
  },
  ERR_TASK_NOT_RUN: { meaning: 'the executor stopped before the task began; it was not run', hint: 'run it again', exit: 'generic' },
  ERR_TASK_DEADLINE: {
    meaning: 'the deadline of the task passed before it ended',
    hint: 'give a later --deadline, or ask a peer with less to do',
    exit: 'timeout',
  },
  ERR_TASK_FILES: {
    meaning: 'files of a task are not what the request says, or not what may come back',
    hint: 'see the file named; at most 32 files and 64 MiB go each way, none in a folder',
    exit: 'generic',
  },
  ERR_RECEIPT_INVALID: { meaning: 'the receipt does not match the task', hint: 'do not trust this executor', exit: 'generic' },
  ERR_AUDIT_TAMPERED: { meaning: 'the audit log was altered', hint: 'keep a copy of the home folder; see the entry named', exit: 'generic' },
  ERR_AUDIT_MISSING: { meaning: 'no such audit entry', hint: 'see `kindmesh audit tail`', exit: 'usage' },
  ERR_NOT_FOUND: { meaning: 'no such thing', hint: 'check the name', exit: 'usage' },
} as const satisfies Record<`ERR_${string}`, ErrorEntry>

export type ErrorCode = keyof typeof errorTable

export interface MeshErrorOptions {
  readonly cause?: unknown
  /** Replaces the hint of the table where a better next step is known. */
  readonly hint?: string
  /** Plain data for machines, never a secret. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** An error with a code of `errorTable`. Everything the project throws on purpose is one. */
export class MeshError extends Error {
  override readonly name = 'MeshError'
  readonly code: ErrorCode
  readonly hint: string
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(code: ErrorCode, message: string, { cause, hint, details }: MeshErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.hint = hint ?? errorTable[code].hint
    this.details = details
  }

  get exitCode(): number {
    return exitCodes[errorTable[this.code].exit]
  }
}

export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(errorTable, text)
}

/** Codes about this machine: no peer has a say in them. */
const ownCodes =
  /^ERR_(?:USAGE|PROFILE|NODE|AUTH|LOGIN|LINK|STEP_UP|USER|CONTENT_TYPE|RATE_LIMITED|SEALED|VAULT|AUDIT|CRYPTO_SELF|STORE_CLOSED|NOT_FOUND|ABORTED)/

/** A code that a peer sent: kept when it is one of ours that may travel, else ERR_REFUSED. */
export const codeFromPeer = (code: string): ErrorCode => (isErrorCode(code) && !ownCodes.test(code) ? code : 'ERR_REFUSED')

/** The error itself if it is ours, else an ERR_INTERNAL around it (an abort becomes ERR_ABORTED or ERR_TIMEOUT). */
export function toMeshError(error: unknown): MeshError {
  if (error instanceof MeshError) return error
  if (error instanceof Error && error.name === 'TimeoutError') return new MeshError('ERR_TIMEOUT', error.message, { cause: error })
  if (error instanceof Error && error.name === 'AbortError') {
    return error.cause instanceof MeshError ? error.cause : new MeshError('ERR_ABORTED', error.message, { cause: error })
  }
  return new MeshError('ERR_INTERNAL', error instanceof Error ? error.message : String(error), { cause: error })
}
