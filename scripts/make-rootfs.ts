/** Builds what containers need and is not there yet: `node scripts/make-rootfs.ts`. Says on stderr what it does. */
import { realClock, toMeshError } from '../src/base/index.ts'
import { buildRootfs } from '../src/sandbox/containers/rootfs.ts'

try {
  await buildRootfs({ clock: realClock, onProgress: (line) => void process.stderr.write(`setup: ${line}\n`) })
} catch (error) {
  process.stderr.write(`setup: ${toMeshError(error).message}\n`)
  process.exitCode = 1
}
