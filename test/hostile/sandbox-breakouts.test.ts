import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Canaries, layCanaries } from '../helpers/breakouts/canaries.ts'
import { buildProbe, type BuiltProbe, judge, probeLacks } from '../helpers/breakouts/probe.ts'

const testTimeoutMs = 60_000

describe.skipIf(probeLacks !== undefined)(`programs that try to break out (${probeLacks ?? 'as root, with gcc'})`, () => {
  let probe: BuiltProbe
  let canaries: Canaries
  beforeAll(async () => {
    probe = await buildProbe()
    canaries = await layCanaries(probe.path)
  }, testTimeoutMs)
  afterAll(async () => {
    await canaries.remove()
    await probe.remove()
  })

  test(
    'unconfined, most of them reach this machine',
    async () => {
      const { stdout } = await promisify(execFile)(probe.path, ['apart', `work=${join(canaries.dir, 'work')}`, ...canaries.args], {
        env: { CANARY: canaries.token },
        maxBuffer: 64 << 20,
      })
      const attempts = await judge(stdout, canaries)
      expect(attempts.length).toBeGreaterThanOrEqual(160)
      expect(attempts.filter(({ passed, reachedHost }) => passed || reachedHost).length).toBeGreaterThanOrEqual(110)
      expect(attempts.filter(({ reachedHost }) => reachedHost).length).toBeGreaterThanOrEqual(20)
      expect(await canaries.reached()).toContain('the victim was signalled')
    },
    testTimeoutMs,
  )
})
