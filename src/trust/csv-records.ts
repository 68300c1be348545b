import { MeshError } from '../base/index.ts'

/** One record of a CSV with the number of its first line, from 1. */
export interface CsvRecord {
  readonly fields: readonly string[]
  readonly line: number
}

/** Longest record. Source: trust/v1 section 3.7. */
export const csvRecordCharsMax = 8_192

/** A fault in a CSV with its place. */
export const csvFault = (line: number, fault: string, hint: string): MeshError => new MeshError('ERR_TRUST_CSV', `line ${line}: ${fault}`, { hint })

/**
 * Records of RFC 4180 in UTF-8, from pieces of any size; empty lines are skipped, quoted fields may hold commas, quotes and line ends.
 * @throws ERR_TRUST_CSV
 */
export async function* csvRecords(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<readonly CsvRecord[]> {
  let rest = ''
  let line = 1
  for await (const piece of textOf(bytes)) {
    rest += piece
    yield take()
    if (rest.length > csvRecordCharsMax) throw tooLong()
  }
  if (rest === '') return
  rest += '\n'
  yield take()
  if (rest !== '') throw csvFault(line, 'a quote that nothing closes', 'close it, and write a quote inside a quoted field twice')

  function take(): CsvRecord[] {
    const records: CsvRecord[] = []
    let start = 0
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n', end + 1)) {
      const text = rest.slice(start, rest[end - 1] === '\r' && end > start ? end - 1 : end)
      const isQuoted = text.includes('"')
      if (text.length > csvRecordCharsMax) throw tooLong()
      if (isQuoted && (text.split('"').length - 1) % 2 === 1) continue
      if (text !== '') records.push({ fields: isQuoted ? quotedFields(text, line) : text.split(','), line })
      line += isQuoted ? text.split('\n').length : 1
      start = end + 1
    }
    rest = rest.slice(start)
    return records
  }

  function tooLong(): MeshError {
    return csvFault(line, `more than ${csvRecordCharsMax} characters without an end`, 'is a quote not closed?')
  }
}

function quotedFields(text: string, line: number): string[] {
  const fields: string[] = []
  for (let at = 0; at <= text.length; at++) {
    if (text[at] !== '"') {
      const comma = text.indexOf(',', at)
      const end = comma === -1 ? text.length : comma
      const field = text.slice(at, end)
      if (field.includes('"')) {
        throw csvFault(line, 'a quote inside a field that does not begin with one', 'quote the whole field, and write the quote inside twice')
      }
      fields.push(field)
      at = end
      continue
    }
    let end = at + 1
    while (end < text.length && (text[end] !== '"' || text[end + 1] === '"')) end += text[end] === '"' ? 2 : 1
    fields.push(text.slice(at + 1, end).replaceAll('""', '"'))
    at = end + 1
    if (at < text.length && text[at] !== ',') throw csvFault(line, 'text behind a closing quote', 'put a comma between two fields')
  }
  return fields
}

async function* textOf(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<string> {
  // Ids that are no UTF-8 would all become the same one.
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let line = 1
  const decode = (piece?: Uint8Array): string => {
    try {
      return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true })
    } catch {
      throw csvFault(line, 'at or after it are bytes that are no UTF-8', 'save the file as UTF-8')
    }
  }
  for await (const piece of bytes) {
    const text = decode(piece)
    yield text
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) line++
  }
  yield decode()
}
