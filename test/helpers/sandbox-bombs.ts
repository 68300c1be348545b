import type { Engine, SandboxLimits } from '../../src/sandbox/index.ts'

/** Something that takes without end, and how that may end: `done`, or the code with the limit if one was hit. */
export interface Bomb {
  readonly engine?: Engine
  readonly code: string
  readonly ends: readonly string[]
  readonly limits?: Partial<SandboxLimits>
}

/** What every bomb may use when it says nothing else. */
export const bombLimits = { memoryMiB: 64, wallMs: 300, cpuMs: 60_000 } as const

const limit = (name: keyof SandboxLimits): string => `ERR_SANDBOX_LIMIT/${name}`
export const wall = [limit('wallMs')]
const threw = ['ERR_SANDBOX_THREW']
const refused = ['ERR_SANDBOX_CODE']
const output = [limit('outputBytes')]
const calls = [limit('hostCalls')]
/** The engine may refuse it in time, or finish it where it is cheap; what counts is that it ends and takes no more. */
const memory = [limit('memoryMiB'), ...wall, ...threw, 'done']
const time = [...wall, limit('memoryMiB')]
const long = { wallMs: 5_000 }
/** Growth to a limit that comes soon. */
const small = { memoryMiB: 24, wallMs: 5_000 }

const bomb = (code: string, ends: readonly string[], limits?: Partial<SandboxLimits>): Bomb => ({ code, ends, ...(limits === undefined ? {} : { limits }) })

const loops: Readonly<Record<string, Bomb>> = {
  'endless loop': bomb('for (;;);', wall),
  'endless loop under a CPU limit': bomb('for (;;);', [limit('cpuMs')], { cpuMs: 200, wallMs: 20_000 }),
  'loop in try and finally': bomb('for (;;) try { throw 1 } catch { continue } finally { continue }', wall),
  'loop in a getter of the result': bomb('return { get a() { for (;;); } }', wall),
  'loop in toJSON': bomb('return { toJSON() { for (;;); } }', wall),
  'loop in toString for the console': bomb('console.log(Object.assign(() => 0, { toString() { for (;;); } }))', wall),
  'loop in valueOf for progress': bomb('progress({ valueOf() { for (;;); } }, { toString() { for (;;); } })', wall),
  'loop in a sort comparator': bomb('return [3, 2, 1].sort(() => { for (;;); })', wall),
  'sort of a million with a slow comparator': bomb(
    'return Array.from({ length: 1e6 }, (_, i) => i).sort((a, b) => { for (let i = 0; i < 1e6; i++); return b - a }).length',
    time,
  ),
  'loop in a Proxy trap': bomb('return Object.keys(new Proxy({}, { ownKeys() { for (;;); } }))', wall),
  'for in over a Proxy without end': bomb('let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); for (const k in p); return p.x', [
    ...memory,
    'ERR_SANDBOX_RESULT',
  ]),
  'loop in an iterator': bomb('return [...{ *[Symbol.iterator]() { for (;;) yield 1 } }].length', time),
  'loop in an async generator': bomb('for await (const x of (async function* () { for (;;) yield 1 })());', wall),
  'loop in a reviver': bomb('return JSON.parse("[1]", () => { for (;;); })', wall),
  'loop in a replacer callback': bomb('return "a".replace(/a/, () => { for (;;); })', wall),
  'loop in a static block': bomb('class A { static { for (;;); } }', wall),
  'loop in prepareStackTrace': bomb('Error.prepareStackTrace = () => { for (;;); }; throw new Error("x")', [...wall, ...threw]),
  'loop in the message of an error': bomb('throw { get message() { for (;;); } }', wall),
  'loop in a thrown Proxy': bomb('throw new Proxy({}, { has() { for (;;); } })', wall),
  'loop in a thenable': bomb('return { then() { for (;;); } }', wall),
  'loop in Symbol.hasInstance for the console': bomb(
    'Object.defineProperty(Error, Symbol.hasInstance, { value() { for (;;); } }); console.log({ a: 1 }); for (;;);',
    wall,
  ),
  'loop until a date': bomb('for (const end = Date.now() + 1e9; Date.now() < end; );', wall),
  'loop after the answer': bomb('Promise.resolve().then(() => { for (;;); }); return 1', [...wall, 'done']),
  'name that throws again': bomb('throw { message: "x", get name() { throw { get message() { throw 1 } } } }', threw),
  'endless microtasks': bomb('for (;;) await null', wall),
  'microtasks that multiply': bomb('const f = () => { Promise.resolve().then(f); Promise.resolve().then(f) }; f(); await new Promise(() => {})', time),
  'microtasks that multiply in async functions': bomb('const f = async () => { await null; f(); f() }; await f(); await new Promise(() => {})', time),
  'thenable that gives itself': bomb('const t = { then(f) { f(t) } }; return t', wall),
  'rejections without end': bomb('for (;;) { Promise.reject(new Error("x")); await null }', [...time, ...threw]),
  'promise that never settles': bomb('await new Promise(() => {})', [...threw, ...wall]),
  'Promise.all of millions': bomb('return (await Promise.all(Array.from({ length: 2e7 }, async (_, i) => i))).length', time),
  'deep recursion': bomb('const f = () => f() + 1; return f()', threw),
  'recursion in finally': bomb('const f = () => { try { f() } finally { f() } }; f()', [...wall, ...threw]),
  'recursion through toString': bomb('const o = { toString() { return "" + o } }; console.log(() => o, o + "")', threw),
  'recursion through a Proxy as its own prototype': bomb('const p = new Proxy({}, { getPrototypeOf: () => p, get: (t, k) => p[k] }); return p.x', threw),
}

