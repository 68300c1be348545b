/** A setting's value as somebody types it: words bare, all else as JSON. */
export const settingText = (value: unknown): string => (typeof value === 'string' ? value : value === null || value === undefined ? '' : JSON.stringify(value))

/** What was typed as a value: JSON where it is JSON, else the words themselves. */
export function settingValue(text: string): unknown {
  const trimmed = text.trim()
  try {
    return JSON.parse(trimmed) as unknown
  } catch {
    return trimmed
  }
}
