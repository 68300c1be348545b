import type { Bytes } from './bytes.ts'

/** SHA-256 by the browser. */
export const sha256 = async (bytes: Bytes): Promise<Bytes> => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))

/** Whether the browser finds an Ed25519 signature good; false also for what is no key. */
export async function verifyEd25519(key: Bytes, message: Bytes, signature: Bytes): Promise<boolean> {
  try {
    const imported = await crypto.subtle.importKey('raw', key, 'Ed25519', false, ['verify'])
    return await crypto.subtle.verify('Ed25519', imported, signature, message)
  } catch (error) {
    if (error instanceof Error && error.name === 'DataError') return false
    throw error
  }
}
