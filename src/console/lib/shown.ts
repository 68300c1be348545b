/** Characters of a stranger's text on a page, unless the page asks for fewer. */
export const shownCharsMax = 200
/** Marks that may stand on one letter: more pile up over the lines above and below. */
const marksMax = 2
/** What steers, hides or turns text around: controls, format characters (bidirectional ones among them), private use, lone surrogates, line ends, tags, and letters that show as nothing. */
const unseen = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u
/** Whatever is blank, but for the mark of byte order, which is no blank. */
const blank = /[^\S\ufeff]/u

/**
 * Text of somebody else as one visible line: what cannot be seen becomes U+FFFD, marks are capped, and what is too long ends in `…`.
 * It is text and stays text: pages put it into text nodes only.
 */
export function shown(text: unknown, charsMax = shownCharsMax): string {
  // Composing and splitting the whole of a huge text would hold up the page.
  const head = String(text)
    .slice(0, charsMax * 8)
    .toWellFormed()
    .normalize('NFC')
  let line = ''
  let length = 0
  let marks = 0
  for (const char of head) {
    if (blank.test(char)) {
      if (line.endsWith(' ')) continue
    } else if (/\p{M}/u.test(char)) {
      if (++marks > marksMax || length === 0) continue
      line += unseen.test(char) ? '' : char
      continue
    }
    marks = 0
    if (++length > charsMax) return `${line.trimEnd()}…`
    line += blank.test(char) ? ' ' : unseen.test(char) ? '\u{fffd}' : char
  }
  return String(text).length > charsMax * 8 ? `${line.trimEnd()}…` : line.replace(/^ | $/gu, '')
}

/** A DID short enough to read: its beginning and its last characters, both of which a look-alike would have to meet. */
export function shortDid(did: string): string {
  const key = did.startsWith('did:key:') ? did.slice(8) : did
  return key.length > 16 ? `${shown(key.slice(0, 4), 4)}…${shown(key.slice(-6), 6)}` : shown(key, 16)
}

/** Who it is in the reader's own words, else its short DID. */
export const calledIn =
  (names: Readonly<Record<string, string>>) =>
  (did: string): string =>
    Object.hasOwn(names, did) ? shown(names[did], 64) : shortDid(did)

/** The reader's own name for somebody; undefined when none was given. */
export const namedIn =
  (names: Readonly<Record<string, string>>) =>
  (did: string): string | undefined =>
    Object.hasOwn(names, did) ? shown(names[did], 64) : undefined
