import { workerUid } from '../programs.ts'

/** Kernel modules a guest needs, in the order they are loaded; below `kernel/drivers` of the kernel's package. */
export const guestModules = [
  'virtio/virtio_ring',
  'virtio/virtio',
  'virtio/virtio_pci_modern_dev',
  'virtio/virtio_pci_legacy_dev',
  'virtio/virtio_pci',
  'block/virtio_blk',
  'char/virtio_console',
] as const

/** Names of the ports, on both sides. */
export const ports = { frames: 'frames', control: 'control' } as const

/** Of /work and of /tmp each. They count as memory of the machine. */
const folderBytes = '64m'
/** Long ago: whoever noted the time before the machine was saved finds its notes out of date when it has woken. */
const templateTimeS = 1_000_000_000

/** Chance of the host for a copy of a machine. Source: sandbox/v1 section 3.2. */
export const wakeSeedBytes = 64
/** What a waking machine is sent: seconds and nanoseconds since 1970, as 64-bit little-endian numbers, then chance of the host. */
export const wakeBytes = 16 + wakeSeedBytes
export const wokenAnswer = 'woken\n'

/** The first process: mounts the root file system read-only and hands over to the agent. Busybox, from the initial file system. */
export const guestInit = `#!/busybox sh
b=/busybox
die() { echo "guest: $1"; $b reboot -f; }
$b mkdir -p /dev /root
$b mount -t devtmpfs none /dev || die "no devices"
for module in ${guestModules.map((path) => path.split('/').at(-1)).join(' ')}; do $b insmod /modules/$module.ko || die "no module $module"; done
$b date -s @${templateTimeS} >/dev/null
rounds=0
until [ -b /dev/vda ]; do rounds=$((rounds + 1)); [ $rounds -lt 500 ] || die "no disk"; $b sleep 0.01; done
$b mount -t ext4 -o ro,nosuid,nodev /dev/vda /root || die "no root file system"
$b mount --move /dev /root/dev
$b mount -t proc -o nosuid,nodev,noexec none /root/proc
$b mount -t sysfs -o nosuid,nodev,noexec,ro none /root/sys
$b mount -t tmpfs -o nosuid,nodev,mode=755 none /root/app
$b cp -r /app/. /root/app/
$b mount -o remount,ro none /root/app
$b mount -t tmpfs -o nosuid,nodev,mode=1777,size=${folderBytes} none /root/tmp
$b mount -t tmpfs -o nosuid,nodev,mode=700,size=${folderBytes} none /root/work
$b chown ${workerUid}:${workerUid} /root/work
exec $b switch_root /root /usr/bin/perl /app/agent.pl
`

/**
 * The second and last program that runs as root: starts the worker as nobody, and on the word of the host, which comes after a saved machine has been
 * loaded, mixes in the host's chance, makes the kernel draw anew and sets the clock. Perl, since it is the smallest of Debian's packages that can call ioctl.
 */
export const guestAgent = (command: readonly string[], environment: Readonly<Record<string, string>>): string => `use strict;
use warnings;
# Linux, x86-64: linux/random.h and the table of system calls.
my ($addEntropy, $reseed, $prctl, $reboot, $clockSettime) = (0x40085203, 0x5207, 157, 169, 227);
my ($noNewPrivileges, $restart) = (38, 0x01234567);

sub off {
  print STDERR "guest: $_[0]\\n";
  syscall $reboot, 0xfee1dead, 672274793, $restart, 0;
  sleep 1 while 1;
}

sub port {
  my $wanted = shift;
  for my $folder (glob '/sys/class/virtio-ports/*') {
    open my $file, '<', "$folder/name" or next;
    chomp(my $name = <$file> // '');
    return '/dev/' . ($folder =~ s{.*/}{}r) if $name eq $wanted;
  }
  off("no port $wanted");
}

my $frames = port('${ports.frames}');
chown ${workerUid}, ${workerUid}, $frames;
my $worker = 0;
# Reaps whatever has lost its parent as well.
$SIG{CHLD} = sub {
  while ((my $ended = waitpid -1, 1) > 0) { off("the worker ended: $?") if $ended == $worker }
};
$worker = fork // off("no process: $!");
if ($worker == 0) {
  open STDIN, '<', '/dev/null';
  open STDOUT, '>', '/dev/null';
  chdir '/work';
  syscall $prctl, $noNewPrivileges, 1, 0, 0, 0;
  $( = ${workerUid};
  $) = '${workerUid} ${workerUid}';
  $< = $> = ${workerUid};
  %ENV = (${Object.entries(environment)
    .map(([name, value]) => `'${name}', '${value}'`)
    .join(', ')});
  exec ${command.map((word) => `'${word}'`).join(', ')}, $frames;
  exit 127;
}

open my $control, '+<', port('${ports.control}') or off("no control: $!");
binmode $control;
my $woken = '';
while (length $woken < ${wakeBytes}) {
  my $count = sysread $control, $woken, ${wakeBytes} - length $woken, length $woken;
  select undef, undef, undef, 0.01 if !$count;
}
my ($seconds, $nanoseconds, $seed) = unpack 'q< q< a*', $woken;
open my $random, '+<', '/dev/urandom' or off("no chance: $!");
ioctl $random, $addEntropy, pack('l l a*', 8 * length $seed, length $seed, $seed) or off("no entropy: $!");
ioctl $random, $reseed, 0 or off("no new seed: $!");
syscall($clockSettime, 0, pack('q q', $seconds, $nanoseconds)) == 0 or off("no clock: $!");
syswrite $control, "${wokenAnswer.trimEnd()}\\n";
close $control;
sleep while 1;
`
