import { base64, utf8 } from '../../src/base/index.ts'
import { signedJsonInput } from '../../src/identity/signed-json.ts'
import { kindDidFromDid } from '../../src/identity/index.ts'
import { anna, ben, flipped, type Vector, type Vectors } from './world.ts'

/** Bits of a double and how ECMAScript writes it. Source: RFC 8785 appendix B. */
const numbers: readonly (readonly [bits: string, text: string])[] = [
  ['0000000000000000', '0'],
  ['8000000000000000', '0'],
  ['0000000000000001', '5e-324'],
  ['8000000000000001', '-5e-324'],
  ['7fefffffffffffff', '1.7976931348623157e+308'],
  ['ffefffffffffffff', '-1.7976931348623157e+308'],
  ['4340000000000000', '9007199254740992'],
  ['c340000000000000', '-9007199254740992'],
  ['4430000000000000', '295147905179352830000'],
  ['44b52d02c7e14af5', '9.999999999999997e+22'],
  ['44b52d02c7e14af6', '1e+23'],
  ['44b52d02c7e14af7', '1.0000000000000001e+23'],
  ['444b1ae4d6e2ef4e', '999999999999999700000'],
  ['444b1ae4d6e2ef4f', '999999999999999900000'],
  ['444b1ae4d6e2ef50', '1e+21'],
  ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
  ['3eb0c6f7a0b5ed8d', '0.000001'],
  ['41b3de4355555553', '333333333.3333332'],
  ['41b3de4355555554', '333333333.33333325'],
  ['41b3de4355555555', '333333333.3333333'],
  ['41b3de4355555556', '333333333.3333334'],
  ['41b3de4355555557', '333333333.33333343'],
  ['becbf647612f3696', '-0.0000033333333333333333'],
  ['43143ff3c1cb0959', '1424953923781206.2'],
]

const jcs = (comment: string, text: string, canonical: string, spec = '1'): Vector => ({
  comment,
  spec,
  expect: 'ok',
  kind: 'jcs',
  text,
  canonical: utf8(canonical),
})
const refused = (comment: string, text: string, spec = '1.2', expect = 'ERR_JSON_INVALID'): Vector => ({ comment, spec, expect, kind: 'jcs', text })

const rfcSample = String.raw`{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}`
const rfcSorting = String.raw`{
  "\u20ac": "Euro Sign",
  "\r": "Carriage Return",
  "\ufb33": "Hebrew Letter Dalet With Dagesh",
  "1": "One",
  "\ud83d\ude00": "Emoji: Grinning Face",
  "\u0080": "Control",
  "\u00f6": "Latin Small Letter O With Diaeresis"
}`

