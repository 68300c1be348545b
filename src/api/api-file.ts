import { unlink, writeFile } from 'node:fs/promises'

/** Tells clients of the same user where the API is and what to show it: mode 0600. */
export const writeApiFile = async (file: string, { url, token }: { readonly url: string; readonly token: string }): Promise<void> =>
  await writeFile(file, `${JSON.stringify({ schema: 'kindmesh.api/1', url, token, pid: process.pid })}\n`, { mode: 0o600 })

/** Does nothing when it is gone already. */
export const removeApiFile = async (file: string): Promise<void> => await unlink(file).catch(() => undefined)
