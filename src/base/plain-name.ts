/** Letters of other scripts that look like Latin ones, with what they look like. */
const lookAlikes: ReadonlyMap<string, string> = new Map(
  'аa еe оo рp сc уy хx іi јj ѕs ԁd ԛq ԝw һh ӏl кk мm тt вb нh αa οo ρp υu νv κk ιi τt εe ηn'.split(' ').map(([letter = '', latin = '']) => [letter, latin]),
)
const mixable = [/\p{Script=Latin}/u, /\p{Script=Cyrillic}/u, /\p{Script=Greek}/u, /\p{Script=Armenian}/u, /\p{Script=Cherokee}/u]

export type PlainName = { readonly ok: true; readonly name: string } | { readonly ok: false; readonly reason: string }

/** The form in which a name that people give is kept, or why it is none: one script, no invisible or turning characters, nothing that passes for an identity. Source: join/v1 section 8 */
export function plainName(text: string, charsMax: number): PlainName {
  const name = text
    .slice(0, 4 * charsMax)
    .normalize('NFKC')
    .trim()
  const refused = (reason: string): PlainName => ({ ok: false, reason })
  if (name.length === 0 || name.length > charsMax) return refused(`1 to ${charsMax} characters`)
  if (!/^[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:(?:\. |[ ._'-])[\p{L}\p{M}\p{N}]+)*$/u.test(name)) {
    return refused('a character that it may not have, or at that place')
  }
  if (/^(?:did|kind|kindmesh|12D3Koo|z6Mk)/i.test(name)) return refused('it begins as an identity does')
  if (mixable.filter((script) => script.test(name)).length > 1) return refused('letters of several scripts that look alike')
  return { ok: true, name }
}

/** What a reader sees of a name: two names with one look are one to people. */
export const nameLook = (name: string): string =>
  name
    .toLowerCase()
    .normalize('NFKC')
    .replaceAll(/[\p{Script=Cyrillic}\p{Script=Greek}]/gu, (letter) => lookAlikes.get(letter) ?? letter)
