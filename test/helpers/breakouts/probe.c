/*
 * Attempts to get out of a container or machine, as a program inside would make them. Static, no argument needed:
 *   probe dir=<canary folder> port=<n> address=<of the host> name=<socket, queue> pid=<host process> key=<shared memory> work=<own folder> [only=<case>] [apart]
 * One line a case on stdout: "<verdict> <case> <what it saw>". Verdicts: "!" a wall gave way, "." it held, "x" the case was killed.
 * What was read from the host stands in the line; whether it is the host's secret is for the reader to say: the probe does not know it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *dir = "/nowhere", *name = "nobody", *only = 0, *address = "127.0.0.1", *work = "/tmp";
static int port = 9, victim = 0, key = 0, apart = 0;
static const char *current = "";
static char saw[1 << 16];
static FILE *report;

/* Keeps what was read, one line, for the report. */
static void keep(const char *text, int length) {
  size_t at = strlen(saw);
  for (int i = 0; i < length && at < sizeof saw - 2; i++) saw[at++] = text[i] < 32 || text[i] > 126 ? ' ' : text[i];
  saw[at] = 0;
}
static int note(const char *format, ...) {
  char line[512];
  va_list list;
  va_start(list, format);
  int length = vsnprintf(line, sizeof line, format, list);
  va_end(list);
  keep(line, length < (int)sizeof line ? length : (int)sizeof line - 1);
  return 0;
}
/* True when a call that must be refused was not. */
static int passed(long result) {
  if (result < 0) note("errno %d ", errno);
  return result >= 0;
}
/* True when a privileged call got past its permission check, whatever became of it. */
static int permitted(long result) {
  if (result < 0) note("errno %d ", errno);
  return result >= 0 || (errno != EPERM && errno != EACCES && errno != ENOSYS && errno != ENODEV && errno != EOPNOTSUPP);
}
static int reads(const char *path) {
  char text[512];
  int fd = open(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return note("%s errno %d ", path, errno);
  int length = read(fd, text, sizeof text);
  if (length > 0) keep(text, length);
  close(fd);
  return 0;
}
static char *join(const char *prefix, const char *rest) {
  static char path[8][1024];
  static int turn = 0;
  char *at = path[turn++ & 7];
  snprintf(at, 1024, "%s%s", prefix, rest);
  return at;
}
static char *under(const char *prefix, const char *file) { return join(join(prefix, dir), file); }
static char *in_work(const char *file) { return join(join(work, "/"), file); }
static int opens(const char *path, int flags) {
  int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return note("%s errno %d ", path, errno);
  close(fd);
  note("opened %s ", path);
  return 1;
}
static int writes(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return note("%s errno %d ", path, errno);
  if (write(fd, current, strlen(current)) < 0) note("write errno %d ", errno);
  close(fd);
  return 0;
}
static int any_open(int flags, ...) {
  va_list list;
  int found = 0;
  va_start(list, flags);
  for (const char *path; (path = va_arg(list, const char *));) found |= opens(path, flags);
  va_end(list);
  return found;
}
static int each_process(int (*visit)(int)) {
  DIR *proc = opendir("/proc");
  int found = 0;
  for (struct dirent *entry; proc && (entry = readdir(proc));) {
    int pid = atoi(entry->d_name);
    if (pid > 0 && pid != getpid() && pid != getppid()) found |= visit(pid);
  }
  if (proc) closedir(proc);
  return found;
}
static int talks(int fd, const struct sockaddr *to, socklen_t length) {
  if (fd < 0) return note("socket errno %d ", errno);
  char text[512];
  fcntl(fd, F_SETFL, O_NONBLOCK);
  if (connect(fd, to, length) < 0 && errno != EINPROGRESS) return note("connect errno %d ", errno);
  struct pollfd waits = {fd, POLLOUT, 0};
  int error = 0;
  socklen_t size = sizeof error;
  if (poll(&waits, 1, 500) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) return note("connect error %d ", error);
  if (write(fd, current, strlen(current)) < 0) note("write errno %d ", errno);
  waits.events = POLLIN;
  if (poll(&waits, 1, 500) == 1) {
    int got = read(fd, text, sizeof text);
    if (got > 0) keep(text, got);
  }
  close(fd);
  return 0;
}
static int tcp(uint32_t host, int to) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(host)};
  return talks(socket(AF_INET, SOCK_STREAM, 0), (void *)&in, sizeof in);
}
static int local(const char *path, int abstract) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  strncpy(un.sun_path + abstract, path, sizeof un.sun_path - 2);
  return talks(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, offsetof(struct sockaddr_un, sun_path) + abstract + strlen(path));
}
static uint32_t parse4(const char *text) {
  unsigned a = 127, b = 0, c = 0, d = 1;
  sscanf(text, "%u.%u.%u.%u", &a, &b, &c, &d);
  return a << 24 | b << 16 | c << 8 | d;
}

