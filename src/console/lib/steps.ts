/** One thing that was looked at, in the order it was. */
export interface Step {
  readonly what: string
  readonly ok: boolean
  readonly detail: string
}

/** Says what is wrong with something that is checked, in words for a reader. */
export class Refusal extends Error {}

/** A step that refused: the ones behind it were not taken. */
class Stopped extends Error {}

export interface Steps {
  /** Takes one step; `detail` says what was found. Whatever is thrown in it ends the check. */
  run<T>(what: string, check: () => T | Promise<T>, detail: (value: T) => string): Promise<T>
}

/** Runs steps until one refuses, and lists them all. A fault of the checker itself counts as a refusal too: nothing is called good that was not checked. */
export async function inSteps(work: (steps: Steps) => Promise<void>): Promise<{ readonly ok: boolean; readonly steps: readonly Step[] }> {
  const steps: Step[] = []
  const taken: Steps = {
    async run(what, check, detail) {
      try {
        const value = await check()
        steps.push({ what, ok: true, detail: detail(value) })
        return value
      } catch (error) {
        steps.push({ what, ok: false, detail: error instanceof Refusal ? error.message : `the browser could not check it: ${String(error)}` })
        throw new Stopped('a step refused', { cause: error })
      }
    },
  }
  try {
    await work(taken)
  } catch (error) {
    if (!(error instanceof Stopped)) throw error
  }
  return { ok: steps.length > 0 && steps.every(({ ok }) => ok), steps }
}
