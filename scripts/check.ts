import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What `npm run check` looks at, each also a script of its own. */
export const checks = ['types', 'lint', 'format', 'floors', 'dead'] as const

/** Runs one check with its normal output; true when it found nothing. */
export function passes(check: (typeof checks)[number]): boolean {
  process.stdout.write(`\n> check:${check}\n`)
  const { status } = spawnSync('npm', ['run', '--silent', `check:${check}`], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  process.stdout.write(`check:${check} ${status === 0 ? 'passed' : 'FAILED'}\n`)
  return status === 0
}

if (import.meta.main) {
  const failed = checks.filter((check) => !passes(check))
  if (failed.length > 0) process.exitCode = 1
}
