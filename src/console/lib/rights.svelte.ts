/** What the person at this page may do, as the node says. Until it has said so everything is offered; the node refuses what is not allowed in any case. */
class Rights {
  #held: readonly string[] | undefined = $state.raw()

  /** Rights of the session; `/api/task` covers `/api/task/read`, `/` everything. */
  set held(rights: readonly string[] | undefined) {
    this.#held = rights
  }

  may(right: string): boolean {
    return this.#held?.some((held) => held === '/' || right === held || right.startsWith(`${held}/`)) ?? true
  }
}

export const rights = new Rights()
