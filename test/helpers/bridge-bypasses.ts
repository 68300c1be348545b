/** One attempt of a guest to reach `target` although its policy says no. `{target}` and `{outside}` in texts are the ports of two servers on the loopback. */
export interface BypassCase {
  readonly name: string
  readonly url: unknown
  readonly init?: unknown
  /** What the resolver says of a name, one list a question, the last again and again. */
  readonly answers?: Readonly<Record<string, readonly (readonly string[])[]>>
  /** Over the policy of the world. */
  readonly policy?: Readonly<Record<string, unknown>>
  /** The policy names the very host of the URL, so that the addresses alone are what stands in the way. */
  readonly opens?: boolean
  /** ERR_POLICY_DENIED when missing. */
  readonly code?: string
}

const literals: Readonly<Record<string, string>> = {
  'the loopback address': '127.0.0.1',
  'a short IPv4 address': '127.1',
  'an IPv4 address with a hexadecimal part': '0x7f.1',
  'an IPv4 address in decimal': '2130706433',
  'an IPv4 address in octal': '017700000001',
  'an IPv4 address in hexadecimal': '0x7f000001',
  'octal parts': '0177.0.0.01',
  'an IPv4 address with a dot at its end': '127.0.0.1.',
  zero: '0',
  'the unspecified address': '0.0.0.0',
  'the end of the loopback network': '127.255.255.254',
  'full-width digits': '１２７.０.０.１',
  'ideographic full stops': '127。0。0。1',
  'circled digits': '①②⑦.⓪.⓪.①',
  'percent-encoded digits': '%31%32%37.0.0.1',
  'soft hyphens': '127.0.0.\u00ad1',
  'the loopback address of IPv6': '[::1]',
  'the loopback address of IPv6 at length': '[0:0:0:0:0:0:0:1]',
  'the unspecified address of IPv6': '[::]',
  'a mapped address, dotted': '[::ffff:127.0.0.1]',
  'a mapped address, in groups': '[::ffff:7f00:1]',
  'a mapped address at length': '[0000:0000:0000:0000:0000:ffff:7f00:0001]',
  'a compatible address': '[::127.0.0.1]',
  NAT64: '[64:ff9b::7f00:1]',
  'NAT64 of a local prefix': '[64:ff9b:1::7f00:1]',
  '6to4': '[2002:7f00:1::1]',
  Teredo: '[2001:0:4136:e378:8000:63bf:80ff:fffe]',
  ISATAP: '[2606:4700::5efe:7f00:1]',
  'ISATAP with the universal bit': '[2606:4700::200:5efe:7f00:1]',
  'a link-local address': '[fe80::1]',
  'a site-local address': '[fec0::1]',
  'a unique local address': '[fd12:3456::1]',
  'multicast of IPv6': '[ff02::1]',
  'documentation of IPv6': '[2001:db8::1]',
  'the metadata service': '169.254.169.254',
  'the metadata service in hexadecimal': '0xa9fea9fe',
  'the metadata service, mapped': '[::ffff:a9fe:a9fe]',
  'the metadata service of IPv6': '[fd00:ec2::254]',
  'a metadata service among shared addresses': '100.100.100.200',
  'a metadata service among protocol assignments': '192.0.0.192',
  'a metadata service at a public address': '168.63.129.16',
  'carrier-grade NAT': '100.64.0.1',
  benchmarking: '198.18.0.1',
  'a private network, 10/8': '10.0.0.1',
  'a private network, 172.16/12': '172.31.255.254',
  'a private network, 192.168/16': '192.168.0.1',
  multicast: '224.0.0.1',
  'a reserved address': '240.0.0.1',
  'the broadcast address': '255.255.255.255',
}

const literalCases = Object.entries(literals).map(([name, host]): BypassCase => ({ name, url: `http://${host}:{target}/`, opens: true }))

