/** Asks for a fresh proof of presence when the node wants one. The dialog of the shell answers. */
class StepUp {
  #waiting: ((isDone: boolean) => void)[] = $state([])

  get isAsked(): boolean {
    return this.#waiting.length > 0
  }

  /** True when the user proved it, false when they would rather not. Calls that come together are answered together. */
  ask(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#waiting = [...this.#waiting, resolve]
    })
  }

  answer(isDone: boolean): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve(isDone)
  }
}

export const stepUp = new StepUp()
