import { HOTP } from 'otpauth'
import { afterEach, expect, test, vi } from 'vitest'
import { hourMs, minuteMs, secondMs } from '../../src/base/index.ts'
import { enrolmentTriesMax } from '../../src/auth/codes.ts'
import { loginFlowMs, refusalsAuditedMax } from '../../src/auth/authenticate.ts'
import { readFactors } from '../../src/auth/factor-record.ts'
import { afterTry, codeFailuresMax, codeTriesHourMax, codeTriesMax, mayTry, noTries, type Tries } from '../../src/auth/limits.ts'
import { anna, ben, enrolApp, factorWorld, here, type World } from '../helpers/factors.ts'
import { codeOf } from '../helpers/raw-peer.ts'

afterEach(() => void vi.restoreAllMocks())

const byCode = (world: World, totpCode: string, userId = 'anna') => world.login({ userId, totpCode, contextData: here })
const byRecovery = (world: World, recoveryCode: string, userId = 'anna') => world.login({ userId, recoveryCode, contextData: here })
const recordOf = async ({ store }: World, id = anna.id) => await readFactors(store.sub('factors'), id)

test('of 1,250 uses of 250 codes, in parallel and after restarts, each code is taken once: 0 of 1,000 reuses', async () => {
  let world = factorWorld()
  const shown = await enrolApp(world)
  let taken = 0
  let tried = 0
  for (let round = 0; round < 250; round++) {
    const code = shown()
    const first = await Promise.all([1, 2, 3].map(() => byCode(world, code)))
    world = world.reopen()
    const late = await Promise.all([1, 2].map(() => byCode(world, code)))
    expect(first.map(({ success }) => success).filter(Boolean)).toHaveLength(1)
    expect(late.map(({ success }) => success)).toEqual([false, false])
    taken += [...first, ...late].filter(({ success }) => success).length
    tried += 5
    world.clock.jump(hourMs + 30 * secondMs)
  }
  expect([tried, taken]).toEqual([1_250, 250])
})

test('the code that enrolled the app does not log in, nor one of a step before the last', async () => {
  const world = factorWorld()
  const { flow, secret } = world.codes.beginTotp(anna)
  const { Secret } = await import('otpauth')
  const code = (away: number): string =>
    HOTP.generate({ secret: Secret.fromBase32(secret), algorithm: 'SHA1', digits: 6, counter: Math.floor(world.clock.now() / 30_000) + away })
  await world.codes.finishTotp(anna.id, flow, code(0))
  expect((await byCode(world, code(0))).success).toBe(false)
  expect((await byCode(world, code(1))).success).toBe(true)
  expect((await byCode(world, code(0))).success).toBe(false)
})

test('an enrolment counts with a first right code, from whoever began it, within its time and few tries', async () => {
  const world = factorWorld()
  const begin = (): string => world.codes.beginTotp(anna).flow
  expect(await codeOf(world.codes.finishTotp(ben.id, begin(), '000000'))).toBe('ERR_NOT_FOUND')
  const flow = begin()
  for (let wrong = 0; wrong < enrolmentTriesMax; wrong++) expect(await codeOf(world.codes.finishTotp(anna.id, flow, 'no code'))).toBe('ERR_AUTH_FAILED')
  expect(await codeOf(world.codes.finishTotp(anna.id, flow, 'no code'))).toBe('ERR_NOT_FOUND')
  const late = begin()
  await world.clock.advance(11 * minuteMs)
  expect(await codeOf(world.codes.finishTotp(anna.id, late, 'no code'))).toBe('ERR_NOT_FOUND')
  expect((await world.codes.status(anna.id)).totpSince).toBeUndefined()
})

test('no secret of an app is on the disk in plain', async () => {
  const world = factorWorld()
  const { flow, secret } = world.codes.beginTotp(anna)
  const { Secret } = await import('otpauth')
  const bytes = Buffer.from(Secret.fromBase32(secret).bytes)
  await world.codes.finishTotp(anna.id, flow, HOTP.generate({ secret: Secret.fromBase32(secret), counter: Math.floor(world.clock.now() / 30_000) }))
  let values = 0
  for await (const [, value] of world.store.range({})) {
    values++
    expect(Buffer.from(value).includes(bytes) || Buffer.from(value).includes(secret)).toBe(false)
  }
  expect(values).toBeGreaterThan(2)
})

