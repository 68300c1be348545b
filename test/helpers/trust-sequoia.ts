import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Did } from '../../src/base/index.ts'
import { type FlowEdge, flowEdges, type Attestation, type Revocation } from '../../src/trust/index.ts'
import { trustData } from './trust-sets.ts'

interface Certificate {
  readonly fpr: string
  readonly uids: readonly string[]
  readonly expiresAt?: number
  readonly revocations?: readonly { readonly at: number; readonly hard: boolean }[]
  readonly uidRevocations?: readonly { readonly uid: string; readonly at: number }[]
}

interface Certification {
  readonly from: string
  readonly to: string
  readonly uid: string
  readonly at: number
  readonly expiresAt?: number | null
  readonly depth?: number
  readonly amount?: number
  readonly regex?: readonly string[]
  readonly revokes?: boolean
}

export interface Network {
  readonly nodes: readonly Certificate[]
  readonly edges: readonly Certification[]
}

interface Binding {
  readonly test: string
  readonly network: string
  readonly target: string
  readonly uid: string
}

export interface AuthenticateVector extends Binding {
  readonly time?: number
  readonly roots: readonly { readonly fpr: string; readonly amount: number }[]
  readonly min: number
  readonly expected: readonly { readonly amount: number; readonly path: readonly string[] }[] | null
}

export interface PathVector extends Binding {
  readonly from: string
  readonly residualDepth?: number
  readonly amount?: number | null
  readonly path?: readonly string[] | null
}

const read = <T>(name: string): T => JSON.parse(readFileSync(resolve(trustData, 'sequoia-wot', name), 'utf8')) as T

export const networks = (): Readonly<Record<string, Network>> => read('networks.json')
export const authenticateVectors = (): readonly AuthenticateVector[] => [
  ...read<AuthenticateVector[]>('vectors.json'),
  ...read<AuthenticateVector[]>('vectors-timed.json'),
]
export const pathVectors = (): readonly PathVector[] => read('vectors-backward.json')

/** A user id of a key stands as a subject of its own; its controller is the key. */
export const bindingOf = (fpr: string, uid: string): Did => `${fpr} ${uid}` as Did
const keyOf = (did: Did): Did => did.split(' ')[0] as Did

/** Statements in several places of one chain of scopes all cover its end and do not supersede each other. */
const asked = '/a/a/a/a/a/a'
const place = (at: number): string => '/a'.repeat(at + 1)

/** A network of OpenPGP certifications in the words of our statements, as far as they matter for one user id. Times are in seconds there. */
export function edgesFor(network: Network, target: string, uid: string, time: number): FlowEdge[] {
  const now = time * 1000
  const keys = new Map(network.nodes.map((key) => [key.fpr, key]))
  const dies = (fpr: string): number => {
    const { expiresAt = Infinity, revocations = [] } = keys.get(fpr) ?? {}
    return revocations.reduce((least, { at, hard }) => (hard ? -1 : at <= time ? Math.min(least, at) : least), expiresAt <= time ? expiresAt : Infinity)
  }
  const endsOf = (fpr: string, name: string): number =>
    (keys.get(fpr)?.uidRevocations ?? []).reduce((least, { uid: of, at }) => (of === name ? Math.min(least, at) : least), dies(fpr))

  const attestations: Attestation[] = []
  const revocations: Revocation[] = []
  const amounts = new Map<string, number>()
  const say = (said: Certification, subject: Did, ordinal: number, ends: number): void => {
    const id = `${said.from}>${subject}@${said.at}#${ordinal}`
    amounts.set(id, said.amount ?? 120)
    const fits = said.regex === undefined || said.regex.some((allowed) => new RegExp(allowed).test(uid))
    attestations.push({
      ...{ id, issuer: said.from as Did, subject, level: 3, depth: said.depth ?? 0, seq: said.at, issuedAt: said.at * 1000, firstSeenAt: said.at * 1000 },
      expiresAt: Math.min(said.expiresAt ?? Infinity, ends) * 1000,
      scopes: [fits ? place(ordinal) : '/elsewhere'],
    })
  }

  const before = network.edges.filter(({ at, from, to }) => at <= time && at < dies(from) && at < dies(to))
  for (const ended of before.filter(({ revokes }) => revokes === true)) {
    for (const said of before) {
      if (said.from !== ended.from || said.to !== ended.to || said.uid !== ended.uid || said.at > ended.at) continue
      for (const subject of [said.to as Did, bindingOf(said.to, said.uid)]) {
        for (let ordinal = 0; ordinal < 6; ordinal++) {
          revocations.push({ issuer: said.from as Did, attestationId: `${said.from}>${subject}@${said.at}#${ordinal}`, kind: 'soft', at: ended.at * 1000 })
        }
      }
    }
  }
  const ordinals = new Map<string, number>()
  for (const said of before.filter(({ revokes }) => revokes !== true)) {
    const uidAt = keys.get(said.to)?.uids.indexOf(said.uid) ?? 0
    const key = `${said.from} ${said.to} ${said.uid} ${said.at}`
    // In OpenPGP the one before counts again when the newest has expired; ours supersedes for good, so an expired one stands elsewhere.
    const isExpired = (said.expiresAt ?? Infinity) <= time
    const ordinal = isExpired ? 5 : uidAt * 2 + (ordinals.get(key) ?? 0)
    ordinals.set(key, (ordinals.get(key) ?? 0) + 1)
    say(said, said.to as Did, ordinal, Infinity)
    if (said.to === target && said.uid === uid) say(said, bindingOf(target, uid), ordinal, endsOf(target, uid))
  }
  // A key speaks for its own user ids.
  if (keys.get(target)?.uids.includes(uid) === true) say({ from: target, to: target, uid, at: 0, depth: 255 }, bindingOf(target, uid), 0, endsOf(target, uid))
  return flowEdges({ attestations, revocations, scope: asked, now, amountOf: ({ id }) => amounts.get(id) ?? 0, controllerOf: keyOf })
}

/** The roots of a vector as starts; of equals the key asked for itself comes first. */
export const startsOf = ({ roots, target }: AuthenticateVector): Map<string, number> =>
  new Map(roots.toSorted((a, b) => Number(b.fpr === target) - Number(a.fpr === target)).map(({ fpr, amount }) => [fpr, amount]))

/** A way as the vectors write it: keys; a user id at its end that its key vouches for itself counts as a step unless the key is the start. */
export function keysAlong(edges: readonly FlowEdge[]): string[] {
  const along = [edges[0]?.from ?? '', ...edges.map(({ to }) => to)].map((node) => keyOf(node as Did))
  return along.length === 2 && along[0] === along[1] ? along.slice(1) : along
}
