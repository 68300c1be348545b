/** Where named secrets come from. */
export interface SecretSource {
  /** Undefined when there is none of that name; `reader` is the agent or task that gets it. @throws ERR_SEALED */
  get(name: string, reader: string): Promise<string | undefined>
}

/** The secrets that one run may ask for. */
export type ReadSecret = (name: string) => Promise<string | undefined>

/** Takes secrets out of a text that came from outside, in plain and as JSON writes them. */
export function redact(text: string, secrets: readonly string[]): string {
  const spellings = secrets.flatMap((secret) => (secret.length < 4 ? [] : [secret, JSON.stringify(secret).slice(1, -1)]))
  return spellings.reduce((rest, secret) => rest.replaceAll(secret, '***'), text)
}