const nameCases: readonly BypassCase[] = [
  { name: 'localhost', url: 'http://localhost:{target}/', opens: true, answers: { localhost: [['127.0.0.1']] } },
  { name: 'localhost in capitals with a dot at its end', url: 'http://LOCALHOST.:{target}/', opens: true, answers: { localhost: [['::1']] } },
  { name: 'localhost in circled letters', url: 'http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{target}/', opens: true, answers: { localhost: [['127.0.0.1']] } },
  { name: 'a name below localhost', url: 'http://a.localhost:{target}/', opens: true, answers: { 'a.localhost': [['127.0.0.1']] } },
  { name: 'a name with two dots at its end', url: 'http://allowed.test..:{target}/' },
  { name: 'a zone id', url: 'http://[fe80::1%25lo]:{target}/', code: 'ERR_HOST_ARGUMENTS' },
  { name: 'a name that leads to the loopback', url: 'http://inside.wild.test:{target}/', answers: { 'inside.wild.test': [['127.0.0.1']] } },
  { name: 'a name that leads to the metadata service', url: 'http://inside.wild.test:{target}/', answers: { 'inside.wild.test': [['169.254.169.254']] } },
  { name: 'a private address after a public one', url: 'http://inside.wild.test:{target}/', answers: { 'inside.wild.test': [['1.1.1.1', '127.0.0.1']] } },
  { name: 'a private address before a public one', url: 'http://inside.wild.test:{target}/', answers: { 'inside.wild.test': [['127.0.0.1', '1.1.1.1']] } },
  {
    name: 'a private IPv6 address among public ones',
    url: 'http://inside.wild.test:{target}/',
    answers: { 'inside.wild.test': [['1.1.1.1', '2606:4700::1111', '::1']] },
  },
  { name: 'a mapped address as an answer', url: 'http://inside.wild.test:{target}/', answers: { 'inside.wild.test': [['::ffff:127.0.0.1']] } },
  { name: 'NAT64 as an answer', url: 'http://inside.wild.test:{target}/', answers: { 'inside.wild.test': [['64:ff9b::7f00:1']] } },
  { name: 'a zone in an answer', url: 'http://inside.wild.test:{target}/', answers: { 'inside.wild.test': [['fe80::1%lo']] } },
  { name: 'a name as an answer, as an alias would be', url: 'http://inside.wild.test:{target}/', answers: { 'inside.wild.test': [['localhost']] } },
  {
    name: 'more answers than anybody has',
    url: 'http://inside.wild.test:{target}/',
    answers: { 'inside.wild.test': [Array.from({ length: 65 }, () => '1.1.1.1')] },
  },
  { name: 'no answer', url: 'http://inside.wild.test:{target}/', answers: { 'inside.wild.test': [[]] }, code: 'ERR_NET_UNREACHABLE' },
  {
    name: 'an answer that changes after it was checked',
    url: 'http://inside.wild.test:{target}/',
    answers: { 'inside.wild.test': [['127.0.0.1'], ['1.1.1.1']] },
  },
  { name: 'an allowed name as the user of an address', url: 'http://allowed.test@127.0.0.1:{target}/', opens: true },
  { name: 'an allowed name and port as user and password', url: 'http://allowed.test:80@127.0.0.1:{target}/', opens: true },
  { name: 'a backslash before an allowed name', url: 'http://127.0.0.1:{target}\\@allowed.test/', opens: true },
  { name: 'a fragment before an allowed name', url: 'http://127.0.0.1:{target}#@allowed.test/', opens: true },
  { name: 'a query before an allowed name', url: 'http://127.0.0.1:{target}?@allowed.test/', opens: true },
  { name: 'backslashes for slashes', url: 'http:\\\\127.0.0.1:{target}\\', opens: true },
  { name: 'no slashes', url: 'http:127.0.0.1:{target}', opens: true },
  { name: 'line breaks and tabs in the host', url: 'http://12\n7.0.\t0.1:{target}/', opens: true },
  { name: 'spaces and control characters around', url: ' \u0001http://127.0.0.1:{target}/ ', opens: true },
]

const schemeCases: readonly BypassCase[] = [
  { name: 'a file', url: 'file:///etc/passwd' },
  { name: 'a file of a host', url: 'file://127.0.0.1:{target}/etc/passwd', code: 'ERR_HOST_ARGUMENTS' },
  { name: 'gopher', url: 'gopher://127.0.0.1:{target}/_GET%20/' },
  { name: 'ftp', url: 'ftp://127.0.0.1:{target}/' },
  { name: 'data', url: 'data:text/plain,inside' },
  { name: 'blob', url: 'blob:http://127.0.0.1:{target}/1' },
  { name: 'a web socket', url: 'ws://127.0.0.1:{target}/' },
  { name: 'javascript', url: 'javascript:1' },
  { name: 'a unix socket', url: 'http+unix://%2Frun%2Fdocker.sock/info' },
  { name: 'dict', url: 'dict://127.0.0.1:{target}/info' },
]