const heaps: Readonly<Record<string, Bomb>> = {
  'heap by arrays': bomb('const a = []; for (;;) a.push(new Array(1000).fill(1))', [limit('memoryMiB')], small),
  'heap by objects': bomb('const a = {}; for (let i = 0; ; i++) a["k" + i] = { i }', [limit('memoryMiB')], small),
  'heap by strings': bomb('const a = []; for (let i = 0; ; i++) a.push(("x".repeat(1e6) + i).split("").join("y"))', [limit('memoryMiB')], small),
  'heap by closures': bomb('const a = []; for (let i = 0; ; i++) a.push(() => [i, a, () => i])', [limit('memoryMiB')], small),
  'heap by generators at rest': bomb(
    'const a = []; for (;;) { const g = (function* () { const x = new Array(50); yield x })(); g.next(); a.push(g) }',
    [limit('memoryMiB')],
    small,
  ),
  'heap by a Map': bomb('const m = new Map(); for (let i = 0; ; i++) m.set({ i }, [i])', memory, small),
  'heap by a Set of strings': bomb('const s = new Set(); for (let i = 0; ; i++) s.add("key" + i)', memory, small),
  'heap by symbols in the registry': bomb('for (let i = 0; ; i++) Symbol.for("symbol-of-some-length" + i)', time, small),
  'heap by functions': bomb('const a = []; for (let i = 0; ; i++) a.push(Function("return " + i))', time),
  'heap by classes': bomb('const a = []; for (;;) a.push(class { static #a = 1; b = 2; c() { return this } })', time, small),
  'heap by regular expressions': bomb('const a = []; for (let i = 0; ; i++) { const r = new RegExp("(a|b)*" + i); r.test("ab"); a.push(r) }', time),
  'heap by errors with long stacks': bomb(
    'Error.stackTraceLimit = Infinity; const a = []; const f = (n) => { if (n) return f(n - 1); for (;;) a.push(new Error("x")) }; f(5000)',
    time,
  ),
  'heap by suspended async functions': bomb(
    'const a = []; for (;;) a.push((async () => { const x = new Array(100); await new Promise(() => {}); return x })())',
    time,
    small,
  ),
  'heap by sparse objects': bomb('const a = []; for (;;) { const o = []; o[2 ** 31] = 1; o.x = new Array(100).fill(0); a.push(o) }', memory, small),
  'heap by array holes filled backwards': bomb('const a = []; for (let i = 1e7; i >= 0; i--) a[i] = { i }; return a.length', memory, small),
  'source that grows': bomb('let s = "1"; for (;;) { s += "+1".repeat(1e5); (0, eval)(s) }', [...time, ...threw]),
  'one huge array': bomb('return new Array(2 ** 28).fill(1.5).length', memory),
  'array from a huge length': bomb('return Array.from({ length: 1e9 }).length', memory),
  'flat of arrays in arrays': bomb('let a = [1]; for (let i = 0; i < 40; i++) a = [a, a]; return a.flat(Infinity).length', memory),
  'concat that doubles': bomb('let a = [1]; for (;;) a = a.concat(a)', memory),
  'spread of a huge array': bomb('const a = new Array(1e8).fill(0); return Math.max(...a)', memory),
  'JSON.parse of a wide text': bomb('return JSON.parse("[" + "{},".repeat(2e7) + "1]").length', memory),
  'JSON.parse of a deep text': bomb('return JSON.parse("[".repeat(5e7))', memory),
  'JSON.stringify of a doubled object': bomb('let o = {}; for (let i = 0; i < 50; i++) o = { a: o, b: o }; return JSON.stringify(o).length', memory),
}

