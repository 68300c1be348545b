/** Builds what machines need and is not there yet, and saves a machine to be copied: `node scripts/make-guest.ts`. Says on stderr what it does. */
import { realClock, toMeshError } from '../src/base/index.ts'
import { setUpMachines } from '../src/sandbox/machines/set-up.ts'

try {
  await setUpMachines({ clock: realClock, onProgress: (line) => void process.stderr.write(`setup: ${line}\n`) })
} catch (error) {
  const { message, hint } = toMeshError(error)
  process.stderr.write(`setup: ${message}${hint === undefined ? '' : ` (${hint})`}\n`)
  process.exitCode = 1
}
