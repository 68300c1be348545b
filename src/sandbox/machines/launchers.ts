import type { Clock } from '../../base/index.ts'
import { type MachineLauncher, machineLauncher } from './launcher.ts'
import { qemuMonitor } from './qemu.ts'

/** Every way to run a machine, best first. */
export const machineLaunchers = (clock: Clock): readonly MachineLauncher[] => [
  machineLauncher({ monitor: qemuMonitor({ accelerator: 'kvm', clock }), clock }),
  machineLauncher({ monitor: qemuMonitor({ accelerator: 'tcg', clock }), clock }),
]
