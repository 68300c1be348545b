import { type CallProfile, cloneNamespaces, workerProfile } from '../seccomp.ts'

/**
 * Calls that programs need beyond those of a worker: processes, signals, files, sockets.
 * Not among them: io_uring, keyctl, userfaultfd, bpf, perf_event_open, ptrace, process_vm_*, mount and its kin, unshare, setns, clone3, kexec, modules, clocks, quotas, swap.
 */
const programCalls = `
  fork 57 -, vfork 58 -, wait4 61 260, waitid 247 95, kill 62 129, tkill 200 130, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240,
  rt_sigsuspend 130 133, pause 34 -, alarm 37 -, getitimer 36 102, setitimer 38 103, signalfd 282 -, signalfd4 289 74,
  setpgid 109 154, getpgid 121 155, getpgrp 111 -, setsid 112 157, getsid 124 156, execveat 322 281, chdir 80 49, fchdir 81 50,
  rename 82 -, renameat 264 38, renameat2 316 276, mkdir 83 -, mkdirat 258 34, rmdir 84 -, unlink 87 -, unlinkat 263 35, link 86 -, linkat 265 37,
  symlink 88 -, symlinkat 266 36, chmod 90 -, fchmod 91 52, fchmodat 268 53, chown 92 -, fchown 93 55, lchown 94 -, fchownat 260 54,
  utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88, truncate 76 45, ftruncate 77 46, fallocate 285 47, fsync 74 82, fdatasync 75 83,
  sync_file_range 277 84, mknod 133 -, mknodat 259 33, flock 73 32, getdents 78 -, creat 85 -, preadv 295 69, pwritev 296 70, preadv2 327 286,
  pwritev2 328 287, sendfile 40 71, copy_file_range 326 285, splice 275 76, tee 276 77, fadvise64 221 223, readahead 187 213,
  inotify_init 253 -, inotify_init1 294 26, inotify_add_watch 254 27, inotify_rm_watch 255 28, memfd_create 319 279, msync 26 227,
  mlock 149 228, munlock 150 229, mlock2 325 284, eventfd 284 -, timerfd_gettime 287 87,
  socketpair 53 199, bind 49 200, connect 42 203, listen 50 201, accept 43 202, accept4 288 242, setsockopt 54 208, sendmmsg 307 269, recvmmsg 299 243,
  setuid 105 146, setgid 106 144, setreuid 113 145, setregid 114 143, setresuid 117 147, setresgid 119 149, setgroups 116 159, setfsuid 122 151,
  setfsgid 123 152, setpriority 141 140, sched_setaffinity 203 122, sched_setscheduler 144 119, sched_setparam 142 118,
  sched_get_priority_max 146 125, sched_get_priority_min 147 126, sched_rr_get_interval 148 127, setrlimit 160 164,
  timer_create 222 107, timer_settime 223 110, timer_gettime 224 108, timer_delete 226 111, timer_getoverrun 225 109,
  getxattr 191 8, lgetxattr 192 9, fgetxattr 193 10, listxattr 194 11, llistxattr 195 12, flistxattr 196 13, openat2 437 437, capset 126 91,
  pidfd_open 434 434, pidfd_send_signal 424 424`

/** A shell's work with its terminal, non-blocking and close-on-exec descriptors. Not TIOCSTI and TIOCLINUX, which type for others. */
const programIoctls = [0x5402, 0x5403, 0x5404, 0x540f, 0x5410, 0x5414, 0x5422, 0x5429, 0x5430, 0x80045430, 0x40045431, 0x5450]

/** Unix, IPv4 and IPv6: a container has no network, and nothing of these leaves it. Not vsock, which reaches the machine around a machine. */
const families = [1, 2, 10]

/** What a container may ask of the kernel: enough for a shell, busybox and Node. */
export const containerProfile: CallProfile = {
  calls: `${workerProfile.calls},${programCalls}`,
  ioctls: [...workerProfile.ioctls, ...programIoctls],
  processes: true,
  socketFamilies: families,
}

const enosys = 38

interface OciArgument {
  readonly index: number
  readonly value: number
  readonly valueTwo?: number
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_MASKED_EQ'
}

interface OciRule {
  readonly names: readonly string[]
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO'
  readonly errnoRet?: number
  readonly args?: readonly OciArgument[]
}

export interface OciSeccomp {
  readonly defaultAction: 'SCMP_ACT_ERRNO'
  readonly defaultErrnoRet: number
  readonly architectures: readonly string[]
  readonly syscalls: readonly OciRule[]
}

const ociArchitectures: Readonly<Record<string, string>> = { x64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64' }

/** The same profile as the runtimes of the Open Container Initiative take it; undefined for an architecture without a table. Calls of other architectures kill. */
export function ociSeccomp(arch: string, { calls, ioctls, socketFamilies = [] }: CallProfile = containerProfile): OciSeccomp | undefined {
  const architecture = ociArchitectures[arch]
  if (architecture === undefined) return undefined
  const column = arch === 'x64' ? 1 : 2
  const names = calls.split(',').flatMap((row) => {
    const words = row.trim().split(' ')
    return words[column] === '-' ? [] : [words[0] ?? '']
  })
  const only = (name: string, index: number, values: readonly number[]): readonly OciRule[] =>
    values.map((value) => ({ names: [name], action: 'SCMP_ACT_ALLOW', args: [{ index, value, op: 'SCMP_CMP_EQ' }] }))
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: enosys,
    architectures: [architecture],
    syscalls: [
      { names, action: 'SCMP_ACT_ALLOW' },
      { names: ['clone'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: cloneNamespaces, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }] },
      ...only('ioctl', 1, ioctls),
      ...only('socket', 0, socketFamilies),
    ],
  }
}
