import { agentCapabilities } from '../../../base/index.ts'
import type { TaskBody } from '../../../client/index.ts'

export { agentCapabilities }
export type Capability = (typeof agentCapabilities)[number]

/** Weakest first. */
export const isolationLevels = ['native', 'sandboxed', 'containerized', 'virtualized'] as const
export const taskEngines = ['javascript', 'wasm', 'command'] as const

/** Limits a form offers, with what they are when nothing is said. Source: sandbox/v1 section 3. */
export const limitFields = [
  { key: 'wallMs', title: 'Time', unit: 'ms', usual: 10_000 },
  { key: 'cpuMs', title: 'Processor time', unit: 'ms', usual: 5_000 },
  { key: 'memoryMiB', title: 'Memory', unit: 'MiB', usual: 128 },
  { key: 'outputBytes', title: 'Output', unit: 'bytes', usual: 1_048_576 },
] as const
export type LimitKey = (typeof limitFields)[number]['key']

/** What the form holds, as it was typed. */
export interface TaskForm {
  readonly on: string
  readonly code: string
  readonly input: string
  readonly engine: string
  readonly isolation: string
  readonly strict: boolean
  readonly limits: Readonly<Partial<Record<LimitKey, string>>>
  readonly capabilities: readonly Capability[]
}

export interface FormProblem {
  readonly field: keyof TaskForm
  readonly text: string
}

/** The order a form means, or what is wrong with it and where. */
export function orderOf({ on, code, input, engine, isolation, strict, limits, capabilities }: TaskForm): TaskBody | FormProblem {
  if (on.trim() === '') return { field: 'on', text: 'Say who is to run it: a peer, or "any"' }
  if (code.trim() === '') return { field: 'code', text: 'There is no code' }
  const given = limitsOf(limits)
  if (typeof given === 'string') return { field: 'limits', text: given }
  let value: unknown = null
  try {
    if (input.trim() !== '') value = JSON.parse(input)
  } catch (error) {
    return { field: 'input', text: `The input is not JSON: ${error instanceof Error ? error.message : String(error)}` }
  }
  return {
    on: on.trim(),
    code,
    input: value,
    ...(engine === '' ? {} : { engine: engine as NonNullable<TaskBody['engine']> }),
    ...(isolation === '' ? {} : { isolation: isolation as NonNullable<TaskBody['isolation']> }),
    ...(strict ? { strict } : {}),
    ...(Object.keys(given).length === 0 ? {} : { limits: given }),
    ...(capabilities.length === 0 ? {} : { capabilities: [...capabilities] }),
  }
}

export const isProblem = (made: TaskBody | FormProblem): made is FormProblem => 'field' in made

function limitsOf(limits: TaskForm['limits']): Partial<Record<LimitKey, number>> | string {
  const given: Partial<Record<LimitKey, number>> = {}
  for (const { key, title } of limitFields) {
    const text = limits[key]?.trim() ?? ''
    if (text === '') continue
    const value = Number(text)
    if (!Number.isSafeInteger(value) || value < 1) return `${title} must be a whole number from 1`
    given[key] = value
  }
  return given
}
