/** What the initial file system of a guest holds at one path. Folders come before what is in them. */
export interface CpioEntry {
  /** Without a slash in front. */
  readonly path: string
  /** Undefined for a folder. */
  readonly content?: Uint8Array
  /** Permissions alone, such as 0o755. */
  readonly permissions: number
}

const folderType = 0o040_000
const fileType = 0o100_000
const none = new Uint8Array()

/** An archive as Linux unpacks it at boot: the format `newc`, everything owned by root. Source: Linux, driver-api/early-userspace/buffer-format. */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  const members = entries.map(({ path, content, permissions }, index) =>
    member(path, index + 1, (content === undefined ? folderType : fileType) | permissions, content ?? none),
  )
  return Buffer.concat([...members.flat(), ...member('TRAILER!!!', 0, 0, none)])
}

function member(path: string, inode: number, mode: number, content: Uint8Array): readonly Uint8Array[] {
  const name = Buffer.from(`${path}\0`)
  // inode, mode, uid, gid, links, time, size, device and its minor, those of a device file, length of the name, checksum.
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0]
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).toUpperCase().padStart(8, '0')).join('')}`)
  return [padded(Buffer.concat([header, name])), padded(content)]
}

/** To a multiple of four bytes. */
const padded = (bytes: Uint8Array): Uint8Array => (bytes.length % 4 === 0 ? bytes : Buffer.concat([bytes, new Uint8Array(4 - (bytes.length % 4))]))
