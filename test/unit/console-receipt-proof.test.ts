import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { base64, fromHex } from '../../src/base/index.ts'
import { type Bytes, fromBase64, toBase64 } from '../../src/console/lib/bytes.ts'
import { checkReceipt } from '../../src/console/lib/receipt-proof.ts'

const vector = (name: string): Record<string, string> => JSON.parse(readFileSync(`protocols/task/v1/vectors/${name}.json`, 'utf8')) as Record<string, string>
const bytes = (text = ''): Bytes => new Uint8Array(fromHex(text))
const signedOf = (name: string): string => base64(bytes(vector(name)['signed']))

const checked = vector('receipt-checked')
const parties = { executor: bytes(checked['executor']), asker: bytes(checked['asker']) }
const document = { signed: signedOf('receipt-checked'), countersigned: signedOf('countersign-checked') }

describe('a task receipt in the browser', () => {
  test('with both signatures is good and tells what was really used', async () => {
    const report = await checkReceipt(document, parties)
    expect(report.steps.filter(({ ok }) => !ok)).toEqual([])
    expect(report).toMatchObject({ ok: true, facts: { outcome: 'ok', isolation: 'sandboxed' } })
    expect(Object.keys(report.facts?.usage ?? {})).toHaveLength(7)
    expect(Object.keys(report.facts?.limits ?? {})).toHaveLength(9)
  })

  test('with any byte of either signed statement changed is bad', async () => {
    const good: string[] = []
    for (const field of ['signed', 'countersigned'] as const) {
      const whole = fromBase64(document[field]) ?? new Uint8Array()
      for (let at = 0; at < whole.length; at++) {
        const spoiled = whole.with(at, (whole[at] ?? 0) ^ 1)
        if ((await checkReceipt({ ...document, [field]: toBase64(spoiled) }, parties)).ok) good.push(`${field} ${at}`)
      }
    }
    expect(good).toEqual([])
  })

  test('by, to, or countersigned by somebody else is bad', async () => {
    expect(await checkReceipt(document, { executor: parties.asker, asker: parties.executor })).toMatchObject({ ok: false })
    expect(await checkReceipt({ ...document, countersigned: signedOf('countersign-other-receipt') }, parties)).toMatchObject({ ok: false })
    expect(await checkReceipt({ ...document, countersigned: signedOf('countersign-other-asker') }, parties)).toMatchObject({ ok: false })
    expect(await checkReceipt({ ...document, signed: signedOf('receipt-other-executor') }, { ...parties, executor: parties.asker })).toMatchObject({
      ok: false,
    })
    expect(await checkReceipt({ signed: document.countersigned, countersigned: document.signed }, parties)).toMatchObject({ ok: false })
  })
})