test('brute force: five tries in 30 s, twenty in an hour, a hundred in all, over restarts; then another factor opens the way again', async () => {
  let world = factorWorld({ policy: [['totp'], ['recovery']] })
  const shown = await enrolApp(world)
  const [recovery = '', spare = ''] = await world.codes.makeRecoveryCodes(anna.id)
  const failed = async (): Promise<number> => (await recordOf(world)).tries.failed
  for (let tries = 0; tries < 30; tries++) await byCode(world, 'wrong!')
  expect(await failed()).toBe(codeTriesMax)
  expect((await byCode(world, shown())).success).toBe(false)
  world = world.reopen()
  for (let second = 0; second < 3_500; second += 10) {
    world.clock.jump(10 * secondMs)
    await byCode(world, 'wrong!')
  }
  expect(await failed()).toBe(codeTriesHourMax)
  expect((await byCode(world, shown())).success).toBe(false)
  for (let hour = 0; hour < 8; hour++) {
    world = world.reopen()
    for (let tries = 0; tries < 10; tries++) {
      world.clock.jump(6 * minuteMs)
      await Promise.all(Array.from({ length: 4 }, () => byCode(world, 'wrong!')))
    }
  }
  expect(await failed()).toBe(codeFailuresMax)
  world.clock.jump(30 * 24 * hourMs)
  expect((await byCode(world, shown())).success).toBe(false)
  // Ben is not touched by it, and neither are other factors.
  expect((await byRecovery(world, recovery)).success).toBe(true)
  expect((await byCode(world, shown())).success).toBe(true)
  expect((await byRecovery(world, spare)).success).toBe(true)
})

test('a clock that jumps back opens nothing', async () => {
  const world = factorWorld()
  const shown = await enrolApp(world)
  for (let tries = 0; tries < codeTriesMax; tries++) await byCode(world, 'wrong!')
  for (const back of [1, 40, 3_700, 86_400]) {
    world.clock.jump(-back * secondMs)
    expect((await byCode(world, shown())).success).toBe(false)
  }
  world.clock.jump((1 + 40 + 3_700 + 86_400 + 31) * secondMs)
  const code = shown()
  expect((await byCode(world, code)).success).toBe(true)
  world.clock.jump(-30 * secondMs)
  expect((await byCode(world, code)).success).toBe(false)
})

test('limits: a window is over when its oldest try is, and time set back does not shorten it', () => {
  const tried = (times: readonly number[]): Tries => times.reduce((tries, at) => afterTry(tries, at, false), noTries)
  const five = tried([0, 1_000, 2_000, 3_000, 4_000])
  expect([mayTry(five, 29_999), mayTry(five, 30_000), mayTry(five, -10_000_000)]).toEqual([false, true, false])
  const twenty = tried(Array.from({ length: 20 }, (_, index) => index * 60_000))
  expect([mayTry(twenty, hourMs - 1), mayTry(twenty, hourMs)]).toEqual([false, true])
  expect(mayTry({ at: [], failed: codeFailuresMax }, 10 ** 12)).toBe(false)
  expect(afterTry({ at: [], failed: 99 }, 1, true).failed).toBe(0)
})

interface Work {
  readonly reads: number
  readonly syncs: number
  readonly bytesWritten: boolean
  readonly codesComputed: number
}

/** What one attempt costs, in calls rather than in time. */
async function workOf(world: World, attempt: () => Promise<unknown>): Promise<Work> {
  const get = vi.spyOn(world.store, 'get')
  const durable = vi.spyOn(world.store, 'durable')
  const generate = vi.spyOn(HOTP, 'generate')
  await attempt()
  const work = {
    reads: get.mock.calls.length,
    syncs: durable.mock.calls.length,
    bytesWritten: durable.mock.calls[0]?.[0].length === 1,
    codesComputed: generate.mock.calls.length,
  }
  vi.restoreAllMocks()
  return work
}

