import { join } from 'node:path'
import { profilePaths } from '../base/index.ts'
import type { ConfigFiles } from './config.ts'

/** Where the machine's own settings lie unless `KINDMESH_ETC` names another folder. */
export const machineFolder = '/etc/kindmesh'

/** The files of all layers, for the profile in `home`. Source: protocols/config/v1 section 3. */
export function configFiles(home: string, machine: string = machineFolder): ConfigFiles {
  const { config, agentConfigs } = profilePaths(home)
  return {
    system: join(machine, 'config.toml'),
    organization: join(machine, 'organization.toml'),
    user: config,
    agent: (name) => join(agentConfigs, `${name}.toml`),
  }
}
