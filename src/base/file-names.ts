/** Longest name a received file gets, UTF-8 bytes; one that is longer loses its middle, never its extension. Source: stream/v1 section 4. */
export const fileNameBytesMax = 200
const extensionCharsMax = 16
/** Names that Windows keeps for devices, with any extension. */
const devices = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|$)/i
/** What ends a path, names a stream or a pattern somewhere, or cannot be seen: controls, format characters (bidirectional overrides among them), private use, lone surrogates, unusual spaces. */
const unfit = /[/\\:*?"<>|\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu

/**
 * A name under which a file of a stranger may stand in a folder: one path component, visible, neither hidden nor kept for a device, and of a length every disk takes.
 * Source: stream/v1 section 4.
 */
export function safeFileName(name: string): string {
  const plain = name
    .toWellFormed()
    .normalize('NFC')
    .replaceAll(unfit, '_')
    .replaceAll(/\s+/gu, ' ')
    .replace(/^[. ]+/u, '')
    .replace(/[. ]+$/u, '')
  const fit = shortened(plain, fileNameBytesMax).replace(/[. ]+$/u, '')
  if (fit === '') return 'file'
  return devices.test(fit) ? `_${fit}` : fit
}

/** `name (2).txt` for the second; the first keeps its name. */
export function numbered(name: string, count: number): string {
  if (count <= 1) return name
  const { stem, extension } = split(name)
  return `${stem} (${count})${extension}`
}

function split(name: string): { readonly stem: string; readonly extension: string } {
  const dot = name.lastIndexOf('.')
  const hasExtension = dot > 0 && name.length - dot <= extensionCharsMax
  return hasExtension ? { stem: name.slice(0, dot), extension: name.slice(dot) } : { stem: name, extension: '' }
}

function shortened(name: string, bytesMax: number): string {
  if (Buffer.byteLength(name) <= bytesMax) return name
  const { stem, extension } = split(name)
  const room = bytesMax - Buffer.byteLength(extension)
  let kept = ''
  let bytes = 0
  for (const character of stem) {
    bytes += Buffer.byteLength(character)
    if (bytes > room) break
    kept += character
  }
  return kept.trimEnd() + extension
}
