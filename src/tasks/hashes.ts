import { utf8 } from '../base/index.ts'
import { contentHash } from '../crypto/index.ts'

/** BLAKE3 of a text's UTF-8 bytes: how receipts name code, input and result. */
export const hashText = (text: string): Promise<Uint8Array> => contentHash(utf8(text))
