import type { TaskLine } from '../../../client/index.ts'
import { shown } from '../../lib/shown.ts'

type Line = Exclude<TaskLine, { readonly type: 'error' }>
export type TaskResultLine = Extract<Line, { readonly type: 'result' }>

/** Lines kept on the page; the oldest go first. */
export const outputLinesMax = 2_000

export interface OutputLine {
  readonly kind: 'step' | 'log' | 'bad'
  readonly text: string
}

/** How a running task stands, out of the lines it has sent so far. */
export interface RunView {
  readonly id: string | undefined
  readonly state: string
  readonly isolation: string | undefined
  readonly backend: string | undefined
  readonly fraction: number | undefined
  readonly lines: readonly OutputLine[]
  readonly result: TaskResultLine | undefined
}

export const noRun: RunView = { id: undefined, state: 'asking', isolation: undefined, backend: undefined, fraction: undefined, lines: [], result: undefined }

/** The view after one more line. What a program prints is a stranger's text: controls and what cannot be seen are marked, line by line. */
export function withLine(view: RunView, line: Line): RunView {
  const next = stateAfter(view, line)
  const said = saidBy(line)
  return said.length === 0 ? next : { ...next, lines: [...view.lines, ...said].slice(-outputLinesMax) }
}

function stateAfter(view: RunView, line: Line): RunView {
  switch (line.type) {
    case 'asked':
      return { ...view, id: line.id }
    case 'attempt':
      return { ...view, state: 'asking' }
    case 'accepted':
      return { ...view, state: 'accepted', isolation: line.isolation, backend: line.backend }
    case 'queued':
      return { ...view, state: `waiting, ${line.position} before it` }
    case 'running':
      return { ...view, state: 'running' }
    case 'progress':
      return { ...view, fraction: line.fraction }
    case 'result':
      return { ...view, state: line.ok ? 'done' : 'failed', fraction: undefined, result: line }
    default:
      return view
  }
}

function saidBy(line: Line): readonly OutputLine[] {
  switch (line.type) {
    case 'attempt':
      return [{ kind: 'step', text: shown(`attempt ${line.number}: ${line.why}`, 400) }]
    case 'accepted':
      return [{ kind: 'step', text: `accepted: level ${shown(line.isolation)} in ${shown(line.backend)}` }]
    case 'console':
      return line.text.split('\n').map((text) => ({ kind: line.level === 'error' ? 'bad' : 'log', text: shown(text, 2_000) }))
    case 'progress':
      return line.note === '' ? [] : [{ kind: 'step', text: shown(line.note, 400) }]
    case 'artefact':
      return [{ kind: 'step', text: `file ${shown(line.name)}, ${line.bytes} bytes` }]
    case 'retry':
      return [{ kind: 'bad', text: shown(`${line.code}: ${line.message}; tried again in ${line.inMs} ms`, 400) }]
    default:
      return []
  }
}
