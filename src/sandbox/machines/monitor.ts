import type { Duplex } from 'node:stream'
import type { ProcessSample } from '../launched.ts'

export type Accelerator = 'kvm' | 'tcg'

export interface Lack {
  readonly why: string
  /** The command that adds it. */
  readonly fix: string
}

/** The hardware of a machine. A saved machine only wakes in the same. */
export interface MachineParts {
  readonly kernel: string
  readonly initialDisk: string
  readonly rootDisk: string
  readonly memoryMiB: number
}

/** A machine that runs, with the process that runs it. */
export interface Machine {
  /** The channel of the worker's frames. */
  readonly frames: Duplex
  /** The channel of the agent. */
  readonly control: Duplex
  /** What machine and monitor have said beside the channels; capped. */
  said(): string
  /** Nothing of it is left. Never rejects. */
  readonly closed: Promise<void>
  sample(): ProcessSample | undefined
  kill(): void
  freeze(): void
  thaw(): void
  hold(busy: boolean): void
}

/** What runs machines, QEMU here: another can take its place behind this. */
export interface MachineMonitor {
  /** For receipts, such as `qemu-tcg`. */
  readonly name: string
  readonly accelerator: Accelerator
  /** Of the program; empty when unknown. */
  version(): Promise<string>
  /** What is missing on this machine; undefined when nothing is. */
  lacks(): Lack | undefined
  /** Changes when the program does: what one version saved, another need not read. */
  build(): string
  /** Boots a machine that can be saved. */
  boot(parts: MachineParts): Promise<BootedMachine>
  /** Loads a saved machine, which goes on where it was. Its state is only read; what the machine writes is its own and gone with it. */
  restore(parts: MachineParts, stateFile: string): Promise<Machine>
}

export interface BootedMachine extends Machine {
  /** Writes all of the machine to a file, and ends it. */
  save(stateFile: string): Promise<void>
}
