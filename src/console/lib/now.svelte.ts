/** The time of this machine in ms since 1970, moving on its own so that "3 min ago" does not go stale. */
class Now {
  #ms = $state(Date.now())

  constructor() {
    setInterval(() => {
      this.#ms = Date.now()
    }, 15_000)
  }

  get ms(): number {
    return this.#ms
  }
}

export const now = new Now()