/* --- files of the host --- */
static int file_absolute(void) { return reads(under("", "/secret")); }
static int file_proc1_root(void) { return reads(under("/proc/1/root", "/secret")); }
static int file_self_root(void) { return reads(under("/proc/self/root/../..", "/secret")); }
static int file_parent_root(void) { char p[64]; snprintf(p, 64, "/proc/%d/root", getppid()); return reads(under(p, "/secret")); }
static int file_victim_root(void) { char p[64]; snprintf(p, 64, "/proc/%d/root", victim); return reads(under(p, "/secret")); }
static int file_victim_cwd(void) { char p[64]; snprintf(p, 64, "/proc/%d/cwd/secret", victim); return reads(p); }
static int visit_root(int pid) {
  char p[64], text[256];
  snprintf(p, 64, "/proc/%d/root", pid);
  int fd = open(under(p, "/secret"), O_RDONLY), length = fd < 0 ? 0 : read(fd, text, sizeof text);
  if (length > 0) keep(text, length);
  if (fd >= 0) close(fd);
  return 0;
}
static int file_any_root(void) { return each_process(visit_root); }
static int file_dot_dot(void) { return reads(under("../../../../../../../../../..", "/secret")) | reads(under("/proc/self/cwd/../../../../../..", "/secret")); }
static int file_symlink(void) { if (symlink(under("", "/secret"), in_work("link")) < 0) note("errno %d ", errno); return reads(in_work("link")); }
static int file_hard_link(void) { if (link(under("", "/secret"), in_work("hard")) < 0) note("errno %d ", errno); return reads(in_work("hard")); }
static int file_fd_climb(void) {
  for (int fd = 0; fd < 256; fd++) {
    char text[256];
    int got = openat(fd, join("../../../../../../../..", under("", "/secret")), O_RDONLY);
    if (got < 0) continue;
    int length = read(got, text, sizeof text);
    if (length > 0) keep(text, length);
  }
  return 0;
}
static int file_fd_leaked(void) {
  int found = 0;
  for (int fd = 3; fd < 1024; fd++) {
    struct stat stat;
    if (fd == fileno(report) || fstat(fd, &stat) < 0) continue;
    char p[64], target[256] = "";
    snprintf(p, 64, "/proc/self/fd/%d", fd);
    if (readlink(p, target, 255) < 0) note("errno %d ", errno);
    note("descriptor %d is %s ", fd, target);
    found |= S_ISDIR(stat.st_mode) || S_ISSOCK(stat.st_mode) || S_ISREG(stat.st_mode) || S_ISBLK(stat.st_mode);
  }
  return found;
}
static int visit_fds(int pid) {
  char p[64];
  for (int fd = 0; fd < 64; fd++) {
    snprintf(p, 64, "/proc/%d/fd/%d/", pid, fd);
    int got = open(join(p, under("../../../../../../..", "/secret")), O_RDONLY | O_NONBLOCK);
    char text[256];
    int length = got < 0 ? 0 : read(got, text, sizeof text);
    if (length > 0) keep(text, length);
    if (got >= 0) close(got);
  }
  return 0;
}
static int file_fd_of_others(void) { return each_process(visit_fds); }
static int file_handle(void) {
  struct { struct file_handle head; unsigned char rest[8]; } handle = {{8, 1}, {2, 0, 0, 0, 0, 0, 0, 0}};
  int mount = open("/", O_RDONLY);
  return permitted(syscall(SYS_open_by_handle_at, mount, &handle, O_RDONLY));
}
static int file_chroot(void) {
  mkdir(in_work("jail"), 0700);
  if (chroot(in_work("jail")) < 0) return note("errno %d ", errno);
  for (int i = 0; i < 64; i++) if (chdir("..") < 0) break;
  if (chroot(".") < 0) note("errno %d ", errno);
  return 1;
}
static int file_inotify(void) { int fd = inotify_init1(IN_CLOEXEC); return fd < 0 ? note("errno %d ", errno) : passed(inotify_add_watch(fd, dir, IN_ALL_EVENTS)); }
static int file_fanotify(void) { return permitted(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY)); }
static int write_absolute(void) { return writes(under("", join("/written-", current))); }
static int write_proc_root(void) { return writes(under("/proc/1/root", join("/written-", current))); }
static int write_truncate(void) { return passed(truncate(under("", "/log"), 0)); }
static int write_rename(void) { return passed(rename(under("", "/log"), under("", "/log2"))); }
static int write_unlink(void) { return passed(unlink(under("", "/loose"))); }
static int write_chmod(void) { return passed(chmod(under("", "/log"), 04777)); }
static int write_mkdir(void) { return passed(mkdir(under("", join("/written-", current)), 0700)); }
static int write_fifo(void) { return passed(mkfifo(under("", join("/written-", current)), 0600)); }
static int write_root(void) { int a = open("/kindmesh-x", O_CREAT | O_WRONLY, 0600); unlink("/kindmesh-x"); return passed(a); }
static int write_programs(void) {
  int found = 0;
  const char *folders[] = {"/bin", "/usr/bin", "/sbin", "/lib", "/usr/lib", "/lib64", "/etc", "/usr", "/opt", "/var", "/srv", "/boot", "/app", "/home", "/root"};
  for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
    char *path = join(folders[i], "/kindmesh-x");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    if (fd >= 0) { note("wrote in %s ", folders[i]); found = 1; close(fd); unlink(path); }
  }
  return found;
}
static int write_own_program(void) { return any_open(O_RDWR, "/bin/busybox", "/usr/bin/busybox", "/lib64/ld-linux-x86-64.so.2", "/etc/passwd", 0); }
static int write_exe_1(void) { return any_open(O_WRONLY, "/proc/1/exe", 0); }
static int visit_exe(int pid) { char p[64]; snprintf(p, 64, "/proc/%d/exe", pid); return opens(p, O_WRONLY); }
static int write_exe_any(void) { return each_process(visit_exe); }