export function signedJsonVectors(): Vectors {
  const sign = (message: unknown, audience: string): string => base64(anna.sign(signedJsonInput(message, audience)))
  const text = '{"id":1,"payload":{"cmd":"rm","args":["-r",{"path":"/tmp/x"}]},"at":-0,"note":"\u20ac"}'
  const signature = sign(JSON.parse(text), ben.did)
  const good: Vector = {
    comment: 'a nested message for ben',
    spec: '2',
    expect: 'ok',
    kind: 'signed-json',
    text,
    audience: ben.did,
    publicKey: base64(anna.publicKey),
    signature,
    input: signedJsonInput(JSON.parse(text), ben.did),
  }
  const bad = (comment: string, spec: string, change: object): Vector => {
    const { input: _input, ...rest } = good
    return { ...rest, comment, spec, expect: 'bad', ...change }
  }
  const document = { schema: 'kindmesh.signed-json/1', did: kindDidFromDid(anna.did), audience: ben.did, message: JSON.parse(text) as unknown, signature }
  const documented = (comment: string, spec: string, expect: string, change: object): Vector => ({
    comment,
    spec,
    expect,
    kind: 'signed-document',
    text: JSON.stringify({ ...document, ...change }),
  })
  return {
    ...Object.fromEntries(
      numbers.map(([bits, written]) => [`number-${bits}`, { comment: `the double ${bits}`, spec: '1', expect: 'ok', kind: 'jcs-number', bits, written }]),
    ),
    'jcs-rfc-sample': jcs(
      'RFC 8785 section 3.2.2',
      rfcSample,
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    ),
    'jcs-rfc-sorting': jcs(
      'RFC 8785 section 3.2.3: names by UTF-16 units, so an emoji before the Hebrew letter',
      rfcSorting,
      '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis","\u20ac":"Euro Sign","\ud83d\ude00":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    ),
    'jcs-structures': jcs(
      'objects in arrays in objects, each sorted',
      '{"1":{"f":{"f":"hi","F":5},"\\n":56.0},"10":{},"":"empty","a":{},"111":[{"e":"yes","E":"no"}],"A":{}}',
      '{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}',
      '1.4',
    ),
    'jcs-unnormalized': jcs('a letter and its accent stay two', '{"x":"A\\u030a"}', '{"x":"A\u030a"}'),
    'jcs-minus-zero': jcs('minus zero is zero', '[-0, 0.0, -0e5]', '[0,0,0]'),
    'jcs-scalar': jcs('a message need not be an object', '"\\u2028"', '"\u2028"'),
    'jcs-proto': jcs('a name like any other', '{"z":1,"__proto__":{"a":1}}', '{"__proto__":{"a":1},"z":1}'),
    'jcs-exact': jcs(
      'whole numbers that a double holds, and one written as its canonical text',
      '[9007199254740992,295147905179352830000]',
      '[9007199254740992,295147905179352830000]',
      '1.2',
    ),
    'jcs-name-twice': refused('one name twice', '{"to":"ben","to":"cleo"}'),
    'jcs-name-twice-escaped': refused('one name twice, spelled in two ways', '{"a":1,"b":{"to":1,"\\u0074o":2}}'),
    'jcs-rounded': refused('a whole number between two doubles', '[9007199254740993]'),
    'jcs-infinite': refused('beyond every double', '1e400'),
    'jcs-vanishing': refused('smaller than every double', '[1e-400]'),
    'jcs-lone-surrogate': refused('half of a surrogate pair', '["\\ud800"]', '1.1'),
    'jcs-lone-surrogate-name': refused('half of a surrogate pair as a name', '{"\\udfff":1}', '1.1'),
    'jcs-deep': refused('65 levels', `${'['.repeat(65)}${']'.repeat(65)}`, '1.3'),
    'jcs-no-json': refused('a comma too many', '[1,]', '1.2'),
    signed: good,
    'signed-reordered': {
      ...good,
      comment: 'the same data, its names in another order',
      text: '{"payload":{"args":["-r",{"path":"/tmp/x"}],"cmd":"rm"},"note":"\\u20ac","id":1.0,"at":0}',
    },
    'signed-did': { ...good, comment: 'the key as a kind DID', spec: '3.1', publicKey: kindDidFromDid(anna.did) },
    'signed-nested-change': bad('one nested value changed', '1.4', { text: text.replace('/tmp/x', '/tmp/y') }),
    'signed-nested-missing': bad('what a filter of top-level names would have signed', '1.4', { text: '{"id":1,"payload":{},"at":0,"note":"\u20ac"}' }),
    'signed-other-audience': bad('for somebody else', '2.1', { audience: anna.did }),
    'signed-no-audience': bad('for nobody in particular', '2.1', { audience: '' }),
    'signed-other-key': bad('the key of somebody else', '3.1', { publicKey: base64(ben.publicKey) }),
    'signed-flipped': bad('one bit of the signature turned', '3.1', { signature: base64(flipped(anna.sign(signedJsonInput(JSON.parse(text), ben.did)), 0)) }),
    'signed-bare': bad('a signature of the canonical text alone, without domain and audience', '2.1', {
      audience: '',
      signature: base64(anna.sign(utf8('{"a":1}'))),
      text: '{"a":1}',
    }),
    'signed-loose-base64': bad('a signature in base64 with a line end', '3.3', { signature: `${signature}\n` }),
    document: documented('what `kindmesh sign` prints', '4', 'ok', { agentId: 'anna', didKey: anna.did, publicKey: base64(anna.publicKey) }),
    'document-plain': documented('without the other names', '4', 'ok', {}),
    'document-two-keys': documented('another key beside that of the signer', '4.1', 'bad', { publicKey: base64(ben.publicKey) }),
    'document-other-audience': documented('an audience that was not signed', '2.1', 'bad', { audience: '' }),
    'document-other-schema': documented('another schema', '4', 'ERR_JSON_INVALID', { schema: 'kindmesh.signed-json/2' }),
  }
}
