/** Where named secrets come from. A vault, or files of the profile. */
export interface SecretSource {
  /** Undefined when there is none of that name. */
  get(name: string): Promise<string | undefined>
}

/** Takes secrets out of a text that came from outside, in plain and as JSON writes them. */
export function redact(text: string, secrets: readonly string[]): string {
  const spellings = secrets.flatMap((secret) => (secret.length < 4 ? [] : [secret, JSON.stringify(secret).slice(1, -1)]))
  return spellings.reduce((rest, secret) => rest.replaceAll(secret, '***'), text)
}
