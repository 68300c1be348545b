import { realClock, realRandom, utf8 } from '../../../src/base/index.ts'
import { deriveFromPassphrase, passphraseParams } from '../../../src/crypto/index.ts'
import { openVault } from '../../../src/vault/index.ts'
import { answerParent } from '../harness.ts'

const passphrase = utf8('correct horse battery staple')

/** Bytes by which the most that was resident goes beyond what was before. */
async function above(act: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage.rss()
  await act()
  return process.resourceUsage().maxRSS * 1_024 - before
}

answerParent({
  unseal: (path: string) =>
    above(async () => await (await openVault({ path, clock: realClock, random: realRandom })).unseal({ kind: 'passphrase', secret: passphrase })),
  argon: () => above(async () => await deriveFromPassphrase(passphrase, { ...passphraseParams, salt: new Uint8Array(32) })),
})