test('no such user, wrong code, nothing enrolled and locked: one answer byte for byte, and the same work', async () => {
  const world = factorWorld({ policy: [['totp'], ['recovery']] })
  const shown = await enrolApp(world)
  await world.codes.makeRecoveryCodes(anna.id)
  const answers = new Set<string>()
  const works = new Set<string>()
  const look = async (userId: string, code: string): Promise<void> => {
    let answer: unknown
    const work = await workOf(world, async () => {
      answer = await byCode(world, code, userId)
    })
    answers.add(JSON.stringify(answer))
    works.add(JSON.stringify(work))
  }
  await look('nobody', '123456')
  await look('anna', 'wrong!')
  await look('ben', '123456')
  await look('', '')
  await look('x'.repeat(100_000), '123456')
  for (let tries = 0; tries < codeTriesMax; tries++) await byCode(world, 'wrong!')
  await look('anna', shown())
  await look('anna', 'wrong!')
  // Past what is written into the log, too.
  for (let tries = 0; tries < refusalsAuditedMax; tries++) await byCode(world, '1', 'nobody')
  await look('nobody', '123456')
  expect([...answers]).toEqual([
    '{"success":false,"userId":null,"sessionToken":null,"expiresAt":null,"factors":[{"type":"totp","success":false,"confidence":0,"metadata":{}}],"missing":[],"flow":null,"deviceToken":null}',
  ])
  expect([...works].map((work) => JSON.parse(work) as Work)).toEqual([{ reads: 2, syncs: 1, bytesWritten: true, codesComputed: 3 }])
  const recoveries = await Promise.all([byRecovery(world, 'wrong', 'nobody'), byRecovery(world, 'wrong', 'anna'), byRecovery(world, 'wrong', 'ben')])
  expect(new Set(recoveries.map((answer) => JSON.stringify(answer))).size).toBe(1)
})

test('names without an account leave at most 256 records and a bounded log', async () => {
  const world = factorWorld()
  for (let name = 0; name < 1_000; name++) await byCode(world, '123456', `guess ${name}`)
  let records = 0
  for await (const _ of world.store.sub('factors').range({})) records++
  expect(records).toBeLessThanOrEqual(256)
  for (let tries = 0; tries < 100; tries++) await byCode(world, '123456', 'one name')
  expect(world.events.length).toBeLessThanOrEqual(1_000 + refusalsAuditedMax)
  expect(JSON.stringify(world.events)).not.toContain('guess')
})

test('a recovery code is taken once, also in parallel and after a restart, and dies when new ones are made', async () => {
  let world = factorWorld({ policy: [['recovery']] })
  const codes = await world.codes.makeRecoveryCodes(anna.id)
  expect(new Set(codes).size).toBe(10)
  expect(codes.every((code) => /^(?:[0-9a-hjkmnp-tv-z]{5}-){3}[0-9a-hjkmnp-tv-z]{5}$/.test(code))).toBe(true)
  const [one = '', two = '', three = ''] = codes
  const parallel = await Promise.all(Array.from({ length: 20 }, () => byRecovery(world, one)))
  expect(parallel.filter(({ success }) => success)).toHaveLength(1)
  expect(world.sessions).toHaveLength(1)
  world = world.reopen()
  expect((await byRecovery(world, one)).success).toBe(false)
  expect((await byRecovery(world, two, 'ben')).success).toBe(false)
  expect((await byRecovery(world, ` ${two.toUpperCase().replaceAll('-', ' ').replaceAll('0', 'O').replaceAll('1', 'l')} `)).success).toBe(true)
  expect((await world.codes.status(anna.id)).recoveryCodesLeft).toBe(8)
  const [fresh = ''] = await world.codes.makeRecoveryCodes(anna.id)
  expect((await byRecovery(world, three)).success).toBe(false)
  expect((await byRecovery(world, fresh)).success).toBe(true)
})

test('a recovery code is kept when what was shown with it fails, and no code is on the disk in plain', async () => {
  const world = factorWorld({ policy: [['recovery']] })
  const [code = ''] = await world.codes.makeRecoveryCodes(anna.id)
  expect((await world.login({ userId: 'anna', recoveryCode: code, totpCode: '000000', contextData: here })).success).toBe(false)
  for await (const [, value] of world.store.range({})) expect(Buffer.from(value).includes(code)).toBe(false)
  expect((await byRecovery(world, code)).success).toBe(true)
})

