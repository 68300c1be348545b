export interface Shortcuts {
  /** `g` and then a letter; false when it leads nowhere. */
  go(key: string): boolean
  help(): void
  /** Ctrl-K */
  palette(): void
  /** `/` */
  search(): void
}

/** A second key counts for this long after `g`. */
const secondKeyMs = 1_500

/** Listens for the keys of the console; the returned function ends that. Keys typed into fields are left alone. */
export function shortcuts(acts: Shortcuts): () => void {
  let goUntil = 0
  const hear = (event: KeyboardEvent): void => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k') {
      event.preventDefault()
      acts.palette()
      return
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector('dialog[open]') !== null) return
    const isSecond = event.timeStamp < goUntil
    goUntil = 0
    if (isSecond && acts.go(event.key)) event.preventDefault()
    else if (event.key === 'g') goUntil = event.timeStamp + secondKeyMs
    else if (event.key === '?') acts.help()
    else if (event.key === '/') {
      event.preventDefault()
      acts.search()
    }
  }
  addEventListener('keydown', hear)
  return () => removeEventListener('keydown', hear)
}

const isTyping = (target: EventTarget | null): boolean => target instanceof HTMLElement && target.closest('input, textarea, select, [contenteditable]') !== null
