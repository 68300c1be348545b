/** `peer_connected` as `Peer connected`. */
export const eventText = (event: string): string => {
  const words = event.replaceAll(/[_.]+/g, ' ').trim()
  return words.slice(0, 1).toUpperCase() + words.slice(1)
}

/** How an event of the log is to be seen: what failed or was refused stands out. */
export function eventMark(event: string): 'bad' | 'warn' | 'good' | '' {
  if (/alarm|tamper|contradict|quarantine|rollback|frozen|mismatch/.test(event)) return 'bad'
  if (/fail|refus|denied|reject|revok|revoc|expired|lost|killed/.test(event)) return 'warn'
  return /attest|joined|approved|registered|done|verified/.test(event) ? 'good' : ''
}

export interface Step {
  readonly title: string
  readonly isDone: boolean
  /** Page of the console, and the command that does the same. */
  readonly path: string
  readonly command: string
}

/** What a new node does first, until it has a mesh to live in. */
export const firstSteps = (seen: { readonly peers: number; readonly trusted: number; readonly tasks: number }): readonly Step[] => [
  { title: 'Invite a second node, or join one', isDone: seen.peers > 0, path: 'invites', command: 'kindmesh invite' },
  { title: 'Say whom you trust, and with what', isDone: seen.trusted > 0, path: 'trust', command: 'kindmesh attest <peer> --level verified --scope /task/run' },
  { title: 'Run a task on a peer', isDone: seen.tasks > 0, path: 'tasks', command: 'kindmesh run task.js --on <peer>' },
]