test('factors are shown one after the other within one login, which ends in one session', async () => {
  const world = factorWorld({ policy: [['totp', 'recovery']] })
  const shown = await enrolApp(world)
  const [recoveryCode = '', other = ''] = await world.codes.makeRecoveryCodes(anna.id)
  const half = await byCode(world, shown())
  expect(half).toMatchObject({ success: false, userId: anna.id, sessionToken: null, missing: ['recovery'] })
  expect(half.factors.map(({ type, success }) => [type, success])).toEqual([
    ['totp', true],
    ['context', true],
  ])
  const flow = half.flow ?? ''
  // Not with somebody else's name, not with a flow of one's own making, and not without it.
  for (const challenge of [{ userId: 'ben', flow }, { userId: 'anna', flow: 'made up' }, { userId: 'anna' }]) {
    expect((await world.login({ ...challenge, recoveryCode: 'wrong', contextData: here })).success).toBe(false)
  }
  expect((await world.login({ flow, recoveryCode: 'wrong', contextData: here })).success).toBe(false)
  const ends = await Promise.all([recoveryCode, other, recoveryCode].map((code) => world.login({ flow, recoveryCode: code, contextData: here })))
  expect(ends.filter(({ success }) => success)).toHaveLength(1)
  expect(world.sessions).toEqual([{ userId: anna.id, factors: expect.arrayContaining(['totp', 'recovery']) as string[] }])
  expect((await world.codes.status(anna.id)).recoveryCodesLeft).toBe(9)
})

test('a login that waits for a factor is over after five minutes, however many are shown', async () => {
  const world = factorWorld({ policy: [['webauthn', 'totp', 'recovery']] })
  const shown = await enrolApp(world)
  const [recoveryCode = ''] = await world.codes.makeRecoveryCodes(anna.id)
  const { flow } = await byCode(world, shown())
  await world.clock.advance(loginFlowMs - 1)
  const second = await world.login({ flow: flow!, recoveryCode, contextData: here })
  expect(second).toMatchObject({ missing: ['webauthn'], flow })
  await world.clock.advance(1)
  const assertion = { userId: anna.id, isUserVerified: true }
  expect((await world.login({ flow: flow!, webAuthnResponse: { flow: 'f', response: assertion }, contextData: here })).success).toBe(false)
})

test('biometric is the verified user of a passkey; without it a policy that asks for it is not met', async () => {
  const world = factorWorld({ policy: [['webauthn', 'biometric']] })
  const by = (userId: string, isUserVerified: boolean, named?: string) =>
    world.login({ userId: named, webAuthnResponse: { flow: 'f', response: { userId, isUserVerified } }, contextData: here })
  expect(await by(anna.id, false)).toMatchObject({ success: false, missing: ['biometric'] })
  expect((await by(anna.id, true)).success).toBe(true)
  // A passkey of somebody else under a name is no passkey.
  expect((await by(ben.id, true, 'anna')).success).toBe(false)
  expect((await world.login({ userId: 'anna', webAuthnResponse: { flow: 'f', response: undefined }, contextData: here })).success).toBe(false)
  expect(world.sessions).toHaveLength(1)
})

test('the context alone is no way in; a known device says more than a new one, failed tries say less', async () => {
  const world = factorWorld({ policy: [['totp', 'context']], threshold: 0.6 })
  const shown = await enrolApp(world)
  expect((await world.login({ userId: 'anna', contextData: here })).success).toBe(false)
  // Every failed attempt speaks against whoever comes next, for an hour.
  world.clock.jump(hourMs)
  const first = await byCode(world, shown())
  expect(first).toMatchObject({ success: true, deviceToken: expect.stringMatching(/^[\w-]{43}$/) as string })
  const { deviceToken } = first
  for (let tries = 0; tries < 4; tries++) await byCode(world, 'wrong!')
  world.clock.jump(minuteMs)
  expect(await byCode(world, shown())).toMatchObject({ success: false, missing: ['context'] })
  world.clock.jump(minuteMs)
  const known = await world.login({ userId: 'anna', totpCode: shown(), contextData: { isLoopback: true, deviceToken: deviceToken! } })
  expect(known).toMatchObject({ success: true, deviceToken: null })
  expect(known.factors.find(({ type }) => type === 'context')).toMatchObject({ confidence: 0.66, metadata: { device: 'known', failedTries: 4 } })
})

test('what is taken away is gone: an app, and everything of an account', async () => {
  const world = factorWorld({ policy: [['totp'], ['recovery']] })
  const shown = await enrolApp(world)
  const [code = ''] = await world.codes.makeRecoveryCodes(anna.id)
  expect([await world.codes.removeTotp(anna.id), await world.codes.removeTotp(anna.id)]).toEqual([true, false])
  expect((await byCode(world, shown())).success).toBe(false)
  await world.store.durable(world.codes.erase(anna.id))
  await world.codes.forget(anna.id)
  expect((await byRecovery(world, code)).success).toBe(false)
  expect(await world.codes.status(anna.id)).toEqual({ totpSince: undefined, recoveryMadeAt: undefined, recoveryCodesLeft: 0, devices: 0 })
})
