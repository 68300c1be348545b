/** Who is logged in, as the node says. */
export interface Me {
  readonly user: { readonly id: string; readonly name: string; readonly role: string }
  readonly session: { readonly id: string }
  readonly rights: readonly string[]
}

class MeHeld {
  value: Me | undefined = $state.raw()

  forget(): void {
    this.value = undefined
  }
}

export const me = new MeHeld()
