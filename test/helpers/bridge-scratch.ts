import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Scratch folders of runs that hold an entry of this name: other tests have theirs at the same time. */
export const scratchWith = (entry: string): readonly string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith('kindmesh-work-') && existsSync(join(tmpdir(), name, entry)))
