/** isolated-vm with nothing around it: a fresh isolate a task, in this process. Needs `--no-node-snapshot`. */
import ivm from 'isolated-vm'
import { answerParent } from '../harness.ts'

function run(code: string, input: string): unknown {
  const isolate = new ivm.Isolate({ memoryLimit: 128 })
  try {
    return isolate.createContextSync().evalClosureSync(`"use strict"; return JSON.stringify(((input) => {${code}})(JSON.parse($0)))`, [input])
  } finally {
    isolate.dispose()
  }
}

answerParent({
  /** Milliseconds of each of `count` tasks, one after the other. */
  tasksMs({ code, input, count }: { readonly code: string; readonly input: string; readonly count: number }) {
    return Array.from({ length: count }, () => {
      const start = performance.now()
      run(code, input)
      return performance.now() - start
    })
  },
})