/* --- the kernel's knobs: opened, never written --- */
static int knob_core_pattern(void) { return opens("/proc/sys/kernel/core_pattern", O_RDWR); }
static int knob_sysrq(void) { return any_open(O_WRONLY, "/proc/sysrq-trigger", "/proc/sys/kernel/sysrq", 0); }
static int knob_modprobe(void) { return any_open(O_RDWR, "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/sys/kernel/uevent_helper", 0); }
static int knob_panic(void) { return any_open(O_RDWR, "/proc/sys/kernel/panic", "/proc/sys/vm/panic_on_oom", "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/drop_caches", 0); }
static int knob_binfmt(void) { return opens("/proc/sys/fs/binfmt_misc/register", O_WRONLY); }
static int knob_hostname(void) { return opens("/proc/sys/kernel/hostname", O_RDWR); }
static int knob_userns(void) { return any_open(O_RDWR, "/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/unprivileged_bpf_disabled", "/proc/sys/kernel/yama/ptrace_scope", 0); }
static int knob_irq(void) { return any_open(O_WRONLY, "/proc/irq/default_smp_affinity", "/proc/mtrr", "/proc/scsi/scsi", "/proc/acpi/wakeup", 0); }
static int knob_kcore(void) { return any_open(O_RDONLY, "/proc/kcore", "/proc/kmsg", "/proc/kpagecount", "/proc/kpageflags", 0); }
static int knob_kallsyms(void) {
  char text[64] = "";
  int fd = open("/proc/kallsyms", O_RDONLY);
  if (fd < 0 || read(fd, text, 16) < 16) return note("errno %d ", errno);
  return strncmp(text, "0000000000000000", 16) != 0;
}
static int knob_sys(void) { return any_open(O_WRONLY, "/sys/power/state", "/sys/bus/pci/rescan", "/sys/kernel/profiling", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/module/kernel/parameters/panic", 0); }
static int knob_firmware(void) { return any_open(O_RDONLY, "/sys/firmware/qemu_fw_cfg/raw", "/sys/firmware/dmi/tables/DMI", "/sys/class/dmi/id/product_uuid", 0); }
static int knob_debug(void) { return any_open(O_RDONLY | O_DIRECTORY, "/sys/kernel/debug/sched", "/sys/kernel/tracing/events", "/sys/kernel/security/apparmor", 0); }
static int knob_oom(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  return fd < 0 ? note("errno %d ", errno) : passed(write(fd, "-999", 4));
}
static int cgroup_agent(void) { return any_open(O_RDWR, "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/devices/release_agent", "/sys/fs/cgroup/pids/release_agent", "/sys/fs/cgroup/systemd/release_agent", 0); }
static int cgroup_own_limits(void) { return any_open(O_WRONLY, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids/cgroup.procs", "/sys/fs/cgroup/cgroup.procs", 0); }
static int cgroup_mkdir(void) {
  int a = mkdir("/sys/fs/cgroup/memory/kindmesh-x", 0700), b = mkdir("/sys/fs/cgroup/kindmesh-x", 0700);
  rmdir("/sys/fs/cgroup/memory/kindmesh-x"), rmdir("/sys/fs/cgroup/kindmesh-x");
  return passed(a) | passed(b);
}
static int cgroup_mount(void) { mkdir(in_work("cg"), 0700); int a = mount("cgroup", in_work("cg"), "cgroup", 0, "memory"), b = mount("cgroup2", in_work("cg"), "cgroup2", 0, 0); umount2(in_work("cg"), MNT_DETACH); return passed(a) | passed(b); }

/* --- devices --- */
static int device_memory(void) { return any_open(O_RDONLY, "/dev/mem", "/dev/kmem", "/dev/port", "/dev/nvram", 0); }
static int device_kmsg(void) { return any_open(O_RDWR, "/dev/kmsg", 0); }
static int device_kvm(void) { return any_open(O_RDWR, "/dev/kvm", "/dev/vhost-net", "/dev/vhost-vsock", "/dev/vfio/vfio", 0); }
static int device_net(void) { return any_open(O_RDWR, "/dev/net/tun", "/dev/ppp", 0); }
static int device_block(void) { return any_open(O_RDONLY, "/dev/vda", "/dev/vdb", "/dev/sda", "/dev/nvme0n1", "/dev/loop0", "/dev/loop-control", "/dev/mapper/control", 0); }
static int device_fuse(void) { return any_open(O_RDWR, "/dev/fuse", "/dev/cuse", "/dev/userfaultfd", "/dev/uinput", "/dev/autofs", 0); }
static int device_msr(void) { return any_open(O_RDONLY, "/dev/cpu/0/msr", "/dev/cpu/0/cpuid", "/dev/rtc0", "/dev/hpet", 0); }
static int device_console(void) { return any_open(O_RDWR, "/dev/console", "/dev/tty0", "/dev/tty1", "/dev/ttyS0", 0); }
static int make_block(void) { int made = 0; for (int major = 252; major < 260; major++) { char p[256]; snprintf(p, 256, "%s/b%d", work, major); if (mknod(p, S_IFBLK | 0600, makedev(major, 0)) == 0) made |= opens(p, O_RDONLY); unlink(p); } return made | note("errno %d ", errno); }
static int make_memory(void) { int made = mknod(in_work("mem"), S_IFCHR | 0600, makedev(1, 1)) == 0 && opens(in_work("mem"), O_RDONLY); unlink(in_work("mem")); return made | note("errno %d ", errno); }
static int make_in_dev(void) { int made = mknod("/dev/kindmesh-x", S_IFCHR | 0600, makedev(1, 11)); unlink("/dev/kindmesh-x"); return passed(made); }
static int port_io(void) {
#ifdef SYS_iopl
  return passed(syscall(SYS_iopl, 3)) | passed(syscall(SYS_ioperm, 0x80, 1, 1));
#else
  return 0;
#endif
}

/* --- mounts --- */
static int mount_tmpfs(void) { mkdir(in_work("m"), 0700); int a = mount("x", in_work("m"), "tmpfs", 0, 0); umount2(in_work("m"), MNT_DETACH); return passed(a); }
static int mount_bind(void) { mkdir(in_work("m2"), 0700); int a = mount("/", in_work("m2"), 0, MS_BIND | MS_REC, 0); umount2(in_work("m2"), MNT_DETACH); return passed(a); }
static int mount_proc(void) { mkdir(in_work("m3"), 0700); int a = mount("proc", in_work("m3"), "proc", 0, 0); if (a == 0) reads(under(in_work("m3/1/root"), "/secret")); umount2(in_work("m3"), MNT_DETACH); return passed(a); }
static int mount_sysfs(void) { mkdir(in_work("m4"), 0700); int a = mount("sysfs", in_work("m4"), "sysfs", 0, 0), b = mount("debugfs", in_work("m4"), "debugfs", 0, 0); umount2(in_work("m4"), MNT_DETACH); return passed(a) | passed(b); }
static int mount_remount(void) { return passed(mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0)) | passed(mount(0, "/usr", 0, MS_REMOUNT | MS_BIND, 0)); }
static int mount_shared(void) { return passed(mount(0, "/", 0, MS_SHARED | MS_REC, 0)); }
static int mount_umount(void) { return passed(umount2("/proc/sys", MNT_DETACH)) | passed(umount2("/dev", MNT_DETACH)) | passed(umount2("/", MNT_DETACH)); }
static int mount_pivot(void) { mkdir(in_work("p"), 0700); return permitted(syscall(SYS_pivot_root, in_work("p"), in_work("p"))); }
static int mount_new_api(void) { return passed(syscall(428 /* open_tree */, AT_FDCWD, "/", 1)) | passed(syscall(430 /* fsopen */, "tmpfs", 0)); }
static int mount_setattr_call(void) { uint64_t a[4] = {0, 1, 0, 0}; return permitted(syscall(442, AT_FDCWD, "/", 0x8000, a, 32)); }
static int mount_overlay(void) { mkdir(in_work("o"), 0700); int a = mount("overlay", in_work("o"), "overlay", 0, "lowerdir=/,upperdir=/tmp,workdir=/tmp"); umount2(in_work("o"), MNT_DETACH); return permitted(a); }
static int mount_9p(void) { mkdir(in_work("9"), 0700); int a = mount("host", in_work("9"), "9p", 0, "trans=virtio"), b = mount("host", in_work("9"), "virtiofs", 0, 0); umount2(in_work("9"), MNT_DETACH); return passed(a) | passed(b); }

/* --- namespaces --- */
static int ns_user(void) { return passed(unshare(CLONE_NEWUSER)); }
static int ns_user_mount(void) { if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return note("errno %d ", errno); mkdir(in_work("u"), 0700); if (mount("x", in_work("u"), "tmpfs", 0, 0) < 0) note("mount errno %d ", errno); return 1; }
static int ns_mount(void) { return passed(unshare(CLONE_NEWNS)); }
static int ns_pid(void) { return passed(unshare(CLONE_NEWPID)); }
static int ns_net(void) { return passed(unshare(CLONE_NEWNET)); }
static int ns_cgroup(void) { return passed(unshare(CLONE_NEWCGROUP)) | passed(unshare(CLONE_NEWUTS)) | passed(unshare(CLONE_NEWIPC)); }
static int ns_clone(void) { long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); if (pid == 0) _exit(0); return passed(pid); }
static int ns_clone3(void) { uint64_t a[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD}; long pid = syscall(435, a, 88); if (pid == 0) _exit(0); return passed(pid); }
static int join_ns(const char *process) {
  const char *kinds[] = {"user", "mnt", "net", "pid", "ipc", "uts", "cgroup"};
  int found = 0;
  for (int i = 0; i < 7; i++) {
    char mine[64] = "", theirs[64] = "", p[128];
    snprintf(p, 128, "/proc/%s/ns/%s", process, kinds[i]);
    int fd = open(p, O_RDONLY);
    if (fd < 0) { note("%s errno %d ", p, errno); continue; }
    if (readlink(p, theirs, 63) < 0 || readlink(join("/proc/self/ns/", kinds[i]), mine, 63) < 0) note("errno %d ", errno);
    if (setns(fd, 0) == 0 && strcmp(mine, theirs)) found = note("joined %s ", p) | 1;
    close(fd);
  }
  reads(under("", "/secret"));
  return found;
}
static int ns_join_1(void) { return join_ns("1"); }
static int ns_join_victim(void) { char p[32]; snprintf(p, 32, "%d", victim); return join_ns(p); }
static int ns_join_pidfd(void) { int fd = syscall(434, victim, 0); return fd < 0 ? note("errno %d ", errno) : passed(setns(fd, CLONE_NEWNS)); }
static int ns_parent(void) { int fd = open("/proc/self/ns/user", O_RDONLY); int up = fd < 0 ? -1 : ioctl(fd, 0xb701 /* NS_GET_USERNS */); int over = fd < 0 ? -1 : ioctl(fd, 0xb702 /* NS_GET_PARENT */); return passed(up) | passed(over); }
static int ns_write_map(void) { return any_open(O_WRONLY, "/proc/self/uid_map", 0) && passed(write(open("/proc/self/uid_map", O_WRONLY), "0 0 1", 5)); }

/* --- processes of the host --- */
static int kill_victim(void) { return passed(kill(victim, SIGUSR1)); }
static int kill_tgkill(void) { return passed(syscall(SYS_tgkill, victim, victim, SIGUSR1)); }
static int kill_queue(void) { siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE}; return passed(syscall(SYS_rt_sigqueueinfo, victim, SIGUSR1, &info)); }
static int kill_pidfd(void) { int fd = syscall(434, victim, 0); return fd < 0 ? note("errno %d ", errno) : passed(syscall(424, fd, SIGUSR1, 0, 0)); }
static int kill_owner(void) { int fds[2]; if (pipe(fds) < 0 || fcntl(fds[0], F_SETOWN, victim) < 0 || fcntl(fds[0], F_SETSIG, SIGUSR1) < 0) return note("errno %d ", errno); fcntl(fds[0], F_SETFL, O_ASYNC); return write(fds[1], "x", 1) < 0; }
static int trace_attach(void) { int held = ptrace(PTRACE_ATTACH, victim, 0, 0); if (held == 0) { waitpid(victim, 0, __WALL); ptrace(PTRACE_DETACH, victim, 0, 0); } return passed(held); }
static int trace_seize(void) { int held = ptrace(PTRACE_SEIZE, victim, 0, 0); if (held == 0) ptrace(PTRACE_DETACH, victim, 0, 0); return passed(held); }
static int trace_memory(void) { char p[64]; snprintf(p, 64, "/proc/%d/mem", victim); return opens(p, O_RDWR); }
static int trace_vm_read(void) { char text[64]; struct iovec to = {text, 64}, from = {(void *)0x400000, 64}; long got = syscall(SYS_process_vm_readv, victim, &to, 1, &from, 1, 0); return got >= 0 || (note("errno %d ", errno) | (errno == EFAULT)); }
static int trace_getfd(void) { int fd = syscall(434, victim, 0); return fd < 0 ? note("errno %d ", errno) : passed(syscall(438, fd, 0, 0)); }
static int trace_environ(void) { char p[64]; snprintf(p, 64, "/proc/%d/environ", victim); return reads(p); }
static int trace_kcmp(void) { return passed(syscall(SYS_kcmp, getpid(), victim, 0, 0, 0)); }
static int trace_limits(void) { struct rlimit limit; return passed(syscall(SYS_prlimit64, victim, RLIMIT_NOFILE, 0, &limit)); }
static int trace_priority(void) { errno = 0; return passed(setpriority(PRIO_PROCESS, victim, 5)); }
static int trace_affinity(void) { unsigned long mask = ~0ul; return passed(syscall(SYS_sched_setaffinity, victim, sizeof mask, &mask)); }
static int trace_ioprio(void) { return passed(syscall(SYS_ioprio_set, 1, victim, 2 << 13)); }
static int trace_pages(void) { void *page = 0; int node = 0, status; return passed(syscall(SYS_move_pages, victim, 1, &page, &node, &status, 0)); }
static int trace_robust(void) { void *head; size_t size; return passed(syscall(SYS_get_robust_list, victim, &head, &size)); }
static int trace_perf(void) { uint32_t attr[32] = {1, 128}; return passed(syscall(SYS_perf_event_open, attr, victim, -1, -1, 0)); }
static int visit_line(int pid) { char p[64]; snprintf(p, 64, "/proc/%d/environ", pid); reads(p); snprintf(p, 64, "/proc/%d/cmdline", pid); reads(p); return 0; }
static int trace_lines(void) { return each_process(visit_line); }
static int own_environment(void) { return reads("/proc/self/environ") | reads("/proc/1/environ"); }

/* --- memory, queues and keys shared with the host --- */
static int shared_sysv(void) { int id = shmget(key, 0, 0); char *at = id < 0 ? (char *)-1 : shmat(id, 0, SHM_RDONLY); if (at == (char *)-1) return note("errno %d ", errno); keep(at, 64); return 0; }
static int shared_sysv_any(void) { for (int id = 0; id < 64; id++) { char *at = shmat(id, 0, SHM_RDONLY); if (at != (char *)-1) keep(at, 64); } return 0; }
static int shared_posix(void) { return reads(join("/dev/shm/", name)); }
static int shared_queue(void) { mqd_t q = mq_open(join("/", name), O_RDONLY | O_NONBLOCK); char text[64]; if (q == (mqd_t)-1) return note("errno %d ", errno); int got = mq_receive(q, text, 64, 0); if (got > 0) keep(text, got); return 1; }
static int key_add(void) { long id = syscall(SYS_add_key, "user", "kindmesh-probe", "x", 1, -4); if (id > 0) syscall(SYS_keyctl, 9, id, -4); return passed(id); }
static int key_search(void) { char text[64]; long id = syscall(SYS_keyctl, 10, -4, "user", name, 0); if (id < 0) return note("errno %d ", errno); int got = syscall(SYS_keyctl, 11, id, text, 64); if (got > 0) keep(text, got); return 0; }
static int key_request(void) { return permitted(syscall(SYS_request_key, "user", "kindmesh-none", 0, 0)) && errno != ENOKEY ? 1 : passed(syscall(SYS_keyctl, 0, -3, 1)); }
static int key_session(void) { return passed(syscall(SYS_keyctl, 1, "kindmesh-probe")); }

/* --- calls a guest has no business with --- */
static int call_bpf(void) { uint32_t attr[32] = {2 /* array */, 4, 4, 1}; return passed(syscall(SYS_bpf, 0, attr, 128)); }
static int call_bpf_program(void) { uint64_t code[2] = {0xb7, 0x95}; uint64_t attr[16] = {1 | 2ull << 32, (uint64_t)code, (uint64_t)"GPL"}; return passed(syscall(SYS_bpf, 5, attr, 128)); }
static int call_perf(void) { uint32_t attr[32] = {1, 128}; return passed(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0)); }
static int call_uring(void) { char params[256] = {0}; return passed(syscall(425, 4, params)); }
static int call_uffd(void) { return passed(syscall(SYS_userfaultfd, O_CLOEXEC)) | passed(syscall(SYS_userfaultfd, 1)); }
static int call_kexec(void) { return permitted(syscall(SYS_kexec_load, 0, 99, 0, 0x7fffffff)) | permitted(syscall(SYS_kexec_file_load, -1, -1, 0, 0, 0x4000)); }
static int call_module(void) { return permitted(syscall(SYS_init_module, "x", 1, "")) | permitted(syscall(SYS_finit_module, -1, "", 0x4000)) | permitted(syscall(SYS_delete_module, "kindmesh_none", O_NONBLOCK)); }
static int call_reboot(void) { return permitted(syscall(SYS_reboot, 0xfee1dead, 672274793, 0x1234, 0)); }
static int call_swap(void) { return permitted(syscall(SYS_swapon, "/kindmesh-none", 0)) | permitted(syscall(SYS_swapoff, "/kindmesh-none")); }
static int call_account(void) { return permitted(syscall(SYS_acct, "/kindmesh-none")) | permitted(syscall(SYS_quotactl, 0x800007 << 8, 0, 0, 0)); }
static int call_clock(void) { struct timex t = {0}; adjtimex(&t); t.modes = ADJ_TICK; return passed(adjtimex(&t)); }
static int call_hostname(void) { return passed(sethostname("kindmesh", 8)) | passed(setdomainname("kindmesh", 8)); }
static int call_syslog(void) { char text[256]; return passed(syscall(SYS_syslog, 3, text, 256)); }
static int call_vhangup(void) { setsid(); return permitted(syscall(SYS_vhangup)); }
static int call_x32(void) {
#ifdef __x86_64__
  return syscall(0x40000000 | SYS_getpid) > 0;
#else
  return 0;
#endif
}
static int call_i386(void) {
#ifdef __x86_64__
  long result = 20; /* getpid of the 32-bit table */
  __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  return result > 0;
#else
  return 0;
#endif
}
static int call_ldt(void) {
#ifdef SYS_modify_ldt
  char entry[16] = {0};
  return passed(syscall(SYS_modify_ldt, 0, entry, 16));
#else
  return 0;
#endif
}
static int call_seccomp(void) { return prctl(PR_GET_SECCOMP) != 2; }
static int call_new_privileges(void) { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1; }

