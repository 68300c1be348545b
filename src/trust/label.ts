import type { Did } from '../base/index.ts'
import { shortDid } from './sentence.ts'

/** Characters of a name in a drawing. */
const labelCharsMax = 40

/** The reader's name, or a short id: one line, without characters that steer a terminal or turn text around. */
export function plainLabel({ id, name }: { readonly id: Did; readonly name: string | undefined }, charsMax = labelCharsMax): string {
  // Lone surrogates and the two noncharacters are no XML.
  const plain = (name ?? (charsMax === Infinity ? id : shortDid(id))).replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/gu, '\u{fffd}')
  const chars = Array.from(plain)
  return chars.length > charsMax ? `${chars.slice(0, charsMax - 1).join('')}…` : plain
}