const buffers: Readonly<Record<string, Bomb>> = {
  'array buffers': bomb('const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))', memory),
  'array buffers, errors swallowed': bomb('const a = []; for (;;) try { a.push(new Uint8Array(1e6).fill(1)) } catch {}', memory),
  'array buffers, never written': bomb('const a = []; for (;;) a.push(new ArrayBuffer(1e6))', memory),
  'many tiny array buffers': bomb('const a = []; for (;;) a.push(new Uint8Array(64))', memory),
  'resizable buffers': bomb(
    'const a = []; for (;;) { const b = new ArrayBuffer(0, { maxByteLength: 1e8 }); b.resize(1e8); new Uint8Array(b).fill(1); a.push(b) }',
    memory,
  ),
  'buffers moved to larger ones': bomb('let b = new ArrayBuffer(1e6); for (;;) { b = b.transfer(b.byteLength * 2); new Uint8Array(b).fill(1) }', memory),
  'typed array sort and copies': bomb('const a = []; for (;;) a.push(new Float64Array(1e6).fill(2).slice().toSorted())', memory),
  'typed array of big integers': bomb('const a = []; for (;;) a.push(new BigInt64Array(1e6).fill(1n))', memory),
  'random bytes kept': bomb('const a = []; for (;;) a.push(crypto.randomBytes(65536))', [...calls, limit('memoryMiB'), ...wall, ...threw]),
}

const texts: Readonly<Record<string, Bomb>> = {
  'string that doubles': bomb('let s = "x"; for (;;) { s += s; s.charCodeAt(s.length >> 1) }', [...threw, ...memory]),
  'ropes kept and flattened': bomb(
    'const a = []; for (let i = 0; ; i++) { let s = "x"; for (let j = 0; j < 22; j++) s += s; a.push(s.toUpperCase() + i) }',
    memory,
  ),
  'padEnd to the end': bomb('const a = []; for (let i = 0; ; i++) a.push("".padEnd(5e8, "ab" + i))', memory),
  'replaceAll that explodes': bomb('let s = "a"; for (;;) s = s.replaceAll("a", "aaaaaaaaaaaaaaaa")', memory),
  'split into letters': bomb('const a = []; for (;;) a.push("xy".repeat(1e6).split(""))', memory),
  'join of a sparse array': bomb('return new Array(2 ** 32 - 1).join("xxxxxxxx").length', memory),
  'normalization of a long text': bomb('const s = "\\u1E9B\\u0323".repeat(4e6); for (;;) s.normalize("NFKD")', memory),
  'encoding of a long text': bomb('const s = "\\u20AC".repeat(2e7); for (;;) encodeURIComponent(s)', memory),
  'comparison in a locale': bomb('const s = "\\u00E4".repeat(5e6); for (;;) s.localeCompare(s + "x")', memory),
  'formats of dates': bomb('for (let i = 0; ; i++) new Date(i).toLocaleString("de", { dateStyle: "full" })', memory),
  backtracking: bomb('return /^(a+)+$/.test("a".repeat(40) + "b")', ['done', ...wall]),
  'backtracking with a back reference': bomb('return /^(a+)+\\1$/.test("a".repeat(60) + "b")', wall),
  'backtracking in a look behind': bomb('return /(?<=(a+)+\\1)b$/.test("a".repeat(60) + "c" + "a".repeat(60))', ['done', ...wall]),
  'backtracking in replace': bomb('return ("a".repeat(50) + "!").replace(/^((a|aa)+)\\1?$/, "")', ['done', ...wall]),
  'huge regular expression': bomb('return new RegExp("(".repeat(1e5) + "a".repeat(1e6) + ")".repeat(1e5)).test("a")', [...threw, ...memory]),
  'huge quantifiers': bomb('return /((((a{1,1000}){1,1000}){1,1000}){1,1000})/.test("a".repeat(1000))', [...threw, ...memory]),
  'numbers that square': bomb('let n = 3n; for (;;) n *= n', [...threw, ...memory]),
  'digits of a huge number': bomb('return (2n ** 20_000_000n).toString().length', memory),
  'power of a huge number': bomb('return 7n ** 100_000_000n', memory),
  factorial: bomb('let n = 1n; for (let i = 1n; ; i++) n *= i', memory),
}

