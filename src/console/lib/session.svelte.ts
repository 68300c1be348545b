const storageKey = 'kindmesh.session'

type Said = { readonly kind: 'want' } | { readonly kind: 'have'; readonly token: string } | { readonly kind: 'gone' }

/**
 * The session of this tab. Its token lies in sessionStorage, which belongs to this origin with its port (a cookie would go to every port
 * of this machine), and is handed to other tabs of the console when they ask.
 */
class Session {
  #token = $state(sessionStorage.getItem(storageKey) ?? undefined)
  /** True while the session has ended behind our back: the page stays, and asks for a new one. */
  isEnded = $state(false)
  readonly #channel = new BroadcastChannel(storageKey)

  constructor() {
    this.#channel.addEventListener('message', ({ data }: MessageEvent<Said>) => this.#hear(data))
    if (this.#token === undefined) this.#say({ kind: 'want' })
  }

  get token(): string | undefined {
    return this.#token
  }

  /** A new login, or the token that takes the place of the old one after a step-up. */
  start(token: string): void {
    this.#keep(token)
    this.#say({ kind: 'have', token })
  }

  /** The node does not know the session any more. */
  end(token: string): void {
    if (token === this.#token) this.isEnded = true
  }

  /** Logged out: in the other tabs as well. */
  forget(): void {
    this.#drop()
    this.#say({ kind: 'gone' })
  }

  #hear(said: Said): void {
    if (said.kind === 'want' && this.#token !== undefined && !this.isEnded) this.#say({ kind: 'have', token: this.#token })
    if (said.kind === 'have') this.#keep(said.token)
    if (said.kind === 'gone') this.#drop()
  }

  #keep(token: string): void {
    sessionStorage.setItem(storageKey, token)
    this.#token = token
    this.isEnded = false
  }

  #drop(): void {
    sessionStorage.removeItem(storageKey)
    this.#token = undefined
    this.isEnded = false
  }

  #say(said: Said): void {
    this.#channel.postMessage(said)
  }
}

export const session = new Session()