const redirect = (to: string, status = 302): string => `http://allowed.test:{outside}/redirect?status=${status}&to=${encodeURIComponent(to)}`
// Ports stand as they are in the query: the braces are filled in afterwards.
const to = (target: string, status?: number): string => redirect(target, status).replaceAll('%7Btarget%7D', '{target}').replaceAll('%7Boutside%7D', '{outside}')

const redirectCases: readonly BypassCase[] = [
  { name: 'a redirect to the loopback', url: to('http://127.0.0.1:{target}/') },
  { name: 'a redirect to an address that the policy names', url: to('http://127.0.0.1:{target}/'), policy: { allowedDomains: ['127.0.0.1'] } },
  { name: 'a permanent redirect that keeps the body', url: to('http://127.0.0.1:{target}/', 308), init: { method: 'POST', body: 'x' } },
  { name: 'a redirect without a scheme', url: to('//127.0.0.1:{target}/') },
  { name: 'a redirect to a name that leads inside', url: to('http://inside.wild.test:{target}/'), answers: { 'inside.wild.test': [['127.0.0.1']] } },
  { name: 'a redirect to a mapped address', url: to('http://[::ffff:127.0.0.1]:{target}/') },
  { name: 'a redirect after a redirect', url: to(to('http://127.0.0.1:{target}/')) },
  { name: 'a redirect with a user', url: to('http://allowed.test@127.0.0.1:{target}/') },
  { name: 'a redirect to a file', url: to('file:///etc/passwd') },
  { name: 'a redirect to data', url: to('data:text/plain,inside') },
  { name: 'a redirect to another port', url: to('http://allowed.test:{target}/'), policy: { allowedPorts: [443] } },
  { name: 'a redirect to a blocked name', url: to('http://blocked.wild.test:{target}/'), policy: { blockedDomains: ['blocked.wild.test'] } },
  { name: 'a redirect to a name that is not allowed', url: to('http://other.test:{target}/'), answers: { 'other.test': [['1.1.1.1']] } },
  { name: 'redirects without end', url: 'http://allowed.test:{outside}/loop', code: 'ERR_HOST_FAILED' },
  { name: 'a redirect to nothing', url: to('http://'), code: 'ERR_HOST_ARGUMENTS' },
  { name: 'a redirect from TLS to none', url: 'https://allowed.test:{tls}/plain', policy: { requireTLS: true } },
]

const policyCases: readonly BypassCase[] = [
  { name: 'no connection outward allowed', url: 'http://allowed.test:{outside}/', policy: { allowOutbound: false } },
  { name: 'a name that is not allowed', url: 'http://other.test:{target}/', answers: { 'other.test': [['1.1.1.1']] } },
  { name: 'the suffix itself', url: 'http://wild.test:{target}/', answers: { 'wild.test': [['1.1.1.1']] } },
  { name: 'the suffix after a letter', url: 'http://evilwild.test:{target}/', answers: { 'evilwild.test': [['1.1.1.1']] } },
  { name: 'the suffix in the middle', url: 'http://a.wild.test.evil.test:{target}/', answers: { 'a.wild.test.evil.test': [['1.1.1.1']] } },
  { name: 'a dot before the suffix', url: 'http://.wild.test:{target}/', answers: { '.wild.test': [['1.1.1.1']] } },
  { name: 'a letter that looks like one of the name', url: 'http://аllowed.test:{target}/', answers: { 'xn--llowed-zhf.test': [['1.1.1.1']] } },
  { name: 'a blocked name that is allowed too', url: 'http://allowed.test:{outside}/', policy: { blockedDomains: ['allowed.test'] } },
  { name: 'a blocked name in capitals with a dot', url: 'http://ALLOWED.test.:{outside}/', policy: { blockedDomains: ['allowed.test'] } },
  { name: 'a name below a blocked one', url: 'http://a.b.wild.test:{target}/', policy: { blockedDomains: ['b.wild.test'] } },
  { name: 'a name below a blocked pattern', url: 'http://a.b.wild.test:{target}/', policy: { blockedDomains: ['*.b.wild.test'] } },
  {
    name: 'a name that leads to a blocked address',
    url: 'http://a.wild.test:{target}/',
    policy: { blockedDomains: ['1.1.1.1'] },
    answers: { 'a.wild.test': [['1.1.1.1']] },
  },
  {
    name: 'a name that leads to a blocked address, mapped',
    url: 'http://a.wild.test:{target}/',
    policy: { blockedDomains: ['1.1.1.1'] },
    answers: { 'a.wild.test': [['::ffff:101:101']] },
  },
  { name: 'a port that is not allowed', url: 'http://a.wild.test:{target}/', policy: { allowedPorts: [443] } },
  { name: 'no port at all allowed', url: 'http://a.wild.test/', policy: { allowedPorts: [] } },
  { name: 'no TLS where it is required', url: 'http://a.wild.test:{target}/', policy: { requireTLS: true } },
  {
    name: 'another port of a private host that is allowed',
    url: 'http://127.0.0.1:{target}/',
    policy: { allowedPrivate: ['127.0.0.1:{outside}'] },
    opens: true,
  },
  {
    name: 'a name that leads to a private host that is allowed by another name',
    url: 'http://a.wild.test:{outside}/',
    answers: { 'a.wild.test': [['127.0.0.1']] },
  },
  {
    name: 'the metadata service behind a name allowed as private',
    url: 'http://allowed.test:{outside}/',
    answers: { 'allowed.test': [['169.254.169.254']] },
  },
]

