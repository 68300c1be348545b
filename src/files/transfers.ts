import type { Did, SignalOption } from '../base/index.ts'
import type { OutgoingStatus } from './records.ts'

/** Which key speaks for whom: a transfer is between identities, and each attempt between the keys in force. */
export interface Keys {
  /** The identity a key belongs to. */
  subject(key: Did): Did
  /** The key in force of an identity. */
  current(did: Did, options: SignalOption): Promise<Did>
}

/** A file on its way out, as its owner sees it. */
export interface OutgoingTransfer {
  readonly direction: 'out'
  /** The same at both ends, hexadecimal. */
  readonly id: string
  readonly to: Did
  readonly name: string
  readonly bytes: number
  /** SHA-256 of the whole, hexadecimal. */
  readonly hash: string
  readonly status: OutgoingStatus
  /** Bytes the receiver has said are on its disk. */
  readonly done: number
  readonly tries: number
  readonly expiresAt: number
  /** Why the last attempt did not end well. */
  readonly error?: { readonly code: string; readonly message: string }
  /** The signed `stream-receipt`, base64. */
  readonly receipt?: string
}

/** A file on its way in: `partial` while bytes lack and nobody sends. */
export interface IncomingTransfer {
  readonly direction: 'in'
  readonly id: string
  readonly from: Did
  /** As the sender gave it. */
  readonly name: string
  readonly bytes: number
  readonly hash: string
  readonly status: 'receiving' | 'partial' | 'received'
  /** Bytes on disk. */
  readonly done: number
  /** Where it stands, once received. */
  readonly path?: string
}

/** A file that came, whole and checked. */
export interface ReceivedFile {
  readonly id: string
  readonly from: Did
  /** Its name in the folder. */
  readonly name: string
  readonly path: string
  readonly bytes: number
  /** SHA-256, hexadecimal. */
  readonly hash: string
}
