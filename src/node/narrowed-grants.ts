import type { AgentCapability } from '../base/index.ts'
import { commonHosts, hostCovers, type Reach } from '../policy/index.ts'
import type { Grants } from '../sandbox/index.ts'

export interface Narrowing {
  /** What the tokens of the asker name. */
  readonly reach: Reach
  /** Capabilities that a token gives and the operator's file does not. */
  readonly byToken: readonly AgentCapability[]
  /** The operator's folders are for reading alone. */
  readonly isReader: boolean
}

/** What the operator grants, as far as the asker's tokens go; secrets that a token alone gives are those it names. Source: grant/v1 section 4. */
export function narrowedGrants(granted: Grants, { reach: { hosts, secrets, roots }, byToken, isReader }: Narrowing): Grants {
  const { network, files, vault } = granted
  const isNamed = (name: string, among: readonly string[] | undefined): boolean => among?.includes(name) !== false
  // `host:port` without its port: an address keeps its brackets.
  const hostOf = (entry: string): string => entry.replace(/:\d+$/, '')
  return {
    ...granted,
    network:
      hosts === undefined
        ? network
        : {
            ...network,
            allowedDomains: commonHosts(network.allowedDomains, hosts),
            allowedPrivate: network.allowedPrivate.filter((entry) => hosts.some((outer) => hostCovers(outer, hostOf(entry)))),
          },
    files: {
      ...files,
      roots: files.roots.filter(({ name }) => isNamed(name, roots)).map((root) => (isReader ? { ...root, mode: 'read' as const } : root)),
    },
    vault: byToken.includes('vault:access') ? (secrets ?? []) : vault.filter((name) => isNamed(name, secrets)),
  }
}
