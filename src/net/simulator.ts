export const createSimulator = (_: any): any => { throw new Error('later') }
export type LinkSettings = any
export type SimulatedHostOptions = any
export type Simulator = any
export type SimulatorOptions = any