/* --- privileges --- */
static int own_capabilities(void) { struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0}; struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}}; if (syscall(SYS_capget, &head, data) < 0) return note("errno %d ", errno); note("%x %x ", data[0].effective, data[0].permitted); return data[0].effective || data[0].permitted || data[1].effective || data[1].permitted; }
static int own_bounding(void) { int found = 0; for (int cap = 0; cap < 41; cap++) if (prctl(PR_CAPBSET_READ, cap) == 1) found = note("%d ", cap) | 1; return found; }
static int own_raise(void) { struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0}; struct __user_cap_data_struct data[2] = {{~0u, ~0u, 0}, {~0u, ~0u, 0}}; struct __user_cap_data_struct one[2] = {{1u << CAP_SYS_ADMIN, 1u << CAP_SYS_ADMIN, 0}, {0, 0, 0}}; return passed(syscall(SYS_capset, &head, data)) | passed(syscall(SYS_capset, &head, one)); }
static int own_root(void) { return (setuid(0) == 0 || setresuid(0, 0, 0) == 0 || seteuid(0) == 0) && note("uid %d ", getuid()) == 0; }
static int own_groups(void) { gid_t group = 0; return passed(setgroups(1, &group)) | passed(setgid(0)); }
static int own_limits(void) { struct rlimit limit = {1 << 20, 1 << 20}; return passed(setrlimit(RLIMIT_NOFILE, &limit)); }
static int own_priority(void) { errno = 0; struct sched_param fifo = {1}; return (setpriority(PRIO_PROCESS, 0, -10) == 0) | passed(sched_setscheduler(0, SCHED_FIFO, &fifo)); }
static int own_ioprio(void) { return passed(syscall(SYS_ioprio_set, 1, 0, 1 << 13)); }
static int own_setuid_file(void) {
  int fd = open(in_work("suid"), O_CREAT | O_WRONLY, 0755);
  int taken = fd < 0 ? -1 : fchown(fd, 0, 0);
  if (taken == 0) taken = fchmod(fd, 04755);
  unlink(in_work("suid"));
  return passed(taken);
}
static int own_setuid_programs(void) {
  const char *folders[] = {"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/local/bin"};
  int found = 0;
  for (int i = 0; i < 7; i++) {
    DIR *folder = opendir(folders[i]);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
      struct stat stat;
      if (fstatat(dirfd(folder), entry->d_name, &stat, 0) == 0 && S_ISREG(stat.st_mode) && stat.st_mode & (S_ISUID | S_ISGID)) found = note("%s ", entry->d_name) | 1;
    }
    if (folder) closedir(folder);
  }
  return found;
}
static int own_dumpable(void) { struct rlimit limit; return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur != 0; }

