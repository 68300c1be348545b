import { createHash, verify } from 'node:crypto'
import { createAuthenticator } from '../../../test/helpers/authenticator.ts'
import { enrol, openPeople, origin } from '../../../test/helpers/people.ts'
import { alternate, type Bench, row, type Row, usPerCall } from '../harness.ts'

const perSecond = (us: number): number => 1_000_000 / us

/** What every call of a session costs, and a login by passkey without the disk. */
export async function* auth(bench: Bench): AsyncIterable<Row> {
  const world = await openPeople()
  const device = createAuthenticator({ origin })
  const { session } = await enrol(world, 'Ada', 'owner', device)
  const check = await alternate(bench.rounds(9), {
    session: () => perSecond(usPerCall(bench.calls * 10, () => world.auth.session(session.token))),
    sha256: () => perSecond(usPerCall(bench.calls * 10, () => createHash('sha256').update(session.token).digest())),
  })
  yield row({
    id: 'auth-session',
    what: 'find the live session of a token',
    unit: 'checks/s',
    figures: check.session,
    against: 'SHA-256 of the token',
    others: check.sha256,
  })

  const [passkey] = device.passkeys
  if (passkey === undefined) throw new Error('no passkey was made')
  const loginsPerSecond = async (): Promise<number> => {
    const begun = Array.from({ length: bench.calls }, () => world.auth.beginLogin()).map(({ flow, options }) => ({ flow, response: device.get(options) }))
    const start = performance.now()
    for (const answer of begun) await world.auth.finishLogin(answer)
    return (begun.length * 1_000) / (performance.now() - start)
  }
  const answer = device.get(world.auth.beginLogin().options)
  const part = (name: string): Buffer => Buffer.from(String(answer.response[name]), 'base64url')
  const clientDataHash = createHash('sha256').update(part('clientDataJSON')).digest()
  const [signed, signature] = [Buffer.concat([part('authenticatorData'), clientDataHash]), part('signature')]
  const login = await alternate(bench.rounds(7), {
    login: loginsPerSecond,
    signature: () => perSecond(usPerCall(bench.calls * 10, () => verify('sha256', signed, passkey.publicKey, signature))),
  })
  yield row({
    id: 'auth-login',
    what: 'end a login by passkey, ECDSA over P-256, store in memory',
    unit: 'logins/s',
    figures: login.login,
    against: 'the signature verified bare, its key at hand',
    others: login.signature,
  })
  world.auth.stop()
}
