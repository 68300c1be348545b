/** Assembles small WebAssembly modules by hand: sections as lists of bytes, numbers in LEB128. Source: WebAssembly 1.0, binary format. */
export const unsigned = (value: number): number[] => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(Math.floor(value / 128))])
export function signed(value: number | bigint): number[] {
  const rest = BigInt(value) >> 7n
  const low = Number(BigInt.asUintN(7, BigInt(value)))
  return (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0) ? [low] : [low | 0x80, ...signed(rest)]
}
const text = (value: string): number[] => [...unsigned(Buffer.byteLength(value)), ...Buffer.from(value)]
const list = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()]
const section = (id: number, items: readonly (readonly number[])[]): number[] => {
  if (items.length === 0) return []
  const body = list(items)
  return [id, ...unsigned(body.length), ...body]
}

export const i32 = 0x7f
export const i64 = 0x7e
export const f64 = 0x7c
export const op = {
  unreachable: [0x00],
  loop: [0x03, 0x40],
  end: [0x0b],
  br: (depth: number): number[] => [0x0c, ...unsigned(depth)],
  call: (index: number): number[] => [0x10, ...unsigned(index)],
  drop: [0x1a],
  get: (index: number): number[] => [0x20, ...unsigned(index)],
  set: (index: number): number[] => [0x21, ...unsigned(index)],
  globalGet: (index: number): number[] => [0x23, ...unsigned(index)],
  globalSet: (index: number): number[] => [0x24, ...unsigned(index)],
  store8: [0x3a, 0, 0],
  load8: [0x2d, 0, 0],
  grow: [0x40, 0],
  i32: (value: number): number[] => [0x41, ...signed(value)],
  i64: (value: bigint): number[] => [0x42, ...signed(value)],
  add: [0x6a],
  wrap: [0xa7],
  extend: [0xad],
  shl64: [0x86],
  or64: [0x84],
  f64: (value: number): number[] => [0x44, ...new Uint8Array(Float64Array.of(value).buffer)],
} as const

interface Signature {
  readonly takes: readonly number[]
  readonly gives: readonly number[]
}

export interface Module {
  readonly imports?: readonly (Signature & { readonly from?: string; readonly name: string })[]
  readonly functions: readonly (Signature & { readonly locals?: number; readonly code: readonly number[]; readonly exported?: string })[]
  /** Pages of 64 KiB. */
  readonly pages?: number
  readonly memory?: 'exported' | 'shared' | 'none'
  /** Texts in memory, by address. */
  readonly data?: Readonly<Record<number, string>>
}

/** The module in base64, as the engine `wasm` takes it. One mutable global: where free memory begins. */
export function assemble({ imports = [], functions, pages = 1, memory = 'exported', data = {} }: Module): string {
  const signatures = [...imports, ...functions]
  const bytes = [
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(
      1,
      signatures.map(({ takes, gives }) => [0x60, ...list(takes.map((type) => [type])), ...list(gives.map((type) => [type]))]),
    ),
    ...section(
      2,
      imports.map(({ from = 'kindmesh', name }, index) => [...text(from), ...text(name), 0, ...unsigned(index)]),
    ),
    ...section(
      3,
      functions.map((_, index) => unsigned(imports.length + index)),
    ),
    ...section(5, memory === 'none' ? [] : [memory === 'shared' ? [3, ...unsigned(pages), ...unsigned(pages)] : [0, ...unsigned(pages)]]),
    ...section(6, [[i32, 1, ...op.i32(1_024), ...op.end]]),
    ...section(7, [
      ...functions.flatMap(({ exported }, index) => (exported === undefined ? [] : [[...text(exported), 0, ...unsigned(imports.length + index)]])),
      ...(memory === 'none' ? [] : [[...text('memory'), 2, 0]]),
    ]),
    ...section(
      10,
      functions.map(({ locals = 0, code }) => {
        const body = [...list(locals === 0 ? [] : [[...unsigned(locals), i32]]), ...code, ...op.end]
        return [...unsigned(body.length), ...body]
      }),
    ),
    ...section(
      11,
      Object.entries(data).map(([address, content]) => [0, ...op.i32(Number(address)), ...op.end, ...text(content)]),
    ),
  ]
  return Buffer.from(bytes).toString('base64')
}

/** Hands out memory one piece after the other. */
export const alloc: Module['functions'][number] = {
  takes: [i32],
  gives: [i32],
  exported: 'alloc',
  code: [...op.globalGet(0), ...op.globalGet(0), ...op.get(0), ...op.add, ...op.globalSet(0)],
}
/** A function `run` that ends with what is on the stack as address and length in one i64. */
export const run = (code: readonly number[], locals = 0): Module['functions'][number] => ({ takes: [i32, i32], gives: [i64], exported: 'run', code, locals })
/** Address and length in one i64. */
export const packed = (address: number, length: number): number[] => op.i64(BigInt.asIntN(64, (BigInt(address) << 32n) | BigInt(length)))
/** The input as the result. */
export const echo: readonly number[] = [...op.get(0), ...op.extend, ...op.i64(32n), ...op.shl64, ...op.get(1), ...op.extend, ...op.or64]