/* --- terminals --- */
static int tty_push(void) { int found = 0; for (int fd = 0; fd < 3; fd++) found |= ioctl(fd, TIOCSTI, "x") == 0; int fd = open("/dev/tty", O_RDWR); return found | (fd >= 0 && ioctl(fd, TIOCSTI, "x") == 0); }
static int tty_linux(void) { char paste = 3; int found = 0; for (int fd = 0; fd < 3; fd++) found |= ioctl(fd, 0x541c /* TIOCLINUX */, &paste) == 0; return found; }
static int tty_take(void) { setsid(); int found = 0; const char *paths[] = {"/dev/tty", "/dev/console", "/dev/pts/0", "/dev/pts/1"}; for (int i = 0; i < 4; i++) { int fd = open(paths[i], O_RDWR | O_NOCTTY); if (fd >= 0 && ioctl(fd, TIOCSCTTY, 0) == 0) found = note("%s ", paths[i]) | 1; } return found; }

/* --- network --- */
static int net_loopback(void) { return tcp(0x7f000001, port); }
static int net_loopback_2(void) { return tcp(0x7f010203, port) | tcp(0, port); }
static int net_address(void) { return tcp(parse4(address), port); }
static int net_gateway(void) { return tcp(0x0a000202, port) | tcp(0x0a000203, port); }
static int net_metadata(void) { struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0xa9fea9fe)}; int fd = socket(AF_INET, SOCK_STREAM, 0); fcntl(fd, F_SETFL, O_NONBLOCK); int r = connect(fd, (void *)&in, sizeof in); return fd >= 0 && (r == 0 || errno == EINPROGRESS); }
static int net_six(void) { struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT}; return talks(socket(AF_INET6, SOCK_STREAM, 0), (void *)&in, sizeof in); }
static int net_mapped(void) { struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port)}; in.sin6_addr.s6_addr[10] = in.sin6_addr.s6_addr[11] = 255; in.sin6_addr.s6_addr[12] = 127; in.sin6_addr.s6_addr[15] = 1; return talks(socket(AF_INET6, SOCK_STREAM, 0), (void *)&in, sizeof in); }
static int net_udp(void) { struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)}; int fd = socket(AF_INET, SOCK_DGRAM, 0); if (fd < 0) return note("errno %d ", errno); sendto(fd, current, strlen(current), 0, (void *)&in, sizeof in); return 0; }
static int net_abstract(void) { return local(name, 1); }
static int net_path(void) { return local(under("", "/socket"), 0); }
static int net_path_root(void) { return local(under("/proc/1/root", "/socket"), 0); }
static int net_buses(void) { const char *paths[] = {"/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/tmp/.X11-unix/X0", "/run/snapd.socket"}; int found = 0; for (int i = 0; i < 8; i++) { struct sockaddr_un un = {.sun_family = AF_UNIX}; strcpy(un.sun_path, paths[i]); int fd = socket(AF_UNIX, SOCK_STREAM, 0); found |= fd >= 0 && connect(fd, (void *)&un, sizeof un) == 0; } return found; }
static int net_packet(void) { return passed(socket(AF_PACKET, SOCK_RAW, htons(3))); }
static int net_raw(void) { return passed(socket(AF_INET, SOCK_RAW, 1)) | passed(socket(AF_INET6, SOCK_RAW, 58)); }
static int net_alg(void) { return passed(socket(AF_ALG, SOCK_SEQPACKET, 0)); }
static int net_vsock(void) { unsigned char vm[16] = {AF_VSOCK, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0}; int fd = socket(AF_VSOCK, SOCK_STREAM, 0); if (fd < 0) return note("errno %d ", errno); *(uint32_t *)(vm + 4) = port; struct timeval wait = {1, 0}; setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait); return passed(connect(fd, (void *)vm, 16)); }
static int net_odd(void) { int kinds[] = {AF_BLUETOOTH, AF_CAN, AF_TIPC, AF_RDS, AF_KCM, 44 /* XDP */, 43 /* SMC */, AF_PPPOX, AF_LLC, AF_AX25, AF_X25}, found = 0; for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) if (socket(kinds[i], SOCK_RAW, 0) >= 0 || socket(kinds[i], SOCK_DGRAM, 0) >= 0) found = note("%d ", kinds[i]) | 1; return found; }
static int net_uevent(void) { return passed(socket(AF_NETLINK, SOCK_RAW, 15)) | passed(socket(AF_NETLINK, SOCK_RAW, 9)) | passed(socket(AF_NETLINK, SOCK_RAW, 12)); }
static int net_links(void) { char text[4096] = "", *line; int fd = open("/proc/net/dev", O_RDONLY), found = 0; if (fd < 0 || read(fd, text, 4095) < 1) return note("errno %d ", errno); for (line = strtok(text, "\n"); line; line = strtok(0, "\n")) if (strchr(line, ':') && !strstr(line, "lo:")) found = note("%.12s ", line) | 1; return found; }

