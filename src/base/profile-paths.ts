import { join } from 'node:path'

/** Files and folders of a profile. */
export interface ProfilePaths {
  readonly home: string
  /** What all may know of the identity. */
  readonly identity: string
  /** The keys of the identity and all secrets, sealed; see vault/v1. */
  readonly vault: string
  /** Made when no passphrase is given at `init`: the vault is then protected by the file's mode alone. */
  readonly passphraseFile: string
  readonly store: string
  readonly peerStore: string
  readonly checkpoint: string
  /** Files of tasks of others while they are here. */
  readonly tasks: string
  /** Address and token of the running node's API. */
  readonly api: string
  /** What the operator grants tasks of others; see sandbox/v1 section 5.1. */
  readonly grants: string
  /** Settings of whoever owns the profile; see config/v1. */
  readonly config: string
  /** Folder of settings of single agents, `<name>.toml`. */
  readonly agentConfigs: string
  /** Folder of named secrets, one file each, of profiles from before there was a vault. */
  readonly secrets: string
  /** Publishers and code whose bundles are trusted. */
  readonly bundlePins: string
  /** Code kept by its hash. */
  readonly code: string
}

/** Where a profile keeps its things. */
export const profilePaths = (home: string): ProfilePaths => ({
  home,
  identity: join(home, 'identity.json'),
  vault: join(home, 'vault'),
  passphraseFile: join(home, 'passphrase'),
  store: join(home, 'store'),
  peerStore: join(home, 'peers'),
  checkpoint: join(home, 'audit-checkpoint'),
  tasks: join(home, 'tasks'),
  api: join(home, 'api.json'),
  grants: join(home, 'sandbox.toml'),
  config: join(home, 'config.toml'),
  agentConfigs: join(home, 'agents'),
  secrets: join(home, 'secrets'),
  bundlePins: join(home, 'bundle-pins.json'),
  code: join(home, 'code'),
})

/** The passphrase as the file holds it, without the line end an editor leaves. */
export const trimLineEnd = (bytes: Uint8Array): Uint8Array => {
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.length
  return bytes.slice(0, end)
}
