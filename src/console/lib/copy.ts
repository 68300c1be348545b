import { toasts } from './toasts.svelte.ts'

/** Puts text on the clipboard and says so; where the browser refuses, says how to go on. */
export async function copyText(text: string, what = 'Copied'): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    toasts.good(what)
  } catch {
    toasts.info('The browser does not let pages copy: select the text and copy it by hand')
  }
}