struct attempt { const char *name; int (*run)(void); };
#define CASE(f) {#f, f}
static const struct attempt attempts[] = {
  CASE(file_absolute), CASE(file_proc1_root), CASE(file_self_root), CASE(file_parent_root), CASE(file_victim_root), CASE(file_victim_cwd), CASE(file_any_root), CASE(file_dot_dot),
  CASE(file_symlink), CASE(file_hard_link), CASE(file_fd_climb), CASE(file_fd_leaked), CASE(file_fd_of_others), CASE(file_handle), CASE(file_chroot), CASE(file_inotify), CASE(file_fanotify),
  CASE(write_absolute), CASE(write_proc_root), CASE(write_truncate), CASE(write_chmod), CASE(write_rename), CASE(write_unlink), CASE(write_mkdir), CASE(write_fifo), CASE(write_root),
  CASE(write_programs), CASE(write_own_program), CASE(write_exe_1), CASE(write_exe_any),
  CASE(knob_core_pattern), CASE(knob_sysrq), CASE(knob_modprobe), CASE(knob_panic), CASE(knob_binfmt), CASE(knob_hostname), CASE(knob_userns), CASE(knob_irq), CASE(knob_kcore),
  CASE(knob_kallsyms), CASE(knob_sys), CASE(knob_firmware), CASE(knob_debug), CASE(knob_oom), CASE(cgroup_agent), CASE(cgroup_own_limits), CASE(cgroup_mkdir), CASE(cgroup_mount),
  CASE(device_memory), CASE(device_kmsg), CASE(device_kvm), CASE(device_net), CASE(device_block), CASE(device_fuse), CASE(device_msr), CASE(device_console), CASE(make_block),
  CASE(make_memory), CASE(make_in_dev), CASE(port_io),
  CASE(mount_tmpfs), CASE(mount_bind), CASE(mount_proc), CASE(mount_sysfs), CASE(mount_remount), CASE(mount_shared), CASE(mount_umount), CASE(mount_pivot), CASE(mount_new_api),
  CASE(mount_setattr_call), CASE(mount_overlay), CASE(mount_9p),
  CASE(ns_user), CASE(ns_user_mount), CASE(ns_mount), CASE(ns_pid), CASE(ns_net), CASE(ns_cgroup), CASE(ns_clone), CASE(ns_clone3), CASE(ns_join_1), CASE(ns_join_victim),
  CASE(ns_join_pidfd), CASE(ns_parent), CASE(ns_write_map),
  CASE(kill_victim), CASE(kill_tgkill), CASE(kill_queue), CASE(kill_pidfd), CASE(kill_owner), CASE(trace_attach), CASE(trace_seize), CASE(trace_memory), CASE(trace_vm_read),
  CASE(trace_getfd), CASE(trace_environ), CASE(trace_kcmp), CASE(trace_limits), CASE(trace_priority), CASE(trace_affinity), CASE(trace_ioprio), CASE(trace_pages), CASE(trace_robust),
  CASE(trace_perf), CASE(trace_lines), CASE(own_environment),
  CASE(shared_sysv), CASE(shared_sysv_any), CASE(shared_posix), CASE(shared_queue), CASE(key_add), CASE(key_search), CASE(key_request), CASE(key_session),
  CASE(call_bpf), CASE(call_bpf_program), CASE(call_perf), CASE(call_uring), CASE(call_uffd), CASE(call_kexec), CASE(call_module), CASE(call_reboot), CASE(call_swap), CASE(call_account),
  CASE(call_clock), CASE(call_hostname), CASE(call_syslog), CASE(call_vhangup), CASE(call_x32), CASE(call_i386), CASE(call_ldt), CASE(call_seccomp), CASE(call_new_privileges),
  CASE(own_capabilities), CASE(own_bounding), CASE(own_raise), CASE(own_root), CASE(own_groups), CASE(own_limits), CASE(own_priority), CASE(own_ioprio), CASE(own_setuid_file),
  CASE(own_setuid_programs), CASE(own_dumpable), CASE(tty_push), CASE(tty_linux), CASE(tty_take),
  CASE(net_loopback), CASE(net_loopback_2), CASE(net_address), CASE(net_gateway), CASE(net_metadata), CASE(net_six), CASE(net_mapped), CASE(net_udp), CASE(net_abstract), CASE(net_path),
  CASE(net_path_root), CASE(net_buses), CASE(net_packet), CASE(net_raw), CASE(net_alg), CASE(net_vsock), CASE(net_odd), CASE(net_uevent), CASE(net_links),
};

