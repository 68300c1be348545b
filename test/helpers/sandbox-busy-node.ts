/** A node that dies at work: runs endless tasks, says so, and waits to be killed. */
import { sandboxLimitsDefault } from '../../src/sandbox/index.ts'
import { createTestSandboxes } from './sandbox.ts'

const sandboxes = await createTestSandboxes()
const limits = { ...sandboxLimitsDefault, memoryMiB: 64, wallMs: 60_000, cpuMs: 60_000, outputBytes: 1_000, hostCalls: 10 }
const task = { code: 'console.log("busy"); for (;;);', input: 'null' }
for await (const event of sandboxes.get('sandboxed').run(task, { limits })) process.stdout.write(event.type)
