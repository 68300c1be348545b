/** Calls a Node worker needs, as `name x86-64 arm64`; `-` where the architecture lacks it. Whatever is not here answers ENOSYS. */
const allowed = `
  read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, close 3 57, close_range 436 436, lseek 8 62, fcntl 72 25,
  open 2 -, openat 257 56, access 21 -, faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78, getcwd 79 17, getdents64 217 61,
  stat 4 -, lstat 6 -, fstat 5 80, newfstatat 262 79, statx 332 291, statfs 137 43, fstatfs 138 44, umask 95 166,
  dup 32 23, dup2 33 -, dup3 292 24, pipe 22 -, pipe2 293 59, eventfd2 290 19, timerfd_create 283 85, timerfd_settime 286 86,
  poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21, epoll_wait 232 -,
  epoll_pwait 281 22, epoll_pwait2 441 441,
  recvmsg 47 212, recvfrom 45 207, sendmsg 46 211, sendto 44 206, shutdown 48 210, getsockopt 55 209, getsockname 51 204, getpeername 52 205,
  mmap 9 222, munmap 11 215, mprotect 10 226, mremap 25 216, madvise 28 233, brk 12 214, mincore 27 232, membarrier 324 283,
  pkey_alloc 330 289, pkey_free 331 290, pkey_mprotect 329 288,
  futex 202 98, get_robust_list 274 100, set_robust_list 273 99, rseq 334 293, set_tid_address 218 96, arch_prctl 158 -, prctl 157 167,
  sched_yield 24 124, sched_getaffinity 204 123, sched_getparam 143 121, sched_getscheduler 145 120, getpriority 140 141, getcpu 309 168,
  rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigtimedwait 128 137, rt_sigpending 127 136, sigaltstack 131 132,
  restart_syscall 219 128, tgkill 234 131,
  getpid 39 172, gettid 186 178, getppid 110 173, getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getgroups 115 158,
  getresuid 118 148, getresgid 120 150, capget 125 90, getrlimit 97 163, prlimit64 302 261, getrusage 98 165, times 100 153,
  clock_gettime 228 113, clock_getres 229 114, clock_nanosleep 230 115, nanosleep 35 101, gettimeofday 96 169, time 201 -,
  uname 63 160, sysinfo 99 179, getrandom 318 278, execve 59 221, exit 60 93, exit_group 231 94`

/** What a kernel lets a process call. */
export interface CallProfile {
  /** Rows of `name x86-64 arm64`, by commas. */
  readonly calls: string
  readonly ioctls: readonly number[]
  /** Processes besides threads; never in namespaces of their own. */
  readonly processes: boolean
  /** Families of sockets; all others are refused. Undefined where `calls` has no `socket`. */
  readonly socketFamilies?: readonly number[]
}

interface Architecture {
  readonly audit: number
  readonly column: 1 | 2
  readonly clone: number
  readonly ioctl: number
  readonly socket: number
}

const architectures: Readonly<Record<string, Architecture>> = {
  x64: { audit: 0xc000003e, column: 1, clone: 56, ioctl: 16, socket: 41 },
  arm64: { audit: 0xc00000b7, column: 2, clone: 220, ioctl: 29, socket: 198 },
}

const cloneThread = 0x10000
/** TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX. Not TIOCSTI, which types into a terminal. */
const ioctlsAllowed = [0x5401, 0x5413, 0x541b, 0x5421, 0x5451]
export const workerProfile: CallProfile = { calls: allowed, ioctls: ioctlsAllowed, processes: false }

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
export const cloneNamespaces = 0x7e020000
const x32Bit = 0x40000000

const killProcess = 0x80000000
const allow = 0x7fff0000
const errno = (number: number): number => 0x00050000 | number
const eperm = 1
const enosys = 38
const eafnosupport = 97

type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, operand: number]

const load = (offset: number): Instruction => [0x20, 0, 0, offset]
const give = (verdict: number): Instruction => [0x06, 0, 0, verdict]
/** Skips `skip` instructions unless the loaded word equals `value`. */
const unlessEqualSkip = (value: number, skip: number): Instruction => [0x15, 0, skip, value]
const unlessBelowSkip = (value: number, skip: number): Instruction => [0x35, 0, skip, value]
const unlessBitSkip = (bits: number, skip: number): Instruction => [0x45, 0, skip, bits]

// struct seccomp_data: number at 0, architecture at 4, argument n (low word) at 16 + 8n.
const numberAt = 0
const architectureAt = 4
const argumentAt = (index: number): number => 16 + 8 * index

/** The cBPF program for bubblewrap's `--seccomp`; undefined for an architecture without a table. */
export function seccompProgram(arch: string, { calls, ioctls, processes, socketFamilies }: CallProfile = workerProfile): Uint8Array | undefined {
  const architecture = architectures[arch]
  if (architecture === undefined) return undefined
  const { audit, column, clone, ioctl, socket } = architecture
  const numbers = calls
    .split(',')
    .map((row) => row.trim().split(' ')[column])
    .filter((number) => number !== '-')
    .map(Number)
  return assemble([
    load(architectureAt),
    [0x15, 1, 0, audit],
    give(killProcess),
    load(numberAt),
    ...(arch === 'x64' ? [unlessBelowSkip(x32Bit, 1), give(killProcess)] : []),
    // clone3 hides its flags behind a pointer; ENOSYS makes libc fall back to clone.
    unlessEqualSkip(clone, 4),
    load(argumentAt(0)),
    ...(processes ? [unlessBitSkip(cloneNamespaces, 1), give(errno(eperm)), give(allow)] : [unlessBitSkip(cloneThread, 1), give(allow), give(errno(eperm))]),
    ...oneOf(ioctl, 1, ioctls, eperm),
    ...(socketFamilies === undefined ? [] : oneOf(socket, 0, socketFamilies, eafnosupport)),
    ...numbers.flatMap((number) => [unlessEqualSkip(number, 1), give(allow)]),
    give(errno(enosys)),
  ])
}

/** A call that is allowed when the low word of an argument is one of these. */
const oneOf = (call: number, argument: number, values: readonly number[], refusal: number): readonly Instruction[] => [
  unlessEqualSkip(call, 2 + 2 * values.length),
  load(argumentAt(argument)),
  ...values.flatMap((value) => [unlessEqualSkip(value, 1), give(allow)]),
  give(errno(refusal)),
]

/** struct sock_filter { u16 code; u8 jt; u8 jf; u32 k }, little endian on both architectures. */
function assemble(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8)
  const view = new DataView(bytes.buffer)
  program.forEach(([code, jumpTrue, jumpFalse, operand], index) => {
    view.setUint16(index * 8, code, true)
    view.setUint8(index * 8 + 2, jumpTrue)
    view.setUint8(index * 8 + 3, jumpFalse)
    view.setUint32(index * 8 + 4, operand, true)
  })
  return bytes
}