static const char *value(const char *argument, const char *prefix) {
  size_t length = strlen(prefix);
  return strncmp(argument, prefix, length) ? 0 : argument + length;
}

/* Leaves on this machine what a guest must not find on it, or takes it away again. For the host only. */
static int prepare(const char *secret, int remove) {
  int id = shmget(key, 64, IPC_CREAT | 0666);
  if (remove) return (id >= 0 && shmctl(id, IPC_RMID, 0) == 0) & (mq_unlink(join("/", name)) == 0) ? 0 : 1;
  char *at = id < 0 ? (char *)-1 : shmat(id, 0, 0);
  if (at == (char *)-1) return 1;
  strncpy(at, secret, 63);
  struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 64};
  umask(0);
  mqd_t q = mq_open(join("/", name), O_CREAT | O_WRONLY, 0666, &attr);
  if (q != (mqd_t)-1) mq_send(q, secret, strlen(secret), 0);
  return 0;
}

static void signalled(int number) {
  (void)number;
  if (write(1, "signalled\n", 10) < 0) _exit(1);
}

/* A process of this machine for guests to aim at: tells of every signal, ends with its stdin. */
static int stand(void) {
  char text[8];
  struct sigaction act = {.sa_handler = signalled, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &act, 0);
  if (write(1, "ready\n", 6) < 0) return 1;
  while (read(0, text, sizeof text) > 0 || errno == EINTR) errno = 0;
  return 0;
}

