import { shown } from '../../lib/shown.ts'

/** An event's name as words: `task_refused` is `Task refused`. */
export function eventText(event: string): string {
  const words = shown(event, 64).replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}
