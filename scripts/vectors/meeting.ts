import { keyFromDid } from '../../src/base/index.ts'
import { meetProviderKey } from '../../src/node/meet-provider-key.ts'
import { encode, type Plain } from '../../src/wire/index.ts'
import { anna, ben, type Vector, type Vectors } from './world.ts'

/** Frames of `/kindmesh/att-meet/1.0.0`, and the keys of its providers. */
export function meetingVectors(): Vectors {
  const statement = new Uint8Array(300).fill(7)
  const frame = (comment: string, spec: string, expect: string, of: string, plain: Plain): Vector => ({
    comment,
    spec,
    expect,
    kind: 'meet-frame',
    of,
    frame: encode(plain),
    ...(expect === 'ok' ? { list: plain } : {}),
  })
  const subject = keyFromDid(ben.did)
  const items = (count: number): Plain => Array.from({ length: count }, () => ['attestation', statement])
  return {
    'meet-put': frame('two statements are left', '5.30.1', 'ok', 'put', [
      'put',
      [
        ['attestation', statement],
        ['revocation', statement],
      ],
    ]),
    'meet-put-17': frame('a statement too many', '5.30.1', 'ERR_WIRE_MALFORMED', 'put', ['put', items(17)]),
    'meet-put-head': frame('a head has no place there', '5.30.1', 'ERR_WIRE_MALFORMED', 'put', ['put', [['head', statement]]]),
    'meet-put-large': frame('a statement of 1,281 bytes', '5.30.1', 'ERR_WIRE_MALFORMED', 'put', ['put', [['attestation', new Uint8Array(1_281)]]]),
    'meet-put-answer': frame('what became of five', '5.30.1', 'ok', 'put-answer', ['kept', 'known', 'invalid', 'full', 'busy']),
    'meet-put-answer-other': frame('an outcome there is not', '5.30.1', 'ERR_WIRE_MALFORMED', 'put-answer', ['lost']),
    'meet-list': frame('what is said about ben', '5.30.1', 'ok', 'list', ['list', subject]),
    'meet-list-short-key': frame('a key of 31 bytes', '5.30.1', 'ERR_WIRE_MALFORMED', 'list', ['list', subject.subarray(1)]),
    'meet-list-answer': frame('one statement', '5.30.1', 'ok', 'list-answer', [['attestation', statement]]),
    'meet-list-answer-65': frame('a statement too many', '5.30.1', 'ERR_WIRE_MALFORMED', 'list-answer', items(65)),
    'meet-provider-key': {
      comment: 'who can serve what issuers of bucket 2 say about anna',
      spec: '5.30.8',
      expect: 'ok',
      kind: 'meet-provider-key',
      subject: anna.publicKey,
      bucket: 2,
      key: meetProviderKey(anna.did, 2),
    },
  }
}