int main(int count, char **list) {
  const char *text, *secret = 0;
  int remove = 0;
  for (int i = 1; i < count; i++) {
    if ((text = value(list[i], "dir="))) dir = text;
    else if ((text = value(list[i], "port="))) port = atoi(text);
    else if ((text = value(list[i], "name="))) name = text;
    else if ((text = value(list[i], "pid="))) victim = atoi(text);
    else if ((text = value(list[i], "key="))) key = atoi(text);
    else if ((text = value(list[i], "address="))) address = text;
    else if ((text = value(list[i], "only="))) only = text;
    else if ((text = value(list[i], "prepare="))) secret = text;
    else if ((text = value(list[i], "work="))) work = text;
    else if (!strcmp(list[i], "remove")) remove = 1;
    else if (!strcmp(list[i], "apart")) apart = 1;
  }
  if (count == 2 && !strcmp(list[1], "victim")) return stand();
  if (secret || remove) return prepare(secret, remove);
  report = stdout;
  for (unsigned i = 0; i < sizeof attempts / sizeof *attempts; i++) {
    current = attempts[i].name;
    if (only && strncmp(current, only, strlen(only))) continue;
    fflush(report);
    int pid = fork();
    if (pid == 0) {
      alarm(3);
      /* Unconfined, as a control: what a case mounts or names stays its own. */
      if (apart && (unshare(CLONE_NEWNS | CLONE_NEWUTS) < 0 || mount(0, "/", 0, MS_PRIVATE | MS_REC, 0) < 0)) _exit(1);
      int gone = attempts[i].run();
      fprintf(report, "%c %s %s\n", gone ? '!' : '.', current, saw);
      fflush(report);
      _exit(0);
    }
    int status = 0;
    if (pid > 0) waitpid(pid, &status, 0);
    if (pid < 0) printf("x %s no process\n", current);
    else if (WIFSIGNALED(status)) printf("x %s signal %d\n", current, WTERMSIG(status));
  }
  printf("end\n");
  return 0;
}
