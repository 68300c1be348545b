#!/usr/bin/python3
"""A second, independent reader of protocols/*/v1/vectors/*.json.

Shares no code with the node: Python's standard library, python3-cryptography (Ed25519, X25519, AES-GCM,
ChaCha20-Poly1305) and python3-cbor2; ML-KEM-768, X-Wing, HPKE, base58, the CBOR profile and RFC 6962 are
written here from their specifications. Argon2id is taken from the vector: the standard library has none.
Ends with one line `N passed, N failed`.
"""
import base64
import functools
import glob
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import unicodedata

import cbor2
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MINUTE, DAY = 60_000, 86_400_000
NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z, the instant of all vectors


class Refused(Exception):
    """What a reader says no with: the code of the error table."""


def sha256(data):
    return hashlib.sha256(data).digest()


# --- CBOR, klp/v1 section 2 -------------------------------------------------------------------------------------


def check_cbor(data):
    """Exactly one item of the profile; raises Refused('ERR_WIRE_MALFORMED')."""
    bad = Refused('ERR_WIRE_MALFORMED')
    count = 0

    def head(at):
        if at >= len(data):
            raise bad
        major, minor = data[at] >> 5, data[at] & 31
        if minor < 24:
            return major, minor, at + 1
        if minor > 27:
            raise bad
        width = 1 << (minor - 24)
        raw = data[at + 1 : at + 1 + width]
        if len(raw) != width:
            raise bad
        value = int.from_bytes(raw, 'big')
        if value < (24 if width == 1 else 1 << (8 * width // 2)):
            raise bad
        return major, value, at + 1 + width

    def item(at, depth):
        nonlocal count
        count += 1
        if count > 4096:
            raise bad
        if at < len(data) and data[at] >> 5 == 7:
            if data[at] & 31 not in (20, 21, 22):
                raise bad
            return at + 1
        major, value, at = head(at)
        if major in (0, 1):
            if value > 2**53 - 1 - (major == 1):
                raise bad
            return at
        if value > len(data) - at and major in (2, 3, 4, 5):
            raise bad
        if major in (2, 3):
            if major == 3:
                try:
                    data[at : at + value].decode('utf-8')
                except UnicodeDecodeError:
                    raise bad
            return at + value
        if major not in (4, 5) or depth >= 16:
            raise bad
        previous = b''
        for _ in range(value):
            if major == 5:
                if at >= len(data) or data[at] >> 5 != 3:
                    raise bad
                end = item(at, depth + 1)
                key = data[at:end]
                if key <= previous or key[1:] == b'__proto__':
                    raise bad
                previous, at = key, end
            at = item(at, depth + 1)
        return at

    if item(0, 0) != len(data):
        raise bad


def cbor(data):
    check_cbor(data)
    return cbor2.loads(data)


# --- Ed25519 profile, identity/v1 ---------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point(raw):
    """The affine point of a canonical encoding, or None."""
    y = int.from_bytes(raw, 'little')
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or (x == 0 and sign):
        return None
    return (P - x if x & 1 != sign else x, y)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    return (
        (x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P) % P,
    )


def times(k, a):
    out = (0, 1)
    while k:
        if k & 1:
            out = add(out, a)
        a, k = add(a, a), k >> 1
    return out


@functools.lru_cache(maxsize=None)
def is_identity_key(key):
    """In the prime-order group, and not its neutral element."""
    at = point(key)
    return len(key) == 32 and at is not None and at != (0, 1) and times(L, at) == (0, 1)


def verify(key, message, signature):
    if len(signature) != 64 or int.from_bytes(signature[32:], 'little') >= L:
        return False
    for raw in (key, signature[:32]):
        at = point(raw)
        if at is None or times(8, at) == (0, 1):
            return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except InvalidSignature:
        return False


# --- spellings ---------------------------------------------------------------------------------------------------

ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'


def base58(data):
    number, text = int.from_bytes(data, 'big'), ''
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return '1' * (len(data) - len(data.lstrip(b'\0'))) + text


def unbase58(text):
    number = 0
    for letter in text:
        if letter not in ALPHABET:
            raise Refused('ERR_IDENTITY_INVALID')
        number = number * 58 + ALPHABET.index(letter)
    zeros = len(text) - len(text.lstrip('1'))
    return b'\0' * zeros + number.to_bytes((number.bit_length() + 7) // 8, 'big')


PEER = bytes.fromhex('002408011220')


def spellings(key):
    return (
        'did:key:z' + base58(b'\xed\x01' + key),
        base58(PEER + key),
        'kind:agent:' + base64.b64encode(key).decode() + '#ed25519',
    )


def key_of(text):
    """The key of exactly one of the three spellings: what it decodes to must encode to the same text."""
    key = b''
    if text.startswith('did:key:z'):
        key = unbase58(text[9:])[2:]
    elif text.startswith('kind:agent:') and text.endswith('#ed25519'):
        body = text[len('kind:agent:') : -len('#ed25519')]
        if re.fullmatch('[A-Za-z0-9+/=_-]*', body):
            key = base64.b64decode(body.rstrip('=') + '=' * (-len(body.rstrip('=')) % 4), b'-_' if '-' in body or '_' in body else None)
    elif re.fullmatch('[%s]+' % ALPHABET, text):
        key = unbase58(text)[len(PEER) :]
    loose = 'kind:agent:' + base64.urlsafe_b64encode(key).decode().rstrip('=') + '#ed25519'
    if len(key) != 32 or text not in (*spellings(key), loose) or not is_identity_key(key):
        raise Refused('ERR_IDENTITY_INVALID')
    return key


# --- shapes, schema.cddl ----------------------------------------------------------------------------------------------

# A shape is a predicate; `listing` is a list of fixed fields, `many` one of equal items.


def exactly(value):
    return lambda item: type(item) is type(value) and item == value


def among(*values):
    return lambda item: isinstance(item, str) and item in values


def integer(low, high):
    return lambda item: type(item) is int and low <= item <= high


def octets(low, high=None):
    return lambda item: isinstance(item, bytes) and low <= len(item) <= (low if high is None else high)


def text(most):
    return lambda item: isinstance(item, str) and len(item.encode('utf-16-le')) <= 2 * most


def many(shape, most):
    return lambda item: isinstance(item, list) and len(item) <= most and all(map(shape, item))


def listing(*shapes):
    return lambda item: isinstance(item, list) and len(item) == len(shapes) and all(shape(field) for shape, field in zip(shapes, item))


def nullable(shape):
    return lambda item: item is None or shape(item)


def boolean(item):
    return isinstance(item, bool)


COUNT = integer(0, 2**53 - 1)
INSTANT, KEY, HASH = COUNT, octets(32), octets(32)


def shaped(shape, value):
    if not shape(value):
        raise Refused('ERR_WIRE_MALFORMED')
    return value


# --- statements, klp/v1 section 1 -----------------------------------------------------------------------------------

PAYLOAD = 64 * 1024
TASK_PAYLOAD = 576 * 1024
STATEMENT = listing(exactly(1), KEY, KEY, octets(16), INSTANT, INSTANT, text(64), many(HASH, 8), many(HASH, 8), octets(0, TASK_PAYLOAD))


def statement_of(kind, data):
    """A signed statement as it stands, its signature not looked at."""
    envelope = cbor(data)
    name = 'klp/%s@1' % kind
    if not (isinstance(envelope, list) and len(envelope) == 2 and isinstance(envelope[1], dict) and set(envelope[1]) == {'h', name} and exactly(1)(envelope[1]['h'])):
        raise Refused('ERR_WIRE_MALFORMED')
    signature, body = shaped(octets(64), envelope[0]), shaped(octets(0, TASK_PAYLOAD + 1024), envelope[1][name])
    fields = shaped(STATEMENT, cbor(body))
    if len(fields[9]) > (TASK_PAYLOAD if kind == 'task' else PAYLOAD):
        raise Refused('ERR_WIRE_TOO_LARGE')
    names = ('version', 'from', 'to', 'id', 'iat', 'exp', 'type', 'refs', 'caps', 'payload')
    return dict(zip(names, fields), hash=sha256(body), signature=signature)


def open_statement(kind, data, now, lifetime):
    s = statement_of(kind, data)
    if not is_identity_key(s['from']) or not verify(s['from'], b'klp/1/' + kind.encode() + b'\0' + s['hash'], s['signature']):
        raise Refused('ERR_STATEMENT_SIGNATURE')
    iat, exp = s['iat'], s['exp']
    if iat > now + 2 * MINUTE:
        raise Refused('ERR_STATEMENT_FUTURE')
    if exp <= iat or exp - iat > lifetime:
        raise Refused('ERR_STATEMENT_LIFETIME')
    if exp + 2 * MINUTE < now:
        raise Refused('ERR_STATEMENT_EXPIRED')
    return s


# --- ML-KEM-768, FIPS 203 -------------------------------------------------------------------------------------------

Q, N, K, ETA, DU, DV = 3329, 256, 3, 2, 10, 4


def bit_reverse(value):
    return int('{:07b}'.format(value)[::-1], 2)


ZETA = [pow(17, bit_reverse(i), Q) for i in range(128)]
GAMMA = [pow(17, 2 * bit_reverse(i) + 1, Q) for i in range(128)]


def ntt(f):
    f, i, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            zeta, i = ZETA[i], i + 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
        length //= 2
    return f


def inverse_ntt(f):
    f, i, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            zeta, i = ZETA[i], i - 1
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, zeta * (f[j + length] - t) % Q
        length *= 2
    return [x * 3303 % Q for x in f]


def multiply(f, g):
    out = []
    for i in range(128):
        a, b, c, d = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        out += [(a * c + b * d * GAMMA[i]) % Q, (a * d + b * c) % Q]
    return out


def plus(f, g):
    return [(a + b) % Q for a, b in zip(f, g)]


def bits_of(data):
    return [data[i // 8] >> (i % 8) & 1 for i in range(8 * len(data))]


def encode_poly(f, d):
    bits = [x >> i & 1 for x in f for i in range(d)]
    return bytes(sum(bits[8 * i + j] << j for j in range(8)) for i in range(len(bits) // 8))


def decode_poly(data, d):
    bits = bits_of(data)
    return [sum(bits[i * d + j] << j for j in range(d)) % (Q if d == 12 else 1 << d) for i in range(N)]


def compress(f, d):
    return [((x << d) + Q // 2) // Q % (1 << d) for x in f]


def decompress(f, d):
    return [(x * Q + (1 << (d - 1))) >> d for x in f]


def sample_ntt(seed):
    stream, out, at = hashlib.shake_128(seed).digest(2000), [], 0
    while len(out) < N:
        a, b, c = stream[at : at + 3]
        at += 3
        for value in (a + 256 * (b % 16), b // 16 + 16 * c):
            if value < Q and len(out) < N:
                out.append(value)
    return out


def sample_cbd(seed, nonce):
    bits = bits_of(hashlib.shake_256(seed + bytes([nonce])).digest(64 * ETA))
    return [(sum(bits[2 * i * ETA : 2 * i * ETA + ETA]) - sum(bits[2 * i * ETA + ETA : 2 * (i + 1) * ETA])) % Q for i in range(N)]


def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def dot(row, vector):
    total = [0] * N
    for f, g in zip(row, vector):
        total = plus(total, multiply(f, g))
    return total


def ml_kem_keygen(d, z):
    seeds = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = seeds[:32], seeds[32:]
    a = matrix(rho)
    s = [ntt(sample_cbd(sigma, i)) for i in range(K)]
    e = [ntt(sample_cbd(sigma, K + i)) for i in range(K)]
    t = [plus(dot(a[i], s), e[i]) for i in range(K)]
    public = b''.join(encode_poly(f, 12) for f in t) + rho
    return public, (s, public, hashlib.sha3_256(public).digest(), z)


def pke_encrypt(public, message, coins):
    t = [decode_poly(public[384 * i : 384 * (i + 1)], 12) for i in range(K)]
    a = matrix(public[384 * K :])
    y = [ntt(sample_cbd(coins, i)) for i in range(K)]
    e1 = [sample_cbd(coins, K + i) for i in range(K)]
    e2 = sample_cbd(coins, 2 * K)
    u = [plus(inverse_ntt(dot([a[j][i] for j in range(K)], y)), e1[i]) for i in range(K)]
    v = plus(plus(inverse_ntt(dot(t, y)), e2), decompress(decode_poly(message, 1), 1))
    return b''.join(encode_poly(compress(f, DU), DU) for f in u) + encode_poly(compress(v, DV), DV)


def ml_kem_decapsulate(private, ciphertext):
    s, public, public_hash, z = private
    size = 32 * DU
    u = [decompress(decode_poly(ciphertext[size * i : size * (i + 1)], DU), DU) for i in range(K)]
    v = decompress(decode_poly(ciphertext[size * K :], DV), DV)
    w = [(a - b) % Q for a, b in zip(v, inverse_ntt(dot(s, [ntt(f) for f in u])))]
    message = encode_poly(compress(w, 1), 1)
    shared_coins = hashlib.sha3_512(message + public_hash).digest()
    shared, coins = shared_coins[:32], shared_coins[32:]
    if pke_encrypt(public, message, coins) != ciphertext:
        return hashlib.shake_256(z + ciphertext).digest(32)
    return shared


# --- X-Wing and HPKE --------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def xwing_key(seed):
    expanded = hashlib.shake_256(seed).digest(96)
    public, private = ml_kem_keygen(expanded[:32], expanded[32:64])
    secret = X25519PrivateKey.from_private_bytes(expanded[64:])
    own = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return public + own, (private, secret, own)


def xwing_decapsulate(key, ciphertext):
    private, secret, own = key
    first, ephemeral = ciphertext[:1088], ciphertext[1088:]
    shared = secret.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    return hashlib.sha3_256(ml_kem_decapsulate(private, first) + shared + ephemeral + own + b'\\.//^\\').digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def expand(key, info, length):
    out, block = b'', b''
    while len(out) < length:
        block = mac(key, block + info + bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


def hpke_context(aead_id, cipher, shared, info):
    """RFC 9180 in base mode: what opens a ciphertext, and what exports."""
    suite = b'HPKE' + struct.pack('>HHH', 0x647A, 1, aead_id)

    def extract(salt, name, ikm):
        return mac(salt or bytes(32), b'HPKE-v1' + suite + name + ikm)

    def labeled(key, name, context, length):
        return expand(key, struct.pack('>H', length) + b'HPKE-v1' + suite + name + context, length)

    context = b'\0' + extract(b'', b'psk_id_hash', b'') + extract(b'', b'info_hash', info)
    secret = extract(shared, b'secret', b'')

    def opened(aad, ciphertext):
        try:
            return cipher(labeled(secret, b'key', context, 32)).decrypt(labeled(secret, b'base_nonce', context, 12), ciphertext, aad)
        except InvalidTag:
            raise Refused('ERR_CRYPTO_OPEN')

    return opened, lambda name: labeled(labeled(secret, b'exp', context, 32), b'sec', name, 32)


def padme(length):
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    mask = (1 << max(0, exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


def unpad(data):
    length = int.from_bytes(data[:4], 'big')
    if len(data) < 4 or padme(4 + length) != len(data) or any(data[4 + length :]):
        raise Refused('ERR_WIRE_MALFORMED')
    return data[4 : 4 + length]


PREKEYS = ('version', 'seq', 'nbf', 'exp', 'suites', 'minSuite', 'kem', 'rpk', 'kid', 'mailboxes')


BUNDLE = listing(exactly(1), COUNT, INSTANT, INSTANT, many(integer(0, 255), 8), integer(0, 255), octets(1216), octets(32), octets(8), many(KEY, 4))


def open_bundle(data, now):
    statement = open_statement('prekeys', data, now, 2 * DAY)
    fields = dict(zip(PREKEYS, shaped(BUNDLE, cbor(statement['payload']))))
    # FIPS 203 section 7.2: every coefficient below q.
    if any(encode_poly(decode_poly(part, 12), 12) != part for part in (fields['kem'][384 * i : 384 * (i + 1)] for i in range(K))):
        raise Refused('ERR_CRYPTO_INPUT')
    if statement['to'] != statement['from'] or fields['exp'] != statement['exp']:
        raise Refused('ERR_WIRE_MALFORMED')
    return dict(fields, owner=statement['from'])


AEADS = {1: (2, AESGCM), 2: (3, ChaCha20Poly1305)}


def open_box(data, bundle, key):
    return unseal_box(data, bundle, key)[0]


def unseal_box(data, bundle, key):
    """The content, and what its encapsulation exports."""
    fields = cbor(data)
    shaped(listing(exactly(1), integer(0, 255), exactly(2), octets(8), octets(1120), octets(0, 607_584)), fields)
    _, suite, _, kid, enc, ciphertext = fields
    held = open_bundle(bundle, 1767225600000)
    if kid != held['kid']:
        raise Refused('ERR_SEAL_PREKEY')
    if suite not in (1, 2) or suite not in held['suites'] or suite < held['minSuite']:
        raise Refused('ERR_SEAL_SUITE')
    opened, exported = hpke_context(*AEADS[suite], xwing_decapsulate(key, enc), b'klp/1/seal' + sha256(bundle))
    return unpad(opened(cbor2.dumps([1, suite, 2, kid, enc], canonical=True), ciphertext)), exported


# --- sessions, klp/v1 sections 3.2 and 3.4 -------------------------------------------------------------------------------

WIDE = integer(0, 2**32 - 1)
SESSION_FRAME = listing(exactly(1), integer(0, 255), exactly(1), octets(8), octets(32), WIDE, WIDE, octets(0, 131_072))
OFFER = listing(octets(32), WIDE, nullable(listing(octets(8), octets(1120))))
ITEM = listing(among('message', 'receipt'), octets(0, 114_688))
CONTENT = listing(exactly(1), nullable(OFFER), octets(64), many(ITEM, 32))
SKIPPED_MAX = 1_000


def exchange(secret, public):
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Refused('ERR_CRYPTO_INPUT')


def ratchet_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def root_step(root, shared):
    out = expand(mac(root, shared), b'klp/1/session root', 64)
    return out[:32], out[32:]


def open_content(data, now):
    """Author, offer and what each statement says, or the code it is refused with."""
    _, offer, signature, items = shaped(CONTENT, cbor(data))
    if not items:
        raise Refused('ERR_WIRE_MALFORMED')
    statements = [shaped(STATEMENT, cbor(body)) for _, body in items]
    author = statements[0][1]
    hashes = [[kind, sha256(body)] for kind, body in items]
    if len(items) == 1 and offer is None:
        signed = b'klp/1/' + items[0][0].encode() + b'\0' + hashes[0][1]
    else:
        bound = None if offer is None else cbor2.dumps(offer, canonical=True)
        signed = b'klp/1/batch\0' + sha256(cbor2.dumps([bound, hashes], canonical=True))
    if any(s[1] != author for s in statements) or not is_identity_key(author) or not verify(author, signed, signature):
        raise Refused('ERR_STATEMENT_SIGNATURE')

    def said(s):
        iat, exp = s[4], s[5]
        if iat > now + 2 * MINUTE:
            return 'ERR_STATEMENT_FUTURE'
        if exp <= iat or exp - iat > 7 * DAY:
            return 'ERR_STATEMENT_LIFETIME'
        return 'ERR_STATEMENT_EXPIRED' if exp + 2 * MINUTE < now else s[9].decode()

    return author, offer, [said(s) for s in statements]


class Half:
    """One side of a session."""

    def __init__(self, suite, secret, mix, initiator, responder, own, peer, opens):
        out = expand(mac(mix, secret), b'klp/1/session' + initiator + responder, 80)
        tags = [out[64:72], out[72:80]]
        self.suite, self.mix, self.own, self.peer = suite, out[32:64], own, peer
        self.send_tag, self.receive_tag = tags if opens else reversed(tags)
        self.root, chain = root_step(out[:32], exchange(own, peer))
        self.sending, self.receiving = ([chain, 0], None) if opens else (None, [chain, 0])
        self.sent, self.previous, self.skipped = 0, 0, {}

    def seal(self, content, fresh):
        if self.sending is None:
            self.own, self.previous = fresh, self.sent
            self.root, chain = root_step(self.root, exchange(fresh, self.peer))
            self.sending = [chain, 0]
        chain, n = self.sending
        self.sending, self.sent = [mac(chain, b'\2'), n + 1], n + 1
        header = [1, self.suite, 1, self.send_tag, ratchet_public(self.own), self.previous, n]
        padded = struct.pack('>I', len(content)) + content
        padded += bytes(padme(len(padded)) - len(padded))
        sealed = AEADS[self.suite][1](mac(chain, b'\1')).encrypt(bytes(12), padded, cbor2.dumps(header, canonical=True))
        return cbor2.dumps([*header, sealed], canonical=True)

    def open(self, fields):
        """The content, and what is done once everything about it is right."""
        _, suite, _, tag, dh, pn, n, ciphertext = fields
        if suite != self.suite:
            raise Refused('ERR_SEAL_SUITE')

        def opened(chain):
            try:
                return unpad(AEADS[suite][1](mac(chain, b'\1')).decrypt(bytes(12), ciphertext, cbor2.dumps(fields[:7], canonical=True)))
            except InvalidTag:
                raise Refused('ERR_SESSION_LOST')

        if (dh, n) in self.skipped:
            return opened(self.skipped[dh, n]), lambda: self.skipped.pop((dh, n))
        root, receiving, kept = self.root, self.receiving, {}

        def walk(state, until, key):
            if until - state[1] > SKIPPED_MAX:
                raise Refused('ERR_SESSION_LOST')
            chain, at = state
            while at < until:
                kept[key, at] = chain
                chain, at = mac(chain, b'\2'), at + 1
            return [chain, at]

        if dh != self.peer:
            if receiving is not None:
                walk(receiving, pn, self.peer)
            root, chain = root_step(root, exchange(self.own, dh))
            receiving = [chain, 0]
        if receiving is None or n < receiving[1]:
            raise Refused('ERR_SESSION_LOST')
        chain, _ = walk(receiving, n, dh)
        content = opened(chain)

        def commit():
            self.skipped.update(kept)
            self.receiving = [mac(chain, b'\2'), n + 1]
            if dh != self.peer:
                self.root, self.peer, self.sending = root, dh, None

        return content, commit


class Party:
    """One who holds sessions, with the prekeys of its one bundle."""

    def __init__(self, fields, now):
        raw = {name: bytes.fromhex(value) for name, value in fields.items()}
        self.public, self.bundle_bytes, self.ratchet_secret = raw['publicKey'], raw['bundle'], raw['ratchetSecret']
        self.bundle, self.kem, self.now, self.halves = open_bundle(raw['bundle'], now), xwing_key(raw['kemSeed'])[1], now, []
        same((self.bundle['owner'], self.bundle['rpk']), (self.public, ratchet_public(self.ratchet_secret)))

    def answer(self, author, offer, suite, secret, mix):
        return Half(suite, secret, mix, author, self.public, self.ratchet_secret, offer[0], False)

    def begin(self, peer, suite, secret, mix, own):
        return self.halves.append(Half(suite, secret, mix, self.public, peer.public, own, peer.bundle['rpk'], True))

    def open_box(self, sealed):
        """Also what it exports, for the other side's half."""
        content, exported = unseal_box(sealed, self.bundle_bytes, self.kem)
        author, offer, texts = open_content(content, self.now)
        secret = exported(b'klp/1/session')
        if offer is not None:
            if offer[2] is not None:
                raise Refused('ERR_WIRE_MALFORMED')
            self.halves.append(self.answer(author, offer, sealed[2], secret, bytes(32)))
        return texts, secret, content

    def open_frame(self, sealed, peer):
        fields = shaped(SESSION_FRAME, cbor(sealed))
        half = next((half for half in self.halves if half.receive_tag == fields[3]), None)
        if half is None:
            raise Refused('ERR_SESSION_LOST')
        content, commit = half.open(fields)
        author, offer, texts = open_content(content, self.now)
        if peer is not None and author != peer:
            raise Refused('ERR_STATEMENT_SENDER')
        healed = None
        if offer is not None:
            if offer[2] is None:
                raise Refused('ERR_WIRE_MALFORMED')
            if offer[2][0] != self.bundle['kid']:
                raise Refused('ERR_SEAL_PREKEY')
            _, exported = hpke_context(*AEADS[half.suite], xwing_decapsulate(self.kem, offer[2][1]), b'klp/1/seal' + sha256(self.bundle_bytes))
            secret = exported(b'klp/1/session')
            self.halves.append(self.answer(author, offer, half.suite, secret, half.mix))
            healed = (half.suite, secret, half.mix)
        commit()
        return texts, healed, content


def read_session(v, _x):
    """What arrives at Ben; all but the last must open."""
    ben, peer = Party(v['ben'], v['now']), None
    for arrival in v['arrivals']:
        sealed = bytes.fromhex(arrival)
        if sealed[3] == 2:
            texts, _, content = ben.open_box(sealed)
            peer = cbor(cbor(content)[3][0][1])[1]
        else:
            texts, _, _ = ben.open_frame(sealed, peer)
    same(texts, v['texts'])


def read_session_run(v, _x):
    """Both sides: every frame is sealed here as well, to the same bytes."""
    parties = {name: Party(v[name], v['now']) for name in ('anna', 'ben')}
    other = {'anna': 'ben', 'ben': 'anna'}
    seals = []
    for event in v['events']:
        if event['event'] == 'seal':
            seals.append(event)
            sealed, sender = bytes.fromhex(event['sealed']), parties[event['from']]
            if sealed[3] == 1:
                half = next(half for half in sender.halves if half.send_tag == cbor(sealed)[3])
                same(half.seal(bytes.fromhex(event['content']), bytes.fromhex(event.get('dhSecret', ''))), sealed)
            continue
        seal = seals[event['of']]
        same(seal['from'], other[event['to']])
        sealed, sender, receiver = bytes.fromhex(seal['sealed']), parties[seal['from']], parties[event['to']]
        if sealed[3] == 2:
            texts, secret, content = receiver.open_box(sealed)
            begun = (sealed[2], secret, bytes(32))
        else:
            texts, begun, content = receiver.open_frame(sealed, sender.public)
        same((texts, content.hex()), (event['texts'], seal['content']))
        if begun is not None:
            sender.begin(receiver, *begun, bytes.fromhex(seal['offerSecret']))


def derive(key, purpose):
    return expand(mac(bytes(32), key), b'kindmesh/1/' + purpose, 32)


def open_local(key, sealed, context):
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], context)


# --- audit/v1 ---------------------------------------------------------------------------------------------------------


def leaf(entry):
    return sha256(b'\0' + entry)


def node(left, right):
    return sha256(b'\1' + left + right)


def tree_root(leaves):
    if not leaves:
        return sha256(b'')
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node(tree_root(leaves[:split]), tree_root(leaves[split:]))


def root_of_path(at, index, size, path):
    """RFC 9162 section 2.1.3.2."""
    fn, sn = index, size - 1
    if index >= size:
        return None
    for sibling in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            at = node(sibling, at)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            at = node(at, sibling)
        fn, sn = fn >> 1, sn >> 1
    return at if sn == 0 else None


def spelled(text, length):
    """Bytes of padded base64 in its one spelling, of one length."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused('bad')
    if base64.b64encode(raw).decode() != text or len(raw) != length:
        raise Refused('bad')
    return raw


def open_checkpoint(note, did):
    text, gap, signatures = note.rpartition('\n\n')
    if not gap or not note.endswith('\n') or len(note) > 16_384:
        raise Refused('bad')
    origin, size, root, *more = text.split('\n') + [''] * (2 - text.count('\n'))
    if origin != 'kindmesh/audit/' + did or not re.fullmatch('0|[1-9][0-9]*', size) or int(size) >= 2**53 or '' in more:
        raise Refused('bad')
    key, signed = key_of(did), False
    wanted = sha256(origin.encode() + b'\n\x01' + key)[:4]
    lines = signatures[:-1].split('\n')
    for line in lines:
        if len(lines) > 64 or not re.fullmatch('— [^ +]+ [A-Za-z0-9+/=]+', line):
            raise Refused('bad')
        _, name, blob = line.split(' ')
        raw = base64.b64decode(blob)
        if name != origin or raw[:4] != wanted:
            continue
        if not verify(key, (text + '\n').encode(), spelled(blob, 68)[4:]):
            raise Refused('bad')
        signed = True
    if not signed:
        raise Refused('bad')
    return int(size), spelled(root, 32)


def consistent(old_size, old_root, size, root, path):
    """RFC 9162 section 2.1.4.2."""
    if old_size == size:
        return not path and old_root == root
    path = list(path)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    fn, sn = old_size - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    if not path:
        return False
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == old_root and sr == root and sn == 0


# --- readers by kind --------------------------------------------------------------------------------------------------


def same(found, expected):
    if found != expected:
        raise AssertionError('%r is not %r' % (found, expected))


def read_did(v, _x):
    if 'text' in v:
        key = key_of(v['text'])
        if 'did' in v:
            same(spellings(key)[0], v['did'])
        return
    key = bytes.fromhex(v['key'])
    same(spellings(key), (v['did'], v['peerId'], v['kindDid']))
    for text in spellings(key):
        same(key_of(text), key)


def public_of(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


# --- chains of keys, identity/v1 sections 4 to 7 --------------------------------------------------------------------

CENTURY = 36_500 * DAY
WINDOW = 72 * 60 * MINUTE
CHAIN_LENGTH, CHAIN_BYTES, CHAIN_STATEMENT = 26, 7_200, 512
INCEPTION = listing(exactly(1), octets(32), octets(32))
SUCCESSION = listing(exactly(1), integer(0, CHAIN_LENGTH - 1), octets(32), octets(32), nullable(octets(32)))


def open_chain_statement(data):
    if len(data) > CHAIN_STATEMENT:
        raise Refused('ERR_WIRE_TOO_LARGE')
    envelope = cbor(data)
    first = isinstance(envelope, list) and len(envelope) == 2 and isinstance(envelope[1], dict) and 'klp/inception@1' in envelope[1]
    kind = 'inception' if first else 'succession'
    try:
        at = shaped(STATEMENT, cbor(envelope[1]['klp/%s@1' % kind]))[4]
    except (LookupError, TypeError):
        raise Refused('ERR_WIRE_MALFORMED')
    s = open_statement(kind, data, at, CENTURY)
    fields = shaped(INCEPTION if first else SUCCESSION, cbor(s['payload']))
    seq, prev, following, recovery = (0, None, fields[1], fields[2]) if first else fields[1:]
    own = sha256(s['from'])
    if (s['to'] == s['from']) != first or (seq == 0) != first or own in (following, recovery) or following == recovery:
        raise Refused('ERR_IDENTITY_CHAIN')
    return {'did': s['to'], 'key': s['from'], 'seq': seq, 'prev': prev, 'next': following, 'recovery': recovery, 'iat': s['iat'], 'hash': s['hash'], 'bytes': data}


def state_of(path, rivals, beaten, digits, did):
    if len(path) > CHAIN_LENGTH or sum(len(s['bytes']) for s in path) > CHAIN_BYTES:
        raise Refused('ERR_WIRE_TOO_LARGE')
    forked = min((s['iat'] for s in rivals), default=None)
    keys = []
    for index, s in enumerate(path):
        until = path[index + 1]['iat'] if index + 1 < len(path) else forked
        keys.append([s['key'], 0 if index == 0 else s['iat'], until])
    for s in rivals + beaten:
        if all(s['key'] != key for key, _, _ in keys):
            keys.append([s['key'], s['iat'], s['iat']])
    recovery = next((s['recovery'] for s in reversed(path) if s['recovery'] is not None), None)
    tip = path[-1] if path else None
    return {
        'did': did,
        'current': tip['key'] if tip else did,
        'seq': rivals[0]['seq'] if rivals else tip['seq'],
        'status': 'frozen' if rivals else 'active',
        'keys': keys,
        'next': tip['next'] if tip else None,
        'recovery': recovery,
        'used': sorted(path + rivals, key=lambda s: (s['seq'], s['hash'])),
        'digits': digits,
    }


def read_states(statements):
    """The state of an identity from (bytes, seen at) in any order."""
    by_hash = {}
    for data, seen in statements:
        s = open_chain_statement(data)
        if s['hash'] not in by_hash or seen < by_hash[s['hash']]['seen']:
            by_hash[s['hash']] = dict(s, seen=seen)
    everything = sorted(by_hash.values(), key=lambda s: (s['seq'], s['hash']))
    inceptions = [s for s in everything if s['seq'] == 0]
    if not inceptions or any(s['did'] != inceptions[0]['did'] for s in everything):
        raise Refused('ERR_IDENTITY_CHAIN')
    did = inceptions[0]['did']
    two = lambda found: sorted(found, key=lambda s: (s['seen'], s['hash']))[:2]
    if len(inceptions) > 1:
        return state_of([], two(inceptions), [], None, did)
    path, beaten, digits, recovery = inceptions, [], [], inceptions[0]['recovery']
    while True:
        tip = path[-1]
        heirs = [s for s in everything if s['seq'] == tip['seq'] + 1 and s['prev'] == tip['hash'] and s['iat'] >= tip['iat'] and all(s['key'] != held['key'] for held in path)]
        ordinary = [s for s in heirs if sha256(s['key']) == tip['next']]
        recoveries = [s for s in heirs if s['recovery'] is not None and sha256(s['key']) == recovery]
        seen = sorted(s['seen'] for s in ordinary)
        if seen:
            since = seen[1] if len(seen) > 1 else seen[0]
            recoveries = [s for s in recoveries if s['seen'] <= since + WINDOW]
        found = recoveries or ordinary
        if not found:
            return state_of(path, [], beaten, digits, did)
        if len(found) > 1:
            return state_of(path, two(found), beaten, None if recoveries else digits + [2], did)
        if recoveries:
            beaten = beaten + two(ordinary)
        path = path + found
        digits = digits + [3 if recoveries else 1]
        recovery = found[0]['recovery'] or recovery


def read_chain_statement(v, x):
    s = open_chain_statement(x('signed'))
    same((s['did'], s['key'], s['seq'], s['hash']), (x('did'), x('key'), v['seq'], x('hash')))


def read_chain(v, x):
    state = read_states([(bytes.fromhex(s['signed']), s['seenAt']) for s in v['statements']])
    same((state['did'], state['current'], state['seq'], state['status']), (x('did'), x('current'), v['seq'], v['status']))
    same([[key.hex(), since, until] for key, since, until in state['keys']], v['keys'])


def read_chain_record(v, x):
    if len(x('value')) > 8_192:
        raise Refused('ERR_WIRE_TOO_LARGE')
    _, statements = shaped(listing(exactly(1), many(octets(0, CHAIN_STATEMENT), CHAIN_LENGTH + 2)), cbor(x('value')))
    state = read_states([(data, 0) for data in statements])
    if state['did'] != x('key') or [s['bytes'] for s in state['used']] != statements:
        raise Refused('ERR_RECORD_INVALID')
    if max(s['iat'] for s in state['used']) > v['now'] + 2 * MINUTE:
        raise Refused('ERR_STATEMENT_FUTURE')
    rank = 2 ** 53 - 1 if state['digits'] is None else sum(digit * 4 ** (CHAIN_LENGTH - 2 - index) for index, digit in enumerate(state['digits']))
    same(rank, v['seq'])


def read_agent_record(v, x):
    if len(x('value')) > 8_192:
        raise Refused('ERR_WIRE_TOO_LARGE')
    signed = octets(0, 512)
    _, grant, place, statements = shaped(listing(exactly(1), signed, signed, many(octets(0, CHAIN_STATEMENT), CHAIN_LENGTH)), cbor(x('value')))
    state = read_states([(data, 0) for data in statements])
    delegation = open_statement('delegation', grant, v['now'], 7 * DAY)
    agent = open_statement('agent', place, v['now'], 7 * DAY)
    _, node, _ = shaped(listing(exactly(1), octets(32), exactly('/agent/*')), cbor(delegation['payload']))
    _, name = shaped(listing(exactly(1), text(64)), cbor(agent['payload']))
    whole = state['status'] == 'active' and len(state['used']) == len(statements)
    if not whole or agent['from'] != state['current'] or delegation['to'] != state['current'] or agent['refs'] != [delegation['hash']] or agent['to'] != node:
        raise Refused('ERR_RECORD_INVALID')
    if state['did'] != x('key'):
        raise Refused('ERR_RECORD_INVALID')
    same((state['did'], node, name), (x('agent'), x('node'), v['name']))
    same((agent['iat'], min(agent['exp'], delegation['exp'])), (v['seq'], v['expiresAt']))


def read_key_file(v, x):
    """From the key that Argon2id gives for the file as it was made: deriving is not repeated here."""
    f, slot = v['file'], v['file']['slots'][0]
    strong = 65_536 <= slot['memoryKiB'] <= 1_048_576 and 3 <= slot['iterations'] <= 16 and slot['parallelism'] == 1
    if not strong or len(base64.b64decode(slot['salt'])) < 16:
        raise Refused('ERR_AUTH_FAILED')
    context = 'kindmesh.key-file/1 slot %s argon2id %d %d %d %s' % (f['did'], slot['memoryKiB'], slot['iterations'], slot['parallelism'], slot['salt'])
    try:
        root = open_local(x('wrappingKey'), base64.b64decode(slot['rootKey']), context.encode())
        if f['schema'] == 'kindmesh.key-file/1':
            first, current = f['did'], f['did']
            seed = open_local(derive(root, b'identity'), base64.b64decode(f['seed']), ('kindmesh.key-file/1 seed ' + f['did']).encode())
        else:
            state = read_states([(base64.b64decode(statement), 0) for statement in f['chain']])
            first, current = spellings(state['did'])[0], spellings(state['current'])[0]
            seeds = {}
            for what in ('seed', 'next', 'recovery'):
                if what in f:
                    where = 'kindmesh.key-file/2 %s %s %d' % (what, f['did'], len(f['chain']) - 1)
                    seeds[what] = open_local(derive(root, b'identity'), base64.b64decode(f[what]), where.encode())
            seed = seeds['seed']
            if sha256(public_of(seeds['next'])) != state['next'] or ('recovery' in seeds and sha256(public_of(seeds['recovery'])) != state['recovery']):
                raise Refused('ERR_AUTH_FAILED')
    except InvalidTag:
        raise Refused('ERR_AUTH_FAILED')
    if first != f['did'] or spellings(public_of(seed))[0] != current:
        raise Refused('ERR_AUTH_FAILED')
    same(seed, x('seed'))


def read_cbor(_v, x):
    same(cbor2.dumps(cbor(x('cbor')), canonical=True), x('cbor'))


def read_statement(v, x):
    s = open_statement(v['of'], x('signed'), v['now'], v['lifetimeMsMax'])
    for field in ('hash', 'from', 'to', 'id', 'payload'):
        if field in v:
            same(s[field], x(field))
    for field in ('iat', 'exp', 'type'):
        if field in v:
            same(s[field], v[field])
    if 'refs' in v:
        same([r.hex() for r in s['refs']], v['refs'])
    if 'code' in v:
        payload = cbor(s['payload'])
        shaped(REQUEST, payload)
        same((payload[3], payload[4]), (v['code'], v['input']))


def read_prekeys(v, x):
    bundle = open_bundle(x('bundle'), v['now'])
    if 'kemSeed' not in v:
        return
    same((bundle['owner'], bundle['kem'], bundle['kid'], bundle['seq']), (x('owner'), x('kem'), x('kid'), v['seq']))
    same(xwing_key(x('kemSeed'))[0], bundle['kem'])


def read_box(_v, x):
    same(open_box(x('box'), x('bundle'), xwing_key(x('kemSeed'))[1]), x('content'))


NAME, REASON, RID, TTL = text(64), text(256), integer(0, 2**32 - 1), integer(0, DAY)
EVIDENCE = listing(among('attestation', 'revocation', 'head'), octets(0, 1280))
CAPABILITY = lambda item: isinstance(item, str) and re.fullmatch('[a-z0-9][a-z0-9._:/-]{0,63}', item) is not None
WANT = listing(CAPABILITY, among('required', 'preferred', 'optional'))
MANIFEST = listing(many(CAPABILITY, 64), many(CAPABILITY, 8), TTL, among('online', 'busy', 'away'))
LIMIT = listing(NAME, integer(0, 2**53 - 1))
ANSWER = listing(CAPABILITY, among('granted', 'partial', 'denied'), REASON, lambda item: item == '' or CAPABILITY(item), many(LIMIT, 8))
SEALED = octets(0, 131_072)
FRAMES = [
    listing(exactly(0), many(integer(0, 255), 8), many(WANT, 64), MANIFEST, integer(0, 1 << 24), octets(0, 4096), many(EVIDENCE, 64)),
    listing(exactly(1), many(ANSWER, 64), INSTANT),
    listing(exactly(2), RID, many(TTL, 32), SEALED),
    listing(exactly(3), many(RID, 32), SEALED),
    listing(exactly(4), RID, NAME, REASON, TTL),
    listing(exactly(5), RID),
    listing(exactly(6), NAME, REASON),
    listing(exactly(7), RID),
    listing(exactly(8), RID),
]


def read_capability_key(v, x):
    same(sha256(b'kindmesh/capability/1\0' + v['name'].encode()), x('key'))


def read_frame(v, x):
    fields = cbor(x('frame'))
    shaped(lambda frame: isinstance(frame, list) and any(shape(frame) for shape in FRAMES), fields)
    same(flat(fields), flat(list(v['fields'].values())))


def flat(value):
    """Lists of values in order, bytes as hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return [flat(item) for item in value.values()]
    if isinstance(value, list):
        return [flat(item) for item in value]
    return value


ORDER = listing(octets(8), integer(0, 2**53 - 1), integer(0, 2**53 - 1))
OLD_HEAD, HEAD = listing(exactly(1), COUNT, COUNT, HASH), listing(exactly(2), COUNT, COUNT, HASH, COUNT, HASH)
PAYLOADS = {
    'message': listing(
        exactly(1), text(64), boolean, integer(0, 9), nullable(octets(16)), nullable(octets(16)), nullable(ORDER),
        many(text(128), 2), nullable(octets(0, 1024)), among('text', 'json', 'bytes'), octets(0, 61_440)),
    'plain-refusal': listing(text(64), text(512)),
    'task-event': lambda item: is_event(item),
    'attestation': listing(exactly(1), integer(-1, 4), many(text(64), 8), integer(0, 4), nullable(HASH), COUNT, nullable(HASH)),
    'revocation': listing(exactly(1), HASH, among('soft', 'hard'), INSTANT, COUNT, nullable(HASH)),
    'head': lambda item: OLD_HEAD(item) or HEAD(item),
}


def read_payload(v, x):
    same(flat(shaped(PAYLOADS[v['of']], cbor(x('payload')))), v['list'])


# --- JSON, signed-json/v1, RFC 8785 -----------------------------------------------------------------------------------


def written(value):
    """A double as ECMAScript writes it (ECMA-262, Number::toString), from Python's shortest digits."""
    if value == 0:
        return '0'
    sign, (mantissa, _, exponent) = ('-' if value < 0 else ''), repr(abs(value)).partition('e')
    whole, _, fraction = mantissa.partition('.')
    fraction = '' if fraction == '0' else fraction
    digits = (whole + fraction).lstrip('0')
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip('0')
    if len(digits) <= point <= 21:
        text = digits + '0' * (point - len(digits))
    elif 0 < point <= 21:
        text = digits[:point] + '.' + digits[point:]
    elif -6 < point <= 0:
        text = '0.' + '0' * -point + digits
    else:
        power = point - 1
        text = digits[0] + ('.' + digits[1:] if len(digits) > 1 else '') + 'e' + ('+' if power > 0 else '-') + str(abs(power))
    return sign + text


def strict_json(source):
    bad = Refused('ERR_JSON_INVALID')

    def pairs(items):
        if len({name for name, _ in items}) != len(items):
            raise bad
        return dict(items)

    def number(literal):
        value = float(literal)
        if value in (float('inf'), float('-inf')) or (value == 0 and re.search('[1-9]', re.split('[eE]', literal)[0])):
            raise bad
        if re.fullmatch('-?[0-9]{16,}', literal) and int(literal) != int(value) and written(value) != literal:
            raise bad
        return value

    def constant(_name):
        raise bad

    try:
        return json.loads(source, object_pairs_hook=pairs, parse_int=number, parse_float=number, parse_constant=constant)
    except ValueError:
        raise bad


ESCAPES = {8: '\\b', 9: '\\t', 10: '\\n', 12: '\\f', 13: '\\r', 34: '\\"', 92: '\\\\'}


def canonical(value, depth=0):
    if isinstance(value, (dict, list)) and depth >= 64:
        raise Refused('ERR_JSON_INVALID')
    if value is None or isinstance(value, bool):
        return {None: 'null', True: 'true', False: 'false'}[value]
    if isinstance(value, str):
        return '"' + ''.join(ESCAPES.get(ord(c), '\\u%04x' % ord(c) if ord(c) < 32 else c) for c in value) + '"'
    if isinstance(value, (int, float)):
        return written(float(value))
    if isinstance(value, list):
        return '[' + ','.join(canonical(item, depth + 1) for item in value) + ']'
    names = sorted(value, key=lambda name: name.encode('utf-16-be', 'surrogatepass'))
    return '{' + ','.join(canonical(name) + ':' + canonical(value[name], depth + 1) for name in names) + '}'


def canonical_bytes(value):
    try:
        return canonical(value).encode()
    except UnicodeEncodeError:
        raise Refused('ERR_JSON_INVALID')


def exact_base64(text):
    for alphabet, encode in ((b'+/', base64.standard_b64encode), (b'-_', base64.urlsafe_b64encode)):
        if re.fullmatch('[A-Za-z0-9%s=]*' % re.escape(alphabet.decode()), text):
            bare = text.rstrip('=')
            data = base64.b64decode(bare + '=' * (-len(bare) % 4), alphabet)
            again = encode(data).decode()
            if text == (again if alphabet == b'+/' else again.rstrip('=')):
                return data
    raise Refused('bad')


def check_signed_json(message, audience, public, signature):
    raw = exact_base64(public) if len(public) == 44 else key_of(public)
    signed = b'kindmesh/signed-json/1\0' + sha256(canonical_bytes({'audience': audience, 'message': message}))
    if not is_identity_key(raw) or not verify(raw, signed, exact_base64(signature)):
        raise Refused('bad')
    return signed


def read_jcs(v, x):
    same(canonical_bytes(strict_json(v['text'])), x('canonical') if 'canonical' in v else None)


def read_jcs_number(v, x):
    same(written(struct.unpack('>d', x('bits'))[0]), v['written'])


def read_signed_json(v, x):
    signed = check_signed_json(strict_json(v['text']), v['audience'], v['publicKey'], v['signature'])
    if 'input' in v:
        same(signed, x('input'))


def read_signed_document(v, _x):
    d = strict_json(v['text'])
    if d.get('schema') != 'kindmesh.signed-json/1':
        raise Refused('ERR_JSON_INVALID')
    for name in ('did', 'didKey', 'publicKey'):
        if name in d:
            check_signed_json(d['message'], d['audience'], d[name], d['signature'])


# --- bundles, sandbox/v1 section 10 -----------------------------------------------------------------------------------

CODE_CAPABILITIES = (
    'file:read file:write network:inbound network:outbound memory:read memory:write subprocess:spawn vectordb:access llm:invoke '
    'agent:delegate vault:access system:api'
).split()
BUNDLE_FIELDS = {
    'name': r'[a-z0-9][a-z0-9._-]{0,63}',
    'version': r'[0-9A-Za-z][0-9A-Za-z.+-]{0,63}',
    'codeHash': r'[0-9a-f]{64}',
    'engine': r'javascript|wasm|command',
    'publisher': r'.{1,128}',
}


def open_code_bundle(text):
    try:
        d = strict_json(text)
        m = d['message']
        assert set(d) == {'schema', 'did', 'audience', 'message', 'signature'} and set(m) == {*BUNDLE_FIELDS, 'permissions'}
        assert d['schema'] == 'kindmesh.signed-json/1' and d['audience'] == 'kindmesh.bundle/1'
        assert all(re.fullmatch(form, m[name]) for name, form in BUNDLE_FIELDS.items())
        assert isinstance(m['permissions'], list) and all(name in CODE_CAPABILITIES for name in m['permissions'])
        assert key_of(d['did']) == key_of(m['publisher'])
        check_signed_json(m, d['audience'], m['publisher'], d['signature'])
        return m
    except (AssertionError, KeyError, TypeError, Refused):
        raise Refused('ERR_BUNDLE_INVALID')


def read_bundle(v, _x):
    bundle = open_code_bundle(v['text'])
    if (v['codeHash'], v['engine']) != (bundle['codeHash'], bundle['engine']):
        raise Refused('ERR_BUNDLE_INVALID')
    if not set(v['capabilities']) <= set(bundle['permissions']):
        raise Refused('ERR_SANDBOX_PERMISSION')
    pinned_keys = [key_of(pin) for pin in v['pins'] if pin.startswith('did:')]
    if bundle['codeHash'] not in v['pins'] and key_of(bundle['publisher']) not in pinned_keys:
        raise Refused('ERR_BUNDLE_UNPINNED')


# --- groups, klp/v1 section 3.3 and group/v1 ---------------------------------------------------------------------------


def read_group_frame(v, x):
    fields = cbor(x('frame'))
    shaped(listing(exactly(1), integer(0, 255), exactly(3), octets(8), octets(4), integer(0, 2**32 - 1), octets(0, 61_000)), fields)
    _, suite, _, epoch, tag, n, sealed = fields
    if suite not in (1, 2) or suite != v['suite']:
        raise Refused('ERR_SEAL_SUITE')
    if (epoch, tag) != (x('epoch')[:8], x('tag')) or not 0 <= n - v['n'] <= 1_000:
        raise Refused('ERR_GROUP_KEY')
    chain = x('key')
    for _ in range(n - v['n']):
        chain = mac(chain, b'\2')
    key = mac(chain, b'\1')
    aad = cbor2.dumps([1, suite, 3, x('group'), x('epoch'), x('sender'), tag, n], canonical=True)
    if sealed[:32] != mac(key, b'klp/1/group commitment' + aad):
        raise Refused('ERR_CRYPTO_OPEN')
    try:
        cipher = (AESGCM, ChaCha20Poly1305)[suite - 1](expand(key, b'klp/1/group seal', 32))
        same(unpad(cipher.decrypt(bytes(12), sealed[32:], aad)), x('content'))
    except InvalidTag:
        raise Refused('ERR_CRYPTO_OPEN')


ROSTER = listing(exactly(1), among('create', 'add', 'remove', 'admin', 'merge'), text(64), many(KEY, 256))


def open_entry(data, now):
    if len(data) > 10_240:
        raise Refused('ERR_WIRE_TOO_LARGE')
    s = open_statement('group', data, now, 3_650 * DAY)
    _, action, name, who = shaped(ROSTER, cbor(s['payload']))
    refs, first = s['refs'], action == 'create'
    good = s['type'] == 'roster' and not s['caps'] and len(set(who)) == len(who) and len(set(refs)) == len(refs)
    good &= not refs if first else len(refs) > 1 if action == 'merge' else len(refs) == 1
    good &= bool(who) or action == 'merge'
    good &= bool(name) == first
    if first:
        made = sha256(b'klp/1/group\0' + cbor2.dumps([s['from'], s['id'], s['iat'], s['exp'], s['payload']], canonical=True))
        good &= s['from'] in who and s['to'] == made
    if not good:
        raise Refused('ERR_GROUP_INVALID')
    return dict(s, action=action, who=who)


def roster_after(e, before):
    if e['action'] == 'create':
        return set(e['who']), [e['from']]
    if len(before) > 8:
        raise Refused('ERR_GROUP_INVALID')
    if not all(e['from'] in admins for _, admins in before):
        raise Refused('ERR_GROUP_DENIED')
    (members, admins), who = before[0], set(e['who'])
    if e['action'] == 'add':
        if who & members or len(who | members) > 256:
            raise Refused('ERR_GROUP_INVALID')
        return members | who, admins
    if not who <= members or (e['action'] == 'admin' and who & set(admins)):
        raise Refused('ERR_GROUP_INVALID')
    if e['action'] == 'admin':
        return members, admins + e['who']
    if who & set(admins[: admins.index(e['from'])]):
        raise Refused('ERR_GROUP_DENIED')
    if not set(admins) - who:
        raise Refused('ERR_GROUP_INVALID')
    return members - who, [a for a in admins if a not in who]


def read_roster(v, x):
    entries, states = {}, {}
    for data in map(bytes.fromhex, v['entries']):
        e = open_entry(data, v['now'])
        if e['to'] != x('group'):
            raise Refused('ERR_GROUP_INVALID')
        entries[e['hash']] = e
    while len(states) < len(entries):
        ready = [e for h, e in entries.items() if h not in states and all(r in states for r in e['refs'])]
        if not ready:
            break
        for e in ready:
            states[e['hash']] = roster_after(e, [states[r] for r in e['refs']])

    def following(at):
        return sorted(h for h, e in entries.items() if at in e['refs'] and h in states)

    def branch(h):
        return {h}.union(*map(branch, following(h)))

    at = next(h for h, e in entries.items() if e['action'] == 'create')
    while following(at):
        choices, admins = following(at), states[at][1]

        def rank(a, b):
            removers = [entries[h]['from'] for h in branch(a) if entries[h]['action'] in ('remove', 'merge') and entries[b]['from'] in entries[h]['who']]
            return min([admins.index(r) if r in admins else len(admins) for r in removers], default=10**9)

        unbeaten = [b for b in choices if not any(rank(a, b) < rank(b, a) for a in choices if a != b)]
        at = (unbeaten or choices)[0]
    same((at, len([h for h in states if not following(h)])), (x('head'), v['heads']))
    same(sorted(m.hex() for m in states[at][0]), v['members'])


def read_topic(v, x):
    if len(x('signed')) > 32_768:
        raise Refused('ERR_WIRE_TOO_LARGE')
    topic = sha256(b'klp/1/topic\0' + v['name'].encode())
    s = open_statement('message', x('signed'), v['now'], 2 * MINUTE)
    if s['to'] != topic:
        raise Refused('ERR_STATEMENT_AUDIENCE')
    if s['from'] != x('author'):
        raise Refused('ERR_STATEMENT_SENDER')
    payload = shaped(PAYLOADS['message'], cbor(s['payload']))
    if payload[1] != '' or payload[2]:
        raise Refused('ERR_WIRE_MALFORMED')
    if len(payload[10]) > 16_384:
        raise Refused('ERR_WIRE_TOO_LARGE')
    same((topic, v['channel'], payload[10].decode()), (x('id'), '/kindmesh/topic/1/' + topic.hex(), v['body']))


# --- message types, message/v1 sections 4 and 5 -------------------------------------------------------------------------

TYPES = {
    'object': lambda value: isinstance(value, dict),
    'array': lambda value: isinstance(value, list),
    'string': lambda value: isinstance(value, str),
    'boolean': lambda value: isinstance(value, bool),
    'null': lambda value: value is None,
    'number': lambda value: isinstance(value, float),
    'integer': lambda value: isinstance(value, float) and value.is_integer(),
}
KEYWORDS = {
    *('type', 'properties', 'required', 'additionalProperties', 'propertyNames', 'description', 'items', 'minItems', 'maxItems'),
    *('minLength', 'maxLength', 'pattern', 'minimum', 'maximum', 'enum', 'const', 'anyOf'),
}


def fits(schema, value):
    """The part of JSON Schema that types.json uses; a keyword outside it is an error of ours."""
    if schema is True or schema == {}:
        return True
    if set(schema) - KEYWORDS:
        raise AssertionError('unknown keywords in %r' % sorted(schema))
    if 'anyOf' in schema and not any(fits(option, value) for option in schema['anyOf']):
        return False
    if 'type' in schema and not TYPES[schema['type']](value):
        return False
    if ('enum' in schema and value not in schema['enum']) or ('const' in schema and value is not schema['const'] and value != schema['const']):
        return False
    if isinstance(value, str):
        units = len(value.encode('utf-16-le', 'surrogatepass')) // 2
        matched = 'pattern' not in schema or re.search(schema['pattern'].replace('$', r'\Z'), value)
        return bool(matched) and schema.get('minLength', 0) <= units <= schema.get('maxLength', units)
    if isinstance(value, float) and not isinstance(value, bool):
        return schema.get('minimum', value) <= value <= schema.get('maximum', value)
    if isinstance(value, list):
        sized = schema.get('minItems', 0) <= len(value) <= schema.get('maxItems', len(value))
        return sized and all(fits(schema.get('items', {}), item) for item in value)
    if isinstance(value, dict):
        known, more = schema.get('properties', {}), schema.get('additionalProperties', {})
        return all(name in value for name in schema.get('required', [])) and all(
            fits(known[name], item) if name in known else more is not False and fits(more, item) for name, item in value.items()
        )
    return True


def read_body(v, _x):
    with open(os.path.join(ROOT, 'protocols', 'message', 'v1', 'types.json')) as file:
        schemas = json.load(file)
    kind, wrong = v['type'], Refused('ERR_MESSAGE_TYPE')
    if not 1 <= len(kind) <= 64:
        raise wrong
    if kind in schemas:
        if v['encoding'] != 'json':
            raise wrong
        if not fits(schemas[kind], strict_json(v['body'])):
            raise Refused('ERR_JSON_INVALID')
    elif kind.startswith(('klp/', 'kindmesh/')) or re.fullmatch('[a-z0-9]+(_[a-z0-9]+)+', kind):
        raise wrong


LIFETIMES = {'attestation': 400 * DAY, 'revocation': 800 * DAY, 'head': 2 * DAY}


def is_scope(text):
    return re.fullmatch(r'/|(/[a-z0-9][a-z0-9_.-]*)+|authority/\*', text) is not None


def read_trust(v, x):
    if len(x('signed')) > 1280:
        raise Refused('ERR_WIRE_TOO_LARGE')
    s = open_statement(v['of'], x('signed'), v['now'], LIFETIMES[v['of']])
    payload = shaped(PAYLOADS[v['of']], cbor(s['payload']))
    if v['of'] == 'attestation' and (s['from'] == s['to'] or not payload[2] or not all(map(is_scope, payload[2]))):
        raise Refused('ERR_TRUST_INVALID')
    same((s['hash'], s['from'], s['to']), (x('id'), x('issuer'), x('subject')))
    if 'list' in v:
        same(flat(payload), v['list'])
    if 'hashes' in v:
        same(payload[3], sha256(b''.join(map(bytes.fromhex, v['hashes']))))
        same(sha256(s['from']), x('recordKey'))
    if 'warnings' in v:
        same(payload[4:], [len(v['warnings']), sha256(b''.join(map(bytes.fromhex, v['warnings'])))])


SIGNED_ITEM = listing(among('attestation', 'revocation', 'head'), octets(0, 1280))


def read_warrant(v, x):
    _, *two = shaped(listing(exactly(1), SIGNED_ITEM, SIGNED_ITEM), cbor(x('warrant')))
    # What they say is read before their signatures are checked.
    read = [(kind, statement_of(kind, signed)) for kind, signed in two]
    (a_kind, a), (b_kind, b) = read
    a_says, b_says = (shaped(PAYLOADS[kind], cbor(s['payload'])) for kind, s in read)
    heads = [kind == 'head' for kind, _ in read]
    place = [says[1] if kind == 'head' else says[-2] for (kind, _), says in zip(read, (a_says, b_says))]
    differs = a_says[2:4] != b_says[2:4] if all(heads) else not any(heads)
    if not (a['hash'] < b['hash'] and a['from'] == b['from'] and place[0] == place[1] and differs):
        raise Refused('ERR_TRUST_INVALID')
    for kind, signed in two:
        open_statement(kind, signed, a['iat'], LIFETIMES[kind])
    same((sha256(a['hash'] + b['hash']), a['from']), (x('id'), x('issuer')))


MEET_ITEM = listing(among('attestation', 'revocation'), octets(0, 1280))
MEET = {
    'put': listing(exactly('put'), many(MEET_ITEM, 16)),
    'list': listing(exactly('list'), octets(32)),
    'put-answer': many(among('kept', 'known', 'invalid', 'full', 'busy'), 16),
    'list-answer': many(MEET_ITEM, 64),
}


def read_meet_frame(v, x):
    frame = shaped(MEET[v['of']], cbor(x('frame')))
    same(flat(frame), v['list'])


def read_meet_provider_key(v, x):
    same(sha256(b'kindmesh-att/1\0' + x('subject') + bytes([v['bucket']])), x('key'))


SYNC_RANGE = listing(COUNT, octets(0, 16), integer(0, 2), octets(0, 512))
SYNC_QUESTION = listing(octets(16), nullable(octets(0, 32_768)), INSTANT, nullable(INSTANT), many(SYNC_RANGE, 81), many(octets(16), 128))
SYNC_ANSWER = listing(boolean, boolean, many(SYNC_RANGE, 681), many(listing(among('attestation', 'revocation', 'head', 'warrant'), octets(0, 4096)), 200))


def read_att_sync(v, x):
    """A holder's answer worked out anew, trust/v1 section 5.8."""
    scope, tags, _, _, ranges, _ = shaped(SYNC_QUESTION, cbor(x('question')))
    time, places = 0, []
    for step, prefix, what, said in ranges:
        time += step
        if time > 2**53 - 1 or not (len(said) == 0 if what == 0 else len(said) == 16 if what == 1 else len(said) % 16 == 0):
            raise Refused('ERR_WIRE_MALFORMED')
        places.append((time, prefix, what, said))
    cut_up = [tags[i : i + 8] for i in range(0, len(tags), 8)]
    if len(tags) % 8 or cut_up != sorted(set(cut_up)) or sha256(tags)[:16] != scope:
        raise Refused('ERR_WIRE_MALFORMED')
    held = [(at, bytes.fromhex(name)) for at, name in v['held']]
    same(held, sorted(held))

    def fingerprint(items):
        return sha256(b'kindmesh att-sync 1\0' + b''.join(name for _, name in items))[:16]

    def place(index):
        (before_at, before), (at, name) = held[index - 1], held[index]
        if index == 0 or before_at != at:
            return at, b''
        length = next(n for n in range(1, 17) if before[:n] != name[:n] or n == 16)
        return at, name[:length]

    said, last, start = [], (0, b''), 0
    for at, prefix, what, bytes_ in places:
        if (at, prefix) <= last:
            raise Refused('ERR_PROTOCOL')
        end = sum(1 for t, name in held if t < at or (t == at and name[: len(prefix)] < prefix))
        items, last = held[start:end], (at, prefix)
        if what == 2:
            raise Refused('ERR_PROTOCOL')
        if what == 0 or bytes_ == fingerprint(items):
            said.append((last, 0, b''))
        elif len(items) <= 32:
            said.append((last, 2, b''.join(name[:16] for _, name in items)))
        else:
            ends = [start + (n + 1) * len(items) // 16 for n in range(16)]
            for n, stop in enumerate(ends):
                said.append((last if stop == end else place(stop), 1, fingerprint(held[ends[n - 1] if n else start : stop])))
        start = end
    merged = [one for n, one in enumerate(said) if one[1] != 0 or (n + 1 < len(said) and said[n + 1][1] != 0)]
    at, answer = 0, []
    for (time, prefix), what, bytes_ in merged:
        answer.append([time - at, prefix, what, bytes_])
        at = time
    same([True, False, answer, []], shaped(SYNC_ANSWER, cbor(x('answer'))))


def read_channel(v, x):
    def opened(direction, frames):
        cipher = AESGCM(derive(x('replySecret'), b'task ' + direction))
        aad = b'klp/1/task\0' + x('requestHash')
        try:
            return [cipher.decrypt(struct.pack('>IQ', 0, i), f, aad) for i, f in enumerate(frames)]
        except InvalidTag:
            raise Refused('ERR_CRYPTO_OPEN')

    events = opened(b'to-asker', map(bytes.fromhex, v['frames']))
    same([e.hex() for e in events], v['events'])
    for event in events:
        shaped(is_event, cbor(event))
    same(opened(b'to-executor', [x('answer')])[0], x('answered'))


RECEIPT_DAYS = 400
LIMITS, USAGE = listing(*[COUNT] * 9), listing(*[COUNT] * 7)
ENGINE = among('javascript', 'wasm', 'command')
ISOLATION = among('native', 'sandboxed', 'containerized', 'virtualized')
CAPABILITIES = many(among(
    'file:read', 'file:write', 'network:inbound', 'network:outbound', 'memory:read', 'memory:write', 'subprocess:spawn',
    'vectordb:access', 'llm:invoke', 'agent:delegate', 'vault:access', 'system:api'), 12)
ARTEFACT_FIELDS = (text(255), integer(0, 64 << 20), HASH)
ARTEFACT = listing(*ARTEFACT_FIELDS)
REQUEST = listing(
    exactly(1), HASH, ENGINE, text(1 << 18), text(1 << 18), LIMITS, ISOLATION, boolean, CAPABILITIES, integer(0, 9), nullable(INSTANT),
    boolean, boolean, many(ARTEFACT, 32), nullable(octets(0, 32 << 10)), nullable(octets(16)), HASH
)
RECEIPT = listing(
    exactly(1), HASH, HASH, HASH, nullable(HASH), text(64), INSTANT, INSTANT, USAGE, ISOLATION, text(64), ENGINE, boolean, CAPABILITIES,
    LIMITS, many(HASH, 32), many(ARTEFACT, 32), HASH, COUNT, COUNT, HASH
)
TASK_EVENTS = {
    'accepted': (ISOLATION, text(64), boolean, CAPABILITIES, LIMITS),
    'queued': (COUNT,),
    'running': (),
    'usage': (USAGE,),
    'progress': (integer(0, 1000), text(8192)),
    'console': (among('log', 'info', 'warn', 'error', 'debug'), text(1 << 20)),
    'artefact': ARTEFACT_FIELDS,
    'chunk': (octets(0, 1 << 16),),
    'result': (nullable(text(1 << 20)), text(8192), text(32), octets(0, 24 << 10)),
    'refused': (text(64), text(512), integer(0, DAY)),
    'decision': (ISOLATION, text(64), COUNT, COUNT),
    'kept': (),
}


def is_event(item):
    if not listing(text(16), octets(0, (1 << 20) + (64 << 10)))(item) or item[0] not in TASK_EVENTS:
        return False
    return listing(exactly(item[0]), *TASK_EVENTS[item[0]])(cbor(item[1]))


def read_task_receipt(v, x):
    s = open_statement('task-receipt', x('signed'), v['now'], RECEIPT_DAYS * DAY)
    facts = shaped(RECEIPT, cbor(s['payload']))
    found = (s['from'], s['to'], *facts[1:4])
    if found != tuple(map(x, ('executor', 'asker', 'requestHash', 'codeHash', 'inputHash'))):
        raise Refused('ERR_RECEIPT_INVALID')


def read_task_countersign(v, x):
    receipt = open_statement('task-receipt', x('receipt'), v['now'], RECEIPT_DAYS * DAY)
    s = open_statement('task-countersign', x('signed'), v['now'], RECEIPT_DAYS * DAY)
    _, about, _ = shaped(listing(exactly(1), HASH, boolean), cbor(s['payload']))
    if (s['from'], s['to'], about) != (receipt['to'], receipt['from'], receipt['hash']):
        raise Refused('ERR_RECEIPT_INVALID')


# --- grant/v1 ----------------------------------------------------------------------------------------------------------

NAMES = nullable(many(text(64), 16))
TOKEN = listing(exactly(1), KEY, text(64), listing(
    nullable(CAPABILITIES), nullable(listing(*[nullable(COUNT)] * 9)), nullable(ISOLATION), nullable(many(HASH, 16)),
    nullable(many(text(255), 16)), NAMES, NAMES))
LEVELS = ('native', 'sandboxed', 'containerized', 'virtualized')
LIMIT_NAMES = ('memoryMiB', 'wallMs', 'cpuMs', 'outputBytes', 'hostCalls', 'cpuPercent', 'netKiBps', 'fsOps', 'processes')
BY_NAME = ('/vault/access', '/system/api', '/sandbox/native')
HOST = re.compile(r'(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]')
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,63}')


def require(holds, code='ERR_GRANT_INVALID'):
    if not holds:
        raise Refused(code)


def command_covers(outer, inner):
    return outer == '/' or inner == outer or inner.startswith(outer + '/')


def host_covers(outer, inner):
    return outer == inner or (outer.startswith('*.') and (inner[2:] if inner.startswith('*.') else inner).endswith(outer[1:]))


def open_token(data):
    require(len(data) <= 1280, 'ERR_WIRE_TOO_LARGE')
    # Its time is asked apart: any instant within its life will do here.
    body = cbor(data)[1]
    iat = cbor(body['klp/delegation@1'])[4] if isinstance(body, dict) and 'klp/delegation@1' in body else 0
    s = open_statement('delegation', data, iat, 400 * DAY)
    require(s['type'] == 'grant')
    _, sub, command, policy = shaped(TOKEN, cbor(s['payload']))
    require(re.fullmatch(r'/|(/[a-z0-9][a-z0-9_.-]*)+', command))
    capabilities, _, _, code, hosts, secrets, roots = policy
    require(all(names is None or len(set(names)) == len(names) for names in (capabilities, code, hosts, secrets, roots)))
    require(all(HOST.fullmatch(host) for host in hosts or ()))
    require(all(NAME.fullmatch(name) for name in (secrets or []) + (roots or [])))
    return dict(s, sub=sub, command=command, policy=policy)


def narrower(child, parent):
    def part(own, theirs):
        return set(own) <= set(theirs)

    rules = (
        part,
        lambda own, theirs: all(most is None or (mine is not None and mine <= most) for mine, most in zip(own, theirs)),
        lambda own, theirs: LEVELS.index(own) >= LEVELS.index(theirs),
        part,
        lambda own, theirs: all(any(host_covers(outer, inner) for outer in theirs) for inner in own),
        part,
        part,
    )
    return all(theirs is None or (own is not None and rule(own, theirs)) for rule, own, theirs in zip(rules, child, parent))


def read_grant(v, x):
    require(len(x('chain')) <= 5248, 'ERR_WIRE_TOO_LARGE')
    _, chain = shaped(listing(exactly(1), many(octets(0, 1280), 4)), cbor(x('chain')))
    tokens = [open_token(data) for data in chain]
    require(tokens)
    require(not tokens[0]['caps'])
    for parent, child in zip(tokens, tokens[1:]):
        require(child['caps'] == [parent['hash']])
        require(child['sub'] == parent['sub'] and command_covers(parent['command'], child['command']))
        require(narrower(child['policy'], parent['policy']) and child['exp'] <= parent['exp'])
    holder, now = x('owner'), v['now']
    for token in tokens:
        require(token['sub'] == x('owner') and token['from'] == holder)
        require(token['iat'] <= now + 2 * MINUTE, 'ERR_STATEMENT_FUTURE')
        require(now < token['exp'], 'ERR_STATEMENT_EXPIRED')
        require(token['hash'].hex() not in v['revoked'], 'ERR_GRANT_REVOKED')
        holder = token['to']
    last = tokens[-1]
    require(holder == x('bearer'), 'ERR_STATEMENT_AUDIENCE')
    if 'token' in v:
        same((last['hash'].hex(), last['command'], last['exp']), (v['token']['id'], v['token']['command'], v['token']['expiresAt']))
        same(v['text'], 'kmgrant:' + base64.urlsafe_b64encode(x('chain')).decode().rstrip('='))
    if 'command' in v:
        wanted = v['command']
        by_name = last['command'] == wanted and len(tokens) == 1
        require(by_name if wanted in BY_NAME else command_covers(last['command'], wanted), 'ERR_GRANT_NEEDED')
    if 'use' in v:
        capabilities, limits, _, code, _, _, _ = last['policy']
        use = v['use']
        require(capabilities is None or set(use['capabilities']) <= set(capabilities), 'ERR_GRANT_NEEDED')
        most = dict(zip(LIMIT_NAMES, limits or [None] * 9))
        require(all(most[name] is None or value <= most[name] for name, value in use['limits'].items()), 'ERR_GRANT_NEEDED')
        require(code is None or bytes.fromhex(use['code']) in code, 'ERR_GRANT_NEEDED')


# --- mailbox/v1 --------------------------------------------------------------------------------------------------------

MAILBOX = {
    'mailbox-registration': (30 * DAY, listing(exactly(1), COUNT, COUNT)),
    'mailbox-acceptance': (30 * DAY, listing(exactly(1), *[COUNT] * 5)),
    'delegation': (30 * DAY, listing(exactly(1), KEY, exactly('/mailbox/put'), nullable(COUNT), nullable(COUNT))),
    'storage-receipt': (37 * DAY + 2 * MINUTE, listing(exactly(1), HASH, COUNT, COUNT, INSTANT)),
    'mailbox-page': (30 * DAY, listing(exactly(1), COUNT, COUNT, COUNT, many(listing(COUNT, HASH), 64))),
}
SIGNED, ITEM = octets(0, 8192), octets(0, 262_144)
MAILBOX_FRAMES = {
    'request': [
        listing(exactly(0), KEY),
        listing(exactly(1), SIGNED),
        listing(exactly(2), KEY, ITEM, INSTANT, nullable(SIGNED), nullable(octets(8))),
        listing(exactly(3), COUNT),
        listing(exactly(4), many(COUNT, 256)),
        listing(exactly(5)),
        listing(exactly(6)),
        listing(exactly(7), nullable(SIGNED), many(listing(KEY, many(text(256), 4)), 4), octets(0, 4096)),
    ],
    'answer': [
        listing(exactly(0), text(64), text(256), integer(0, DAY)),
        listing(exactly(1), integer(0, 255)),
        listing(exactly(2), SIGNED),
        listing(exactly(3), SIGNED),
        listing(exactly(4), COUNT, ITEM),
        listing(exactly(5), SIGNED),
        listing(exactly(6)),
        listing(exactly(7), *[COUNT] * 5),
    ],
}


def open_mailbox(kind, data, sender, audience, now):
    """The statement and its payload, after every check that its kind asks for."""
    lifetime, shape = MAILBOX[kind]
    s = open_statement(kind, data, now, lifetime)
    if s['from'] != sender:
        raise Refused('ERR_STATEMENT_SENDER')
    if s['to'] != audience:
        raise Refused('ERR_STATEMENT_AUDIENCE')
    payload = shaped(shape, cbor(s['payload']))
    if kind == 'delegation' and (payload[1] != s['from'] or s['caps']):
        raise Refused('ERR_MAILBOX_GRANT')
    if kind == 'mailbox-page':
        _, after, up_to, last, entries = payload
        numbers = [after] + [number for number, _ in entries]
        if any(a >= b for a, b in zip(numbers, numbers[1:])) or numbers[-1] > max(after, up_to):
            raise Refused('ERR_PROTOCOL')
        if up_to > last or (up_to < last and up_to <= after):
            raise Refused('ERR_PROTOCOL')
    return s, payload


def check_work(holder, recipient, item_hash, expires_at, nonce, bits):
    digest = sha256(b'klp/1/mailbox-work\0' + holder + recipient + item_hash + struct.pack('>Q', expires_at) + nonce)
    if len(nonce) != 8 or int.from_bytes(digest, 'big') >> (256 - bits):
        raise Refused('ERR_MAILBOX_WORK')


def read_mailbox_statement(v, x):
    s, payload = open_mailbox(v['of'], x('signed'), x('from'), x('to'), v['now'])
    if 'registrationHash' in v and s['refs'][:1] != [x('registrationHash')]:
        raise Refused('ERR_PROTOCOL')
    if 'list' in v:
        same(flat(payload), v['list'])


def read_mailbox_loss(v, x):
    receipt, (_, item_hash, _, number, until) = open_mailbox('storage-receipt', x('receipt'), x('holder'), x('owner'), v['now'])
    page, (_, after, up_to, last, entries) = open_mailbox('mailbox-page', x('page'), x('holder'), x('owner'), v['now'])
    if page['iat'] < receipt['iat'] or page['iat'] + 10 * MINUTE > until:
        return
    if number > last or (after < number <= up_to and [number, item_hash] not in entries):
        raise Refused('ERR_MAILBOX_LOST')


def read_mailbox_work(v, x):
    check_work(x('holder'), x('recipient'), x('itemHash'), v['expiresAt'], x('nonce'), v['bits'])


def read_mailbox_frame(v, x):
    fields = cbor(x('frame'))
    shaped(lambda frame: isinstance(frame, list) and any(shape(frame) for shape in MAILBOX_FRAMES[v['direction']]), fields)
    same(flat(fields), v['list'])


def read_mailbox_deposit(v, x):
    """What a holder with one registered owner, and nothing else, answers."""
    now = v['now']
    _, recipient, item, expires_at, delegation, nonce = shaped(MAILBOX_FRAMES['request'][2], cbor(x('request')))
    registration = open_statement('mailbox-registration', x('registration'), min(now, NOW), 30 * DAY)
    if recipient != registration['from'] or registration['exp'] + 2 * MINUTE < now:
        raise Refused('ERR_MAILBOX_UNKNOWN')
    if not item:
        raise Refused('ERR_WIRE_MALFORMED')
    if expires_at <= now:
        raise Refused('ERR_STATEMENT_EXPIRED')
    if expires_at - now > 7 * DAY + 2 * MINUTE:
        raise Refused('ERR_STATEMENT_LIFETIME')
    if delegation is not None:
        open_mailbox('delegation', delegation, recipient, x('peer'), now)
    elif nonce is None:
        raise Refused('ERR_MAILBOX_GRANT')
    else:
        check_work(x('holder'), recipient, sha256(item), expires_at, nonce, v['bits'])
CURSOR = integer(0, 1 << 40)
STREAM_CHUNK = 65_536
STREAM_OFFER = listing(exactly(1), octets(16), text(255), CURSOR, HASH, exactly(STREAM_CHUNK), nullable(text(127)), octets(32))
STREAM_RECEIPT = listing(exactly(1), exactly('received'), octets(16), CURSOR, HASH)
STREAM_EVENTS = {
    'accepted': listing(exactly('accepted'), CURSOR),
    'kept': listing(exactly('kept'), CURSOR),
    'received': listing(exactly('received'), octets(0, 8_192)),
    'refused': listing(exactly('refused'), text(64), text(512), integer(0, 86_400_000)),
}


def open_offer(data, now):
    s = open_statement('stream-offer', data, now, 10 * MINUTE)
    return s, shaped(STREAM_OFFER, cbor(s['payload']))


def read_stream_offer(v, x):
    s, (_, transfer, name, size, body_hash, _, media_type, secret) = open_offer(x('signed'), v['now'])
    if (s['from'], s['to']) != (x('from'), x('to')):
        raise Refused('ERR_STATEMENT_AUDIENCE')
    same(s['hash'], x('hash'))
    same((transfer, body_hash, secret), tuple(map(x, ('transfer', 'bodyHash', 'secret'))))
    same((name, size, media_type), (v['name'], v['size'], v['mediaType']))


def read_stream(v, x):
    def opened(direction, frames):
        cipher = AESGCM(derive(x('secret'), b'stream ' + direction))
        aad = b'klp/1/stream\0' + x('offerHash')
        try:
            return [cipher.decrypt(struct.pack('>IQ', 0, i), f, aad) for i, f in enumerate(frames)]
        except InvalidTag:
            raise Refused('ERR_CRYPTO_OPEN')

    frames = [bytes.fromhex(f) for f in v['frames']]
    same({f[0] for f in frames}, {1})
    events = opened(b'to-sender', [f[1:] for f in frames])
    same([e.hex() for e in events], v['events'])
    for event in events:
        name, body = shaped(listing(among(*STREAM_EVENTS), octets(0, 10_000)), cbor(event))
        shaped(STREAM_EVENTS[name], cbor(body))
    at = v['cursor']
    chunks = opened(b'to-receiver', [bytes.fromhex(c) for c in v['chunks']])
    for chunk in chunks:
        if len(chunk) != min(STREAM_CHUNK, v['size'] - at):
            raise Refused('ERR_PROTOCOL')
        at += len(chunk)
    same(b''.join(chunks), x('body'))


def read_stream_receipt(v, x):
    offer, (_, transfer, _, size, body_hash, _, _, _) = open_offer(x('offer'), v['now'])
    s = open_statement('stream-receipt', x('signed'), v['now'], RECEIPT_DAYS * DAY)
    _, _, *facts = shaped(STREAM_RECEIPT, cbor(s['payload']))
    if (s['from'], s['to'], s['refs'], facts) != (offer['to'], offer['from'], [offer['hash']], [transfer, size, body_hash]):
        raise Refused('ERR_RECEIPT_INVALID')


def safe_file_name(name):
    """stream/v1 section 4.5"""
    name = unicodedata.normalize('NFC', name)
    unfit = ('Cc', 'Cf', 'Co', 'Cs', 'Zl', 'Zp')
    name = ''.join('_' if c in '/\\:*?"<>|' or unicodedata.category(c) in unfit else c for c in name)
    name = re.sub(r'\s+', ' ', name).strip('. ')
    if len(name.encode()) > 200:
        stem, dot, extension = name.rpartition('.')
        if not stem or len(extension) >= 16:
            stem, dot, extension = name, '', ''
        room = 200 - len((dot + extension).encode())
        while len(stem.encode()) > room:
            stem = stem[:-1]
        name = (stem.rstrip() + dot + extension).rstrip('. ')
    if not name:
        return 'file'
    device = re.match(r'(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)', name, re.IGNORECASE)
    return '_' + name if device else name


def read_file_name(v, _x):
    same(safe_file_name(v['name']), v['safe'])


def read_checkpoint(v, _x):
    size, root = open_checkpoint(v['note'], v['did'])
    same((size, base64.b64encode(root).decode()), (v['size'], v['root']))


def read_tree(v, _x):
    leaves = [leaf(bytes.fromhex(entry)) for entry in v['entries']]
    same([tree_root(leaves[:size]).hex() for size in range(len(leaves) + 1)], v['roots'])


ENTRY = ('seq', 'data', 'time', 'actor', 'event', 'subject', 'prevHash')


def read_audit_entry(v, x):
    entry = cbor(x('entry'))
    same((tuple(entry), leaf(x('entry'))), (ENTRY, x('leaf')))
    same({name: entry[name] for name in v['fields']}, v['fields'])
    if not (isinstance(entry['data'], dict) and HASH(entry['prevHash']) and len(x('entry')) <= 8192):
        raise Refused('ERR_WIRE_MALFORMED')


def read_audit_proof(v, _x):
    p = v['proof']
    size, root = open_checkpoint(p['checkpoint'], v['did'])
    if size != p['size']:
        raise Refused('bad')
    entry = base64.b64decode(p['entry'])
    found = root_of_path(leaf(entry), p['index'], size, [base64.b64decode(h) for h in p['hashes']])
    if found != root or cbor(entry)['seq'] != p['index'] or len(p['hashes']) > 64:
        raise Refused('bad')


def read_audit_consistency(v, _x):
    p = v['proof']
    size, root = open_checkpoint(p['checkpoint'], v['did'])
    old_size, old_root = open_checkpoint(v['oldCheckpoint'], v['did'])
    if not consistent(old_size, old_root, size, root, [base64.b64decode(h) for h in p['hashes']]):
        raise Refused('bad')
    if 'entries' in v:
        entries = [base64.b64decode(e) for e in v['entries']]
        leaves = [leaf(e) for e in entries]
        same((tree_root(leaves[:old_size]), tree_root(leaves)), (old_root, root))
        same([cbor(e)['prevHash'] for e in entries], [bytes(32)] + leaves[:-1])


# --- join/v1 ----------------------------------------------------------------------------------------------------

TERMS = listing(integer(1, 4), many(text(64), 4), INSTANT, COUNT)
TICKETS = [
    listing(exactly(1), KEY, many(text(128), 3)),
    listing(exactly(2), KEY, many(text(128), 3), octets(16), TERMS),
]
STATEMENT_BYTES = octets(0, 1536)
JOIN_FRAMES = [
    listing(exactly(0), text(64), text(512)),
    listing(exactly(1), octets(16), KEY, HASH),
    listing(exactly(2), HASH, STATEMENT_BYTES, nullable(STATEMENT_BYTES)),
    listing(exactly(3), STATEMENT_BYTES, nullable(STATEMENT_BYTES)),
    listing(exactly(4)),
]


# --- vault/v1 ---------------------------------------------------------------------------------------------------------

VAULT = 'kindmesh.vault/1'
WRAPPED = octets(60)
PARAMETERS = listing(integer(65_536, 262_144), integer(3, 12), exactly(1))
SLOT = listing(octets(8), among('passphrase', 'recovery', 'prf', 'keyring'), text(64), INSTANT, nullable(PARAMETERS), nullable(octets(0, 1_024)), octets(32), WRAPPED)
VAULT_FILE = listing(
    exactly(VAULT), octets(16), INSTANT, integer(1, 2**53 - 1), COUNT, many(SLOT, 8), listing(COUNT, INSTANT, WRAPPED), many(octets(0, 66_560), 1_024), octets(32)
)
VAULT_RECORD = listing(octets(32), COUNT, integer(1, 2**53 - 1), octets(0, 66_560))
VAULT_SECRET = listing(text(256), INSTANT, INSTANT, octets(0, 65_536))
BACKUP = listing(exactly('kindmesh.vault-backup/1'), octets(16), INSTANT, PARAMETERS, octets(32), octets(0, 16 << 20))
CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'


def array(*items):
    return cbor2.dumps(list(items), canonical=True)


def vault_secrets(data, key):
    """Everything in a vault file, from the key of one slot; with a passphrase from the key that Argon2id gives."""
    whole = shaped(VAULT_FILE, cbor(data))
    _, vault_id, _, counter, floor, slots, (number, begun, wrapped), records, tag = whole
    work = sum(slot[4][0] * slot[4][1] for slot in slots if slot[4])
    kinds = all((slot[1] == 'passphrase') == (slot[4] is not None) and (slot[1] == 'prf') == (slot[5] is not None) for slot in slots)
    read = [shaped(VAULT_RECORD, cbor(record)) for record in records]
    names = [record[0] for record in read]
    if not slots or work > 8 * 65_536 * 3 or not kinds or len({slot[0] for slot in slots}) < len(slots):
        raise Refused('ERR_AUTH_FAILED')
    if names != sorted(set(names)) or any(record[1] != number for record in read):
        raise Refused('ERR_AUTH_FAILED')
    for slot in slots:
        if slot[1] != key['kind']:
            continue
        secret = bytes.fromhex(key['secret'])
        wrapping = bytes.fromhex(key['wrappingKey']) if slot[4] else expand(mac(slot[6], secret), ('%s slot %s' % (VAULT, slot[1])).encode(), 32)
        root = open_local(wrapping, slot[7], array(VAULT + ' slot', vault_id, *slot[:7]))
        if mac(derive(root, b'vault file'), data[:-32]) != tag:
            raise Refused('ERR_AUTH_FAILED')
        data_key = open_local(derive(root, b'vault epoch'), wrapped, array(VAULT + ' epoch', vault_id, number, begun))
        secrets = []
        for blinded, epoch, version, sealed in read:
            plain = open_local(mac(data_key, array(blinded, version)), sealed, array(VAULT + ' record', vault_id, epoch, version, blinded))
            name, created, changed, value = shaped(VAULT_SECRET, cbor(plain))
            if mac(derive(root, b'vault names'), name.encode()) != blinded:
                raise Refused('ERR_AUTH_FAILED')
            secrets.append([name, version, created, changed, value.hex()])
        return root, counter, floor, number, sorted(secrets)
    raise Refused('ERR_AUTH_FAILED')


def read_vault(v, x):
    try:
        root, *says = vault_secrets(x('file'), v['key'])
    except (Refused, InvalidTag):
        raise Refused('ERR_AUTH_FAILED')
    same(root, x('rootKey'))
    same(says, [v['counter'], v['floor'], v['epoch'], sorted(v['secrets'])])


def crockford(data):
    bits = ''.join('{:08b}'.format(byte) for byte in data)
    return ''.join(CROCKFORD[int(bits[at : at + 5].ljust(5, '0'), 2)] for at in range(0, len(bits), 5))


def read_vault_recovery_code(v, x):
    digits = re.sub(r'[\s-]', '', v['code']).upper().replace('O', '0').replace('I', '1').replace('L', '1')
    if len(digits) != 36 or not set(digits) <= set(CROCKFORD):
        raise Refused('ERR_USAGE')
    secret = bytes(int(''.join('{:05b}'.format(CROCKFORD.index(digit)) for digit in digits[:32])[at : at + 8], 2) for at in range(0, 160, 8))
    if crockford(sha256(b'kindmesh.vault/1 recovery' + secret))[:4] != digits[32:]:
        raise Refused('ERR_USAGE')
    same(secret, x('secret'))
    same('-'.join(digits[at : at + 4] for at in range(0, 36, 4)), v['written'])


def read_vault_backup(v, x):
    """From the key that Argon2id gives for the backup as it was made."""
    try:
        form, vault_id, created, parameters, salt, sealed = shaped(BACKUP, cbor(x('file')))
    except Refused:
        raise Refused('ERR_VAULT_IMPORT')
    try:
        plain = cbor(open_local(x('wrappingKey'), sealed, array(form, vault_id, created, parameters, salt)))
    except InvalidTag:
        raise Refused('ERR_AUTH_FAILED')
    shape = listing(text(256), integer(1, 2**40), INSTANT, INSTANT, octets(0, 65_536))
    secrets = [shaped(shape, cbor(item)) for item in shaped(many(octets(0, 66_560), 1_024), plain)]
    same((vault_id.hex(), created), (v['vaultId'], v['createdAt']))
    same(sorted([*secret[:4], secret[4].hex()] for secret in secrets), sorted(v['secrets']))


def read_old_vault(v, x):
    f = json.loads(x('file'))
    kdf, salt = f['kdf'], base64.b64decode(f['kdf']['salt'])
    fixed = (f['version'], f['cipher'], kdf['name'], kdf['hash']) == (1, 'AES-256-GCM', 'PBKDF2', 'SHA-256')
    fields = set(f) == {'version', 'kdf', 'cipher', 'items'} and set(kdf) == {'name', 'hash', 'iterations', 'salt'}
    if not fixed or not fields or not 10_000 <= kdf['iterations'] <= 5_000_000 or not 8 <= len(salt) <= 64:
        raise Refused('ERR_VAULT_IMPORT')
    key = hashlib.pbkdf2_hmac('sha256', x('passphrase'), salt, kdf['iterations'], 32)
    try:
        items = [[name, AESGCM(key).decrypt(base64.b64decode(item['iv']), base64.b64decode(item['data']), None).hex()] for name, item in f['items'].items()]
    except InvalidTag:
        raise Refused('ERR_AUTH_FAILED')
    same(items, v['secrets'])


def read_ticket(v, _x):
    head, _, tail = v['ticket'].partition(':')
    if head != 'kindmesh' or not re.fullmatch(r'[A-Za-z0-9_-]+', tail):
        raise Refused('ERR_USAGE')
    try:
        fields = cbor(base64.urlsafe_b64decode(tail + '=' * (-len(tail) % 4)))
        shaped(lambda item: any(shape(item) for shape in TICKETS), fields)
    except (Refused, ValueError):
        raise Refused('ERR_USAGE')
    expected = [v['did'], v['addresses']] + ([v['secret'], v['terms']] if fields[0] == 2 else [])
    same(flat(fields[1:]), expected)


def raw_party(value):
    return [bytes.fromhex(value['identity']), bytes.fromhex(value['key'])]


def read_join_proof(v, x):
    root = mac(b'kindmesh/join/1', x('secret'))
    invite = expand(root, b'id', 16)
    same(invite, x('id'))
    terms = [v['terms'][name] for name in ('level', 'scopes', 'expiresAt', 'lifetimeMs')]
    transcript = cbor2.dumps([1, invite, raw_party(v['inviter']), raw_party(v['joiner']), terms], canonical=True)
    if mac(expand(root, v['role'].encode(), 32), transcript) != x('proof'):
        raise Refused('ERR_INVITE_PROOF')


def read_join_frame(v, x):
    frame = cbor(x('frame'))
    shaped(lambda item: any(shape(item) for shape in JOIN_FRAMES), frame)
    same(flat(frame), v['list'])


def read_sas(v, x):
    first, second = [raw_party(v[side]) + [bytes.fromhex(v[side]['nonce'])] for side in ('initiator', 'responder')]
    if sha256(cbor2.dumps([1, first], canonical=True)) != x('commitment'):
        raise Refused('ERR_SAS_MISMATCH')
    out = expand(mac(b'kindmesh/sas/1', cbor2.dumps([1, x('commitment'), first, second], canonical=True)), b'words and digits', 14)
    with open(os.path.join(ROOT, 'protocols', 'join', 'v1', 'words.txt')) as file:
        words = file.read().split()
    same(([words[byte] for byte in out[:6]], '%06d' % (int.from_bytes(out[6:], 'big') % 1_000_000)), (v['words'], v['digits']))


# --- auth/v1 section 7 ------------------------------------------------------------------------------------------


def read_approval(v, x):
    no = 'ERR_LOGIN_REFUSED'
    check_cbor(x('approval'))
    version, said, key, algorithm, auth, client, signature = cbor2.loads(x('approval'))
    check_cbor(said)
    kind, _did, user, act, content, nonce, _at = cbor2.loads(said)
    require(version == 1 and kind == 'kindmesh/approval/1' and len(nonce) == 16, no)
    data = json.loads(client)
    challenge = base64.urlsafe_b64encode(sha256(said)).rstrip(b'=').decode()
    require(data['type'] == 'webauthn.get' and data['challenge'] == challenge, no)
    require(re.fullmatch(r'http://localhost:\d{1,5}', data['origin']) and data.get('crossOrigin', False) is False, no)
    require(auth[:32] == sha256(b'localhost') and auth[32] & 5 == 5, no)
    # A COSE_Key of Ed25519: the one algorithm this reader knows.
    require(algorithm == -8 and key[:10] == bytes.fromhex('a4010103272006215820') and len(key) == 42, no)
    require(verify(key[10:], auth + sha256(client), signature), no)
    same((user, act, content, sha256(key)), (v['user'], v['act'], x('content'), x('keyHash')))


# --- auth/v1 sections 11 to 14 -----------------------------------------------------------------------------------


def demand(holds, code='ERR_LOGIN_REFUSED'):
    if not holds:
        raise Refused(code)


def read_totp(vector, raw):
    present = vector['at'] // 30_000

    def code(step):
        mac = hmac.new(raw('secret'), struct.pack('>Q', step), hashlib.sha1).digest()
        at = mac[-1] & 15
        return '%06d' % ((struct.unpack('>I', mac[at : at + 4])[0] & 0x7FFFFFFF) % 10**6)

    demand(any(code(step) == vector['code'] and step > vector['lastStep'] for step in (present - 1, present, present + 1)))


def read_recovery_code(vector, raw):
    plain = ''.join(vector['code'].lower().split()).replace('-', '').replace('o', '0').replace('i', '1').replace('l', '1')
    text = b'kindmesh/1/recovery\0' + vector['account'].encode() + b'\0' + plain.encode()
    demand(sha256(text) == raw('hash'))


def read_login_context(vector, raw):
    away = vector['sinceLoginMs']
    confidence = 0.9 if away is None else 1 - 0.4 * min(1, away / (365 * DAY))
    confidence *= 1 if vector['isKnownDevice'] else 0.7
    confidence *= 1 if vector['isLoopback'] else 0.5
    demand(confidence * 0.9 ** vector['failedTries'] >= vector['threshold'])


def read_factor_policy(vector, raw):
    proofs = {'webauthn', 'totp', 'recovery'}
    demand(any(proofs & set(way) and set(way) <= set(vector['shown']) for way in vector['ways']), 'ERR_FACTOR_NEEDED')


READERS = {
    'approval': read_approval,
    'totp': read_totp,
    'recovery-code': read_recovery_code,
    'login-context': read_login_context,
    'factor-policy': read_factor_policy,
    'ticket': read_ticket,
    'join-proof': read_join_proof,
    'join-frame': read_join_frame,
    'sas': read_sas,
    'did': read_did,
    'key-file': read_key_file,
    'chain-statement': read_chain_statement,
    'chain': read_chain,
    'chain-record': read_chain_record,
    'agent-record': read_agent_record,
    'cbor': read_cbor,
    'statement': read_statement,
    'prekeys': read_prekeys,
    'box': read_box,
    'session': read_session,
    'session-run': read_session_run,
    'capability-key': read_capability_key,
    'frame': read_frame,
    'payload': read_payload,
    'body': read_body,
    'jcs': read_jcs,
    'jcs-number': read_jcs_number,
    'signed-json': read_signed_json,
    'signed-document': read_signed_document,
    'bundle': read_bundle,
    'group-frame': read_group_frame,
    'roster': read_roster,
    'topic': read_topic,
    'trust': read_trust,
    'trust-warrant': read_warrant,
    'meet-frame': read_meet_frame,
    'meet-provider-key': read_meet_provider_key,


    'att-sync': read_att_sync,
    'grant': read_grant,
    'channel': read_channel,
    'task-receipt': read_task_receipt,
    'task-countersign': read_task_countersign,
    'mailbox-statement': read_mailbox_statement,
    'mailbox-loss': read_mailbox_loss,
    'mailbox-work': read_mailbox_work,
    'mailbox-frame': read_mailbox_frame,
    'mailbox-deposit': read_mailbox_deposit,
    'stream-offer': read_stream_offer,
    'stream': read_stream,
    'stream-receipt': read_stream_receipt,
    'file-name': read_file_name,
    'checkpoint': read_checkpoint,
    'tree': read_tree,
    'vault': read_vault,
    'vault-recovery-code': read_vault_recovery_code,
    'vault-backup': read_vault_backup,
    'old-vault': read_old_vault,
    'audit-entry': read_audit_entry,
    'audit-proof': read_audit_proof,
    'audit-consistency': read_audit_consistency,
}


def verdict_of(vector):
    try:
        READERS[vector['kind']](vector, lambda name: bytes.fromhex(vector[name]))
        return 'ok'
    except Refused as refusal:
        return str(refusal)


def third_party():
    """X-Wing as written here against the vectors of its draft, where they stand beside the checkout."""
    path = os.path.join(ROOT, '..', 'shared', 'data', 'vectors', 'xwing.json')
    if not os.path.exists(path):
        print('no third-party vectors beside the checkout: X-Wing is read with our own only')
        return []
    with open(path) as file:
        cases = json.load(file)
    results = []
    for case in cases:
        public, key = xwing_key(bytes.fromhex(case['seed']))
        good = public.hex() == case['pk'] and xwing_decapsulate(key, bytes.fromhex(case['ct'])).hex() == case['ss']
        results.append(('xwing.json', good, ''))
    return results


def main():
    results = third_party()
    for path in sorted(glob.glob(os.path.join(ROOT, 'protocols', '*', 'v1', 'vectors', '*.json'))):
        with open(path) as file:
            vector = json.load(file)
        name = os.path.relpath(path, ROOT)
        try:
            verdict = verdict_of(vector)
            results.append((name, verdict == vector['expect'], 'says %s, expected %s' % (verdict, vector['expect'])))
        except Exception as error:  # a reader that stumbles has failed that vector, not the run
            results.append((name, False, '%s: %s' % (type(error).__name__, error)))
    failed = [(name, why) for name, good, why in results if not good]
    for name, why in failed:
        print('FAILED %s: %s' % (name, why))
    print('%d passed, %d failed' % (len(results) - len(failed), len(failed)))
    return 1 if failed or not results else 0


if __name__ == '__main__':
    sys.exit(main())
