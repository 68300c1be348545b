import type { MeshNode } from '../node/index.ts'

/** Entries one call looks through for those that fit; the answer says where to go on. */
export const auditLookMax = 20_000
const pageEntries = 1_000

export interface AuditSearch {
  readonly limit: number
  readonly before?: number | undefined
  readonly event?: string | undefined
  readonly party?: string | undefined
}

type Entry = Awaited<ReturnType<MeshNode['audit']['tail']>>[number]

/** The last entries that fit, oldest first, and where an older page begins; undefined at the beginning of the log. */
export async function searchAudit(
  audit: Pick<MeshNode['audit'], 'tail'>,
  { limit, before, event, party }: AuditSearch,
): Promise<{ readonly entries: readonly Entry[]; readonly before: number | undefined }> {
  const fits = fitOf(event, party)
  const found: Entry[] = []
  let at = before
  for (let looked = 0; looked < auditLookMax;) {
    const isFiltered = event !== undefined || party !== undefined
    const page = await audit.tail({ limit: isFiltered ? pageEntries : limit, before: at })
    for (const entry of page.toReversed()) {
      at = entry.seq
      if (fits(entry)) found.push(entry)
      if (found.length === limit) return { entries: found.toReversed(), before: at === 0 ? undefined : at }
    }
    if (page.length === 0 || at === 0) return { entries: found.toReversed(), before: undefined }
    looked += page.length
  }
  return { entries: found.toReversed(), before: at }
}

function fitOf(event: string | undefined, party: string | undefined): (entry: Entry) => boolean {
  const names = event?.split(',').filter((name) => name !== '')
  const isNamed = (name: string): boolean => names === undefined || names.some((wanted) => (wanted.endsWith('_') ? name.startsWith(wanted) : name === wanted))
  const isParty = ({ actor, subject = '' }: Entry): boolean => party === undefined || actor.includes(party) || subject.includes(party)
  return (entry) => isNamed(entry.event) && isParty(entry)
}
