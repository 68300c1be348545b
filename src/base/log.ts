/** Facts for the operator, on stderr. Never a secret, never a message body. */
export interface Logger {
  debug(message: string, facts?: Readonly<Record<string, unknown>>): void
  info(message: string, facts?: Readonly<Record<string, unknown>>): void
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void
  error(message: string, facts?: Readonly<Record<string, unknown>>): void
}

const ranks = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 } as const
export type LogLevel = keyof typeof ranks

const ignore = (): void => undefined

export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/** One line a fact: level, message, then facts as JSON. */
export function createLogger({ level, write }: { readonly level: LogLevel; readonly write: (line: string) => void }): Logger {
  const at = (rank: Exclude<LogLevel, 'silent'>) =>
    ranks[rank] < ranks[level]
      ? ignore
      : (message: string, facts?: Readonly<Record<string, unknown>>) => write(`${rank} ${message}${facts === undefined ? '' : ` ${JSON.stringify(facts)}`}\n`)
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
