export type Theme = 'auto' | 'light' | 'dark'

const storageKey = 'kindmesh.theme'
const themes: readonly Theme[] = ['auto', 'light', 'dark']

/** Light, dark, or as the system has it; remembered in this browser. */
class ThemeChoice {
  #theme: Theme = $state(themes.find((theme) => theme === localStorage.getItem(storageKey)) ?? 'auto')

  constructor() {
    this.#show()
  }

  get theme(): Theme {
    return this.#theme
  }

  next(): void {
    this.#theme = themes[(themes.indexOf(this.#theme) + 1) % themes.length] ?? 'auto'
    localStorage.setItem(storageKey, this.#theme)
    this.#show()
  }

  #show(): void {
    if (this.#theme === 'auto') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = this.#theme
  }
}

export const theme = new ThemeChoice()