const messageCases: readonly BypassCase[] = [
  { name: 'the header Host', url: 'http://allowed.test:{outside}/', init: { headers: { Host: '127.0.0.1' } } },
  {
    name: 'the header Transfer-Encoding',
    url: 'http://allowed.test:{outside}/',
    init: { method: 'POST', headers: { 'transfer-encoding': 'chunked' }, body: '0\r\n\r\n' },
  },
  { name: 'the header Content-Length', url: 'http://allowed.test:{outside}/', init: { method: 'POST', headers: { 'Content-Length': '1' }, body: 'xGET /' } },
  { name: 'the header Connection', url: 'http://allowed.test:{outside}/', init: { headers: { connection: 'upgrade', upgrade: 'h2c' } } },
  { name: 'the header Proxy-Authorization', url: 'http://allowed.test:{outside}/', init: { headers: { 'Proxy-Authorization': 'x' } } },
  { name: 'the header X-Forwarded-For', url: 'http://allowed.test:{outside}/', init: { headers: { 'x-forwarded-for': '127.0.0.1' } } },
  {
    name: 'a line break in a value',
    url: 'http://allowed.test:{outside}/',
    init: { headers: { a: 'b\r\nHost: 127.0.0.1' } },
    code: 'ERR_HOST_ARGUMENTS',
  },
  { name: 'a line break in a name', url: 'http://allowed.test:{outside}/', init: { headers: { 'a\r\nHost': 'b' } }, code: 'ERR_HOST_ARGUMENTS' },
  { name: 'a name given twice', url: 'http://allowed.test:{outside}/', init: { headers: { a: 'b', A: 'c' } }, code: 'ERR_HOST_ARGUMENTS' },
  { name: 'the method CONNECT', url: 'http://allowed.test:{outside}/', init: { method: 'CONNECT' } },
  { name: 'the method TRACE', url: 'http://allowed.test:{outside}/', init: { method: 'trace' } },
  { name: 'a request line in the method', url: 'http://allowed.test:{outside}/', init: { method: 'GET / HTTP/' } },
  {
    name: 'an unknown option',
    url: 'http://allowed.test:{outside}/',
    init: { dispatcher: {}, proxy: 'http://127.0.0.1:{target}' },
    code: 'ERR_HOST_ARGUMENTS',
  },
  { name: 'a list for a URL', url: ['http://127.0.0.1:{target}/'], code: 'ERR_HOST_ARGUMENTS' },
  { name: 'an object for a URL', url: { href: 'http://127.0.0.1:{target}/' }, code: 'ERR_HOST_ARGUMENTS' },
  { name: 'a relative URL', url: '//127.0.0.1:{target}/', code: 'ERR_HOST_ARGUMENTS' },
  { name: 'a URL of 10,000 characters', url: `http://allowed.test:{outside}/${'x'.repeat(10_000)}`, code: 'ERR_HOST_ARGUMENTS' },
]

/** At least 100, each a way of its own. */
export const bypassCases: readonly BypassCase[] = [...literalCases, ...nameCases, ...schemeCases, ...redirectCases, ...policyCases, ...messageCases]

/** Those that a fetch without a guard gets through with: the case list is worth something only if there are some. */
export const unguardedCases = (): readonly BypassCase[] => [...literalCases, ...nameCases.filter(({ opens }) => opens === true)]