const likeArrays: Readonly<Record<string, Bomb>> = {
  'indexOf over 2**53-1': bomb('return [].indexOf.call({ length: 2 ** 53 - 1 }, 1)', wall),
  'lastIndexOf over 2**53-1': bomb('return [].lastIndexOf.call({ length: 2 ** 53 - 1 }, 1)', wall),
  'includes over 2**53-1': bomb('return [].includes.call({ length: 2 ** 53 - 1 }, 1)', wall),
  'reverse over 2**53-1': bomb('return [].reverse.call({ length: 2 ** 53 - 1 }).length', wall),
  'copyWithin over 2**53-1': bomb('return [].copyWithin.call({ length: 2 ** 53 - 1 }, 1, 0).length', wall),
  'fill over 2**53-1': bomb('return [].fill.call({ length: 2 ** 53 - 1 }, 1).length', time),
  'splice over 2**53-1': bomb('return [].splice.call({ length: 2 ** 53 - 1 }, 0, 1).length', [...wall, ...threw]),
  'sort of a sparse array': bomb('const a = new Array(2 ** 32 - 1); a[5] = 1; return a.sort().length', memory),
}

const floods: Readonly<Record<string, Bomb>> = {
  'huge result': bomb('return "x".repeat(5e8)', [...output, ...memory]),
  'result just over the limit': bomb('return "x".repeat(1000)', output, { outputBytes: 1_001 }),
  'result of many elements': bomb('return new Array(3e6).fill({ a: 1 })', [...output, ...memory], { wallMs: 5_000 }),
  'result with endless keys': bomb('return new Proxy({}, { ownKeys() { return Array.from({ length: 1e8 }, (_, i) => "k" + i) } })', memory),
  'result nested deeply': bomb('let a = []; for (let i = 0; i < 1e6; i++) a = [a]; return a', [...output, 'ERR_SANDBOX_RESULT', ...memory]),
  'error with a huge message': bomb('throw new Error("x".repeat(5e8))', memory),
  'console flood': bomb('for (;;) console.log("x".repeat(1000))', output, long),
  'console flood of nothing': bomb('for (;;) console.log()', calls, { hostCalls: 500, ...long }),
  'console flood of objects': bomb(
    'const o = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => ["k" + i, i])); for (;;) console.error(o)',
    output,
    long,
  ),
  'one huge console line': bomb('console.log("x".repeat(4e8))', [...output, ...memory]),
  'progress flood': bomb('for (let i = 0; ; i++) progress(i / 1e9, "x".repeat(1e5))', [...output, ...calls], long),
  'crypto flood': bomb('for (;;) crypto.randomBytes(65536)', calls, { hostCalls: 50, ...long }),
  'uuid flood': bomb('for (;;) crypto.randomUUID()', calls, { hostCalls: 500, ...long }),
  'digest of a huge text': bomb('return crypto.digest("sha-256", "x".repeat(5e8))', threw),
  'digest without end': bomb('const s = "x".repeat(8e6); for (;;) crypto.digest("sha-256", s)', [...calls, ...time]),
  'flood of calls nobody waits for': bomb('for (;;) memory.get("answers").catch(() => 0)', [...calls, ...time, ...threw], { hostCalls: 500, ...long }),
  'flood of calls one after another': bomb('for (;;) await memory.get("answers")', [...calls, ...wall], { hostCalls: 500, ...long }),
  'call with a huge argument': bomb('return memory.set("answers", "x".repeat(3e8))', [...threw, ...memory, ...output]),
  'call with an argument of many elements': bomb('return llm({ model: "answers", messages: new Array(5e6).fill({ role: "x" }) })', [
    ...threw,
    ...memory,
    ...output,
  ]),
  'call that is never answered': bomb('await memory.get("never")', wall),
  'calls that are never answered': bomb('await Promise.all(Array.from({ length: 200 }, () => memory.get("never")))', [...wall, ...threw, ...calls]),
}

const sources: Readonly<Record<string, Bomb>> = {
  'deeply nested code': bomb('('.repeat(100_000), refused),
  'deeply nested arrays as code': bomb(`return ${'['.repeat(50_000)}${']'.repeat(50_000)}`, [...refused, 'ERR_SANDBOX_RESULT']),
  'code over its limit': bomb(`return 1 //${'x'.repeat(300_000)}`, refused),
  'a hundred thousand functions': bomb(`return [${'()=>0,'.repeat(40_000)}].length`, ['done', ...refused, ...memory]),
  'one long chain of operators': bomb(`return 1${'+1'.repeat(100_000)}`, ['done', ...refused, ...threw]),
  'templates in templates': bomb(`return ${'`${'.repeat(5_000)}1${'}`'.repeat(5_000)}`, ['done', ...refused, ...threw]),
}

/** JavaScript bombs: the same at every level, since the same worker runs them there. */
export const bombs: Readonly<Record<string, Bomb>> = { ...loops, ...heaps, ...buffers, ...texts, ...likeArrays, ...floods, ...sources }
