/** A node that runs an endless program in a container, for a test that kills it: `node container-supervisor.ts <back end>`. Says `running` when it does. */
import { realClock, silentLogger } from '../../src/base/index.ts'
import { sandboxLimitsDefault } from '../../src/sandbox/index.ts'
import { openSandboxes } from '../../src/sandbox/sandboxes.ts'

const sandboxes = openSandboxes({ clock: realClock, logger: silentLogger, poolSize: 1, backends: [process.argv[2] ?? ''] })
const backend = await sandboxes.ready('containerized')
const code = JSON.stringify(['sh', '-c', 'setsid sleep 600 & (trap "" TERM INT HUP; sleep 600) & echo running; while :; do :; done'])
for await (const event of backend.run({ engine: 'command', code, input: 'null' }, { limits: { ...sandboxLimitsDefault, wallMs: 600_000, cpuMs: 600_000 } })) {
  if (event.type === 'console') process.stdout.write(`${event.text}\n`)
}
