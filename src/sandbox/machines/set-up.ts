import { type MeshError, toMeshError } from '../../base/index.ts'
import type { RootfsOptions } from '../containers/rootfs.ts'
import { buildGuestImage } from './image.ts'
import { machineLaunchers } from './launchers.ts'

/** Builds the guest image and saves a machine of the first kind that works; what is there already stays. @throws ERR_SANDBOX_UNAVAILABLE saying what is missing */
export async function setUpMachines({ clock, onProgress = () => undefined }: RootfsOptions): Promise<void> {
  await buildGuestImage({ clock, onProgress })
  let problem: MeshError | undefined
  for (const launcher of machineLaunchers(clock)) {
    const isMade = launcher.lacks() === undefined && launcher.isMade()
    if (!isMade) onProgress(`${launcher.name}: a machine boots, is saved and tried`)
    try {
      await launcher.prepare()
      if (!isMade) onProgress(`${launcher.name}: ready`)
      return
    } catch (error) {
      problem = toMeshError(error)
      onProgress(`${launcher.name}: ${problem.message} (${problem.hint})`)
    }
  }
  if (problem !== undefined) throw problem
}
