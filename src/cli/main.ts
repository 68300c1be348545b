import { keepAlive, MeshError } from '../base/index.ts'
import { runProgram } from './program.ts'

const controller = new AbortController()
let isSecond = false
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // The first asks, the second does not wait.
    if (isSecond) process.exit(130)
    isSecond = true
    controller.abort(new MeshError('ERR_ABORTED', `interrupted by ${name}`))
  })
}
// A reader that closed its end (`| head`) is no fault of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

const release = keepAlive()
const exitCode = await runProgram(process.argv.slice(2), controller.signal)
release()
// What is still open (keep-alive sockets, an idle worker) must not hold the shell.
process.stdout.write('', () => process.exit(exitCode))
