import { type Clock, createTally, dayMs, MeshError, minuteMs, secondMs } from '../../base/index.ts'
import { type Hello, klpVersion, type Terms, type Want } from './frames.ts'

/** A side says hello again on an open link no sooner than this after the last time. Source: klp/v1 section 7. */
export const helloPauseMsMin = 10 * secondMs
/** Terms are negotiated again when they end, but no sooner and no later than this, whatever the peer's clock says. Source: klp/v1 section 7. */
export const termsLifeMsMin = minuteMs
export const termsLifeMsMax = dayMs
/** More in one minute end the link: what was paced when sent may come in a bunch. Source: klp/v1 section 7. */
export const hellosPerMinuteMax = 10

/** @throws ERR_PROTOCOL */
export function checkVersion({ versions }: Hello): void {
  if (!versions.includes(klpVersion)) throw new MeshError('ERR_PROTOCOL', `no common version; the peer speaks ${versions.join(', ')}`)
}

/** Ends what cannot go on: a required want that is denied or not answered at all. @throws ERR_CAPABILITY_DENIED Source: klp/v1 section 7 */
export function checkTerms(wants: readonly Want[], { answers }: Terms): void {
  for (const { name, need } of wants) {
    if (need !== 'required') continue
    const given = answers.find((answer) => answer.name === name)
    if (given === undefined) throw new MeshError('ERR_CAPABILITY_DENIED', `the peer did not answer whether it offers ${name}`)
    if (given.answer === 'denied') {
      const hint = given.alternative === '' ? {} : { hint: `the peer offers ${given.alternative} instead` }
      throw new MeshError('ERR_CAPABILITY_DENIED', `${name}: ${given.reason}`, hint)
    }
  }
}

export interface AgreementOptions {
  readonly clock: Clock
  readonly theirs: { readonly hello: Hello; readonly terms: Terms }
  readonly wants: readonly Want[]
  /** Our hello as it would be said now. */
  hello(): Promise<Hello>
  judge(hello: Hello): Promise<Terms>
  send(frame: ({ readonly frame: 0 } & Hello) | ({ readonly frame: 1 } & Terms)): Promise<void>
  /** Ends the link. */
  fail(error: unknown): void
  readonly answerTimeoutMs: number
}

/** What two sides of an open link agreed on, kept fresh: terms that end are negotiated again, news are told by another hello. */
export interface Agreement {
  readonly hello: Hello
  readonly terms: Terms
  /** When the newest hello of the peer came, monotonic ms. */
  readonly heardAt: number
  /** A later hello of the peer: answered with terms. @throws ERR_PROTOCOL when they come too often */
  takeHello(hello: Hello): void
  /** A later answer to ours. @throws ERR_PROTOCOL when none is due, ERR_CAPABILITY_DENIED */
  takeTerms(terms: Terms): void
  /** Says hello anew, at once or as soon as it may. */
  renew(): void
  stop(): void
}

export function createAgreement({ clock, theirs, wants: firstWants, hello, judge, send, fail, answerTimeoutMs }: AgreementOptions): Agreement {
  let theirHello = theirs.hello
  let terms = theirs.terms
  let heardAt = clock.monotonic()
  let saidAt = clock.monotonic()
  let wants = firstWants
  let isAwaiting = false
  let isAgain = false
  let isStopped = false
  let cancelTurn = (): void => undefined
  let cancelEnd = (): void => undefined
  const hellos = createTally<'all'>({ clock, most: hellosPerMinuteMax, windowMs: minuteMs })

  function waitForEnd(): void {
    cancelEnd()
    cancelEnd = clock.after(Math.min(Math.max(terms.validUntil - clock.now(), termsLifeMsMin), termsLifeMsMax), renew)
  }
  function renew(): void {
    if (isStopped) return
    if (isAwaiting) {
      isAgain = true
      return
    }
    isAwaiting = true
    const left = saidAt + helloPauseMsMin - clock.monotonic()
    if (left <= 0) say().catch(fail)
    else cancelTurn = clock.after(left, () => void say().catch(fail))
  }
  async function say(): Promise<void> {
    const own = await hello()
    if (isStopped) return
    wants = own.wants
    saidAt = clock.monotonic()
    cancelTurn = clock.after(answerTimeoutMs, () => fail(new MeshError('ERR_TIMEOUT', 'the terms were not renewed in time')))
    // What was shown once need not be shown again.
    await send({ frame: 0, ...own, evidence: [] })
  }
  waitForEnd()
  return {
    get hello() {
      return theirHello
    },
    get terms() {
      return terms
    },
    get heardAt() {
      return heardAt
    },
    takeHello(again) {
      if (!hellos.count('all')) throw new MeshError('ERR_PROTOCOL', 'hello again too often')
      checkVersion(again)
      heardAt = clock.monotonic()
      judge(again)
        .then(async (answer) => {
          // The credit of a link is that of its first hello.
          theirHello = { ...again, credit: theirHello.credit }
          if (!isStopped) await send({ frame: 1, ...answer })
        })
        .catch(fail)
    },
    takeTerms(again) {
      if (!isAwaiting) throw new MeshError('ERR_PROTOCOL', 'terms that answer no hello')
      cancelTurn()
      isAwaiting = false
      checkTerms(wants, again)
      terms = again
      waitForEnd()
      if (isAgain) {
        isAgain = false
        renew()
      }
    },
    renew,
    stop() {
      isStopped = true
      cancelTurn()
      cancelEnd()
    },
  }
}
