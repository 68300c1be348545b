import { type Bomb, wall } from './sandbox-bombs.ts'

const memory = 'ERR_SANDBOX_LIMIT/memoryMiB'
const output = ['ERR_SANDBOX_LIMIT/outputBytes', 'ERR_SANDBOX_LIMIT/hostCalls']
/** A program may be refused what it wants in time and end, or be stopped; it may end the worker beside it, which ends its own run. */
const anyhow = ['done', memory, ...wall, 'ERR_SANDBOX_CRASHED', ...output]

const limits = { memoryMiB: 48, wallMs: 500, processes: 16 }
const sh = (script: string, ends: readonly string[]): Bomb => ({ engine: 'command', code: JSON.stringify(['sh', '-c', script]), ends, limits })

/** What only programs can do, as scripts of the shell in the image. */
export const programBombs: Readonly<Record<string, Bomb>> = {
  'endless loop': sh('while :; do :; done', wall),
  'endless sleep': sh('sleep 1000000', wall),
  'fork bomb': sh('f() { f | f & }; f; wait', anyhow),
  'fork bomb that waits for nobody': sh('while :; do (sleep 1000 &) ; done', anyhow),
  'processes that end at once': sh('while :; do (true); done', anyhow),
  zombies: sh('while :; do true & done', anyhow),
  'doubly forked daemons': sh('for i in 1 2 3 4; do (setsid sh -c "while :; do :; done" >/dev/null 2>&1 &) ; done; exit 0', anyhow),
  'daemon that holds the output open': sh('(setsid sleep 1000 &) ; echo gone', anyhow),
  'every signal ignored': sh('trap "" TERM INT HUP QUIT PIPE USR1 USR2 ALRM; while :; do :; done', wall),
  'stops itself': sh('kill -STOP $$', wall),
  'stops everything': sh('kill -STOP -1; while :; do :; done', anyhow),
  'kills everything': sh('kill -KILL -1; while :; do :; done', anyhow),
  'kills its parent': sh('kill -KILL $PPID; while :; do :; done', anyhow),
  'stops its parent': sh('kill -STOP $PPID; exit 0', anyhow),
  aborts: sh('kill -ABRT $$', ['done']),
  'leaves by a bad address': sh('kill -SEGV $$', ['done']),
  'executes itself without end': sh('x="$0 $*"; exec sh -c "$(printf %s "while :; do exec true || :; done")"', anyhow),
  'shells in shells': sh('export S="sh -c \\"\\$S\\""; eval "$S"', anyhow),
  'recursion of a function': sh('f() { f; }; f', anyhow),
  'output without end': sh('yes', output),
  'output without lines': sh('cat /dev/zero', output),
  'errors without end': sh('yes >&2', output),
  'output of many at once': sh('yes a & yes b & yes c >&2 & wait', output),
  'empty lines without end': sh('yes ""', output),
  'output that is no text': sh('cat /dev/urandom', output),
  'reads zeros without end': sh('cat /dev/zero >/dev/null', wall),
  'reads chance without end': sh('cat /dev/urandom >/dev/null', wall),
  'reads stdin that has ended': sh('while :; do read -r x; done', wall),
  'pipe that nobody reads': sh('yes | sleep 1000', wall),
  'closes its streams and goes on': sh('exec <&- >&- 2>&-; while :; do :; done', anyhow),
  'one long line in memory': sh('tail -c 1000000000 /dev/zero | tail -n 1', anyhow),
  'a variable that doubles': sh('x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done', anyhow),
  'sort of what never ends': sh('yes | sort', anyhow),
  'awk that doubles': sh('awk "BEGIN { x = \\"aaaa\\"; while (1) x = x x }"', anyhow),
  'memory of a huge block': sh('dd if=/dev/zero of=/dev/null bs=2G count=1', anyhow),
  'disk filled in /tmp': sh('cat /dev/zero >/tmp/full; cat /dev/zero >/tmp/more; exit 0', anyhow),
  'disk filled in /work': sh('cat /dev/zero >/work/full; exit 0', anyhow),
  'shared memory filled': sh('cat /dev/zero >/dev/shm/full; exit 0', anyhow),
  'files without end': sh('i=0; while :; do i=$((i + 1)); : >/tmp/f$i || exit 0; done', anyhow),
  'folders in folders': sh('cd /tmp; while mkdir d && cd d; do :; done; exit 0', anyhow),
  'links without end': sh('i=0; : >/tmp/x; while ln /tmp/x /tmp/l$i; do i=$((i + 1)); done; exit 0', anyhow),
  'a sparse file of a terabyte': sh('dd if=/dev/zero of=/tmp/x bs=1 count=1 seek=1000000000000; cat /tmp/x >/dev/null; exit 0', anyhow),
  'a file compressed twice': sh('yes | gzip | gzip >/tmp/x', anyhow),
  'descriptors without end': sh('i=3; while [ $i -lt 5000 ]; do eval "exec $i</dev/null" || exit 0; i=$((i + 1)); done', anyhow),
  'limits raised': sh('ulimit -n 1000000; ulimit -u unlimited; ulimit -v unlimited; ulimit -c unlimited; while :; do :; done', anyhow),
  'many at once on every core': sh('for i in 1 2 3 4 5 6; do (while :; do :; done) & done; wait', wall),
  'search of everything': sh('while :; do find / >/dev/null 2>&1; done', wall),
  'writes into its parent': sh('for f in 0 1 2 3 4 5; do printf "\\\\377\\\\377\\\\377\\\\377x" >/proc/$PPID/fd/$f; done; exit 0', anyhow),
  'a result of its own into the parent': sh('printf "\\\\0\\\\0\\\\0\\\\2\\\\0051" >/proc/$PPID/fd/1; exit 3', anyhow),
}
