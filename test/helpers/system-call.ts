/** A program for x86-64 Linux that makes one system call and exits with the number of its error, 0 when it went well. */
export function systemCallProgram(number: number, ...words: readonly number[]): Uint8Array {
  // mov rax, imm64 and the six argument registers: rdi, rsi, rdx, r10, r8, r9.
  const registers = [
    [0x48, 0xb8],
    [0x48, 0xbf],
    [0x48, 0xbe],
    [0x48, 0xba],
    [0x49, 0xba],
    [0x49, 0xb8],
    [0x49, 0xb9],
  ] as const
  const load = registers.flatMap((opcode, index) => [...opcode, ...littleEndian(index === 0 ? number : (words[index - 1] ?? 0), 8)])
  const code = [
    ...load,
    ...[0x0f, 0x05],
    // mov edi, eax; neg edi; jns exit; xor edi, edi; exit: mov eax, 60; syscall
    ...[0x89, 0xc7, 0xf7, 0xdf, 0x79, 0x02, 0x31, 0xff],
    ...[0xb8, 60, 0, 0, 0, 0x0f, 0x05],
  ]
  const headersLength = 64 + 56
  const base = 0x400000
  const length = headersLength + code.length
  const header = [
    ...[0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ...littleEndian(2, 2),
    ...littleEndian(0x3e, 2),
    ...littleEndian(1, 4),
    ...littleEndian(base + headersLength, 8),
    ...littleEndian(64, 8),
    ...littleEndian(0, 8),
    ...littleEndian(0, 4),
    ...[64, 56, 1, 0, 0, 0].flatMap((size) => littleEndian(size, 2)),
  ]
  const segment = [...littleEndian(1, 4), ...littleEndian(5, 4), ...[0, base, base, length, length, 4096].flatMap((value) => littleEndian(value, 8))]
  return Uint8Array.from([...header, ...segment, ...code])
}

const littleEndian = (value: number, bytes: number): readonly number[] =>
  Array.from({ length: bytes }, (_, index) => Number((BigInt(value) >> BigInt(8 * index)) & 0xffn))
