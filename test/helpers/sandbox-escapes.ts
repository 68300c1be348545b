import { callBodies } from './sandbox-escapes-calls.ts'

/** One attempt to get out, as the body of a task. It counts as out when it says ESCAPED, by result or console, and it says so only with a host object in hand. */
export interface EscapeCase {
  readonly name: string
  readonly code: string
}

/**
 * `out(value)` climbs from a value to its realm's Function and looks for `process` there: no global of the guest's own realm passes.
 * `say()` is for places that cannot return.
 */
const prelude = `
const own = Function
const ways = [(v) => v.constructor.constructor, (v) => v.constructor, (v) => Object.getPrototypeOf(v).constructor.constructor, (v) => v.__proto__.constructor.constructor,
  (v) => Object.getPrototypeOf(Object.getPrototypeOf(v)).constructor.constructor, (v) => v]
let inside = false // a trap that reports on itself must not loop
const out = (v) => { if (inside) return false; inside = true; try { return climbs(v) } finally { inside = false } }
const climbs = (v) => ways.some((way) => { try { const f = way(v); return typeof f === 'function' && f('return typeof process === "object" && typeof process.pid === "number"')() === true } catch { return false } })
const say = (...vs) => { if (vs.some(out)) console.log('ESCAPED') }
const end = (...vs) => vs.some(out) ? 'ESCAPED' : 'held'
const sloppy = (text) => own(text)
`

const bodies: Readonly<Record<string, string>> = {
  'climb from globalThis': 'return end(globalThis)',
  'climb from sloppy this': 'return end(sloppy("return this")())',
  'climb from the prototype of the global': 'return end(Object.getPrototypeOf(globalThis), globalThis.__proto__.__proto__)',
  'climb from input': 'return end(input)',
  'climb from a member of input': 'return end(input.list, input.deep)',
  'climb from console': 'return end(console)',
  'climb from console.log': 'return end(console.log, console.error)',
  'climb from crypto': 'return end(crypto, crypto.randomUUID, crypto.digest)',
  'climb from progress': 'return end(progress)',
  'climb from random bytes': 'return end(crypto.randomBytes(4), crypto.randomBytes(4).buffer)',
  'climb from what a host call returns': 'return end(progress(0.5), console.log("x"), crypto.digest("sha-256", "x"))',
  'climb from arguments': 'return end(...arguments, arguments)',
  'climb from new.target and callee': 'try { return end(arguments.callee) } catch (e) { return end(e) }',
  'climb from prototype of console.log': 'return end(console.log.prototype, Object.getPrototypeOf(console.log))',
  'construct console.log': 'try { return end(new console.log()) } catch (e) { return end(e) }',
  'Reflect.construct with a host function as target': 'try { return end(Reflect.construct(Object, [], console.log)) } catch (e) { return end(e) }',
  'bind and apply of host functions': 'return end(console.log.bind(null), Reflect.apply(progress, null, [0]))',
  'own keys and symbols of host objects': 'return end(...[console, crypto, progress].flatMap((o) => Reflect.ownKeys(o).map((k) => o[k])))',
  'error from a host call, wrong type': 'try { crypto.getRandomValues(1) } catch (e) { return end(e) } return "held"',
  'error from a host call, wrong size': 'try { crypto.randomBytes(-1) } catch (e) { return end(e) } return "held"',
  'error from a host call, wrong algorithm': 'try { crypto.digest("md5", "x") } catch (e) { return end(e) } return "held"',
  'error from a host call at the edge of the stack':
    'let got; const f = () => { try { f() } catch (e) { try { crypto.randomUUID() } catch (inner) { got = inner } throw e } }; try { f() } catch {} return end(got)',
  'error thrown through a host call by toString':
    'try { crypto.digest({ toString() { throw new Error("x") } }, "y") } catch (e) { return end(e) } return "held"',
  'symbol as name of an error, then stack':
    'const e = new Error("x"); e.name = Symbol("n"); try { e.stack; String(e) } catch (inner) { return end(inner) } return "held"',
  'symbol as name of a host error, then stack':
    'try { crypto.digest("md5", "x") } catch (e) { e.name = Symbol(); try { String(e) } catch (inner) { return end(inner, e) } } return "held"',
  'prepareStackTrace gives call sites':
    'Error.prepareStackTrace = (e, sites) => sites; const sites = new Error().stack; return typeof sites === "string" ? "held" : end(sites, ...sites.flatMap((s) => [s, s.getThis(), s.getFunction()]))',
  'prepareStackTrace on an error of a host call':
    'let seen = []; Error.prepareStackTrace = (e, sites) => { seen = [e, sites, ...sites.flatMap((s) => [s.getThis(), s.getFunction()])]; return "" }; try { crypto.digest("md5", 1) } catch (e) { e.stack } return end(...seen)',
  'prepareStackTrace when the host reads the stack of a thrown error':
    'Error.prepareStackTrace = (e, sites) => { say(e, sites, ...sites.flatMap((s) => [s, s.getThis(), s.getFunction()])); return "" }; throw new Error("x")',
  'captureStackTrace on host objects': 'try { Error.captureStackTrace(console); return end(console.stack) } catch (e) { return end(e) }',
  'stackTraceLimit with a hostile valueOf': 'Error.stackTraceLimit = { valueOf: sloppy("return arguments.callee.caller") }; return end(new Error().stack)',
  'caller from a toString the host calls':
    'globalThis.say = say; console.log({ toString: sloppy("say(arguments.callee.caller, this); return 1") }); crypto.digest({ toString: sloppy("say(arguments.callee.caller); return 1") }, 1)',
  'caller from toJSON of the result': 'globalThis.say = say; return { toJSON: sloppy("say(arguments.callee.caller, this, ...arguments); return 1") }',
  'caller from a getter of the result': 'globalThis.say = say; return { get a() { return sloppy("say(arguments.callee.caller); return 1")() } }',
  'Proxy as console argument':
    'const spy = new Proxy({}, { get(t, k, r) { say(r, t); return undefined }, ownKeys() { return [] } }); console.log(spy); return "held"',
  'Proxy with apply trap as member of an argument':
    'console.log({ toString: new Proxy(() => "x", { apply(t, self, list) { say(self, list); return "x" } }) }); return "held"',
  'Proxy as result': 'return new Proxy({}, { get(t, k, r) { say(r, k); return undefined }, ownKeys() { return [] }, getPrototypeOf() { return null } })',
  'Proxy as thrown value': 'throw new Proxy({}, { get(t, k, r) { say(r, k); return () => "x" }, getPrototypeOf(t) { say(t); return null } })',
  'Proxy trap that throws a function':
    'throw new Proxy(() => 0, { get() { throw (...list) => { say(...list); return "x" } }, apply(t, self, list) { say(self, list) } })',
  'Proxy around a host function': 'const p = new Proxy(console.log, { apply(t, self, list) { say(t, self, list); return t } }); return end(p("x"))',
  'thrown function': 'throw (...list) => say(...list)',
  'thrown null-prototype object': 'throw Object.assign(Object.create(null), { get message() { say(sloppy("return arguments.callee.caller")()); return "x" } })',
  'thrown object with hostile message and stack':
    'throw { name: "x", get message() { say(this); return { toString: (...list) => { say(...list); return "x" } } }, get stack() { say(this); return "" } }',
  'thenable as result': 'return { then(resolve, reject) { say(resolve, reject); resolve(end(resolve, reject)) } }',
  'thenable class as result': 'class T extends Promise { then(a, b) { say(a, b); return super.then(a, b) } } return T.resolve(1)',
  'patched Promise.prototype.then':
    'const then = Promise.prototype.then; Promise.prototype.then = function (...list) { say(this, ...list); return then.apply(this, list) }; await null; return {}',
  'patched constructor of Promise.prototype':
    'Object.defineProperty(Promise.prototype, "constructor", { get() { say(this); return class { constructor(run) { run((...l) => say(...l), (...l) => say(...l)) } } } }); return 1',
  'species of promises':
    'Object.defineProperty(Promise, Symbol.species, { get() { return class { constructor(run) { run((v) => say(v), (v) => say(v)); } } } }); return 1',
  'climb from a promise of an async host call': 'const p = (async () => progress(1))(); return end(p, p.then, await p)',
  'species of arrays handed to the host': 'const a = [1]; a.constructor = { [Symbol.species]: function () { return a } }; console.log(a); return end(...a)',
  'species of typed arrays handed to the host':
    'class A extends Uint8Array { static get [Symbol.species]() { return class { constructor(...l) { say(...l) } } } } crypto.getRandomValues(new A(8)); return end(crypto.digest("sha-256", new A(8)))',
  'lying byteLength and buffer':
    'const v = new Uint8Array(8); Object.defineProperty(v, "buffer", { get() { say(this); return new ArrayBuffer(1 << 20) } }); try { crypto.getRandomValues(v) } catch (e) { return end(e) } return end(v.buffer)',
  'detached and resized buffer':
    'const b = new ArrayBuffer(8, { maxByteLength: 64 }); const v = new Uint8Array(b); b.resize(0); try { return end(crypto.getRandomValues(v), crypto.digest("sha-256", v)) } catch (e) { return end(e) }',
  'setter on Array.prototype index':
    'for (const i of [0, 1, 2]) Object.defineProperty(Array.prototype, i, { set(v) { say(v, this) }, configurable: true }); console.log(1, 2); progress(1); return "held"',
  'setter on Object.prototype':
    'for (const k of ["type", "text", "level", "value", "done", "message", "stack"]) Object.defineProperty(Object.prototype, k, Object.assign(Object.create(null), { set(v) { say(v, this) }, get() { say(this) }, configurable: true })); console.log(1); progress(1); return {}',
  'then on Object.prototype': 'Object.prototype.then = function (...list) { say(this, ...list) }; return {}',
  'toJSON on Object.prototype': 'Object.prototype.toJSON = function (...list) { say(this, ...list); return 1 }; console.log({}); return {}',
  'patched Function.prototype.call and apply':
    'for (const k of ["call", "apply", "bind"]) { const old = Function.prototype[k]; Function.prototype[k] = function (...list) { say(this, ...list); return Reflect.apply(old, this, list) } } console.log(1); progress(1); crypto.randomBytes(2); return 1',
  'patched Reflect.apply and defineProperty':
    'Reflect.apply = (...l) => say(...l); Object.defineProperty = (...l) => say(...l); Reflect.get = (...l) => say(...l); console.log(1); crypto.randomUUID(); return 1',
  'patched JSON':
    'JSON.stringify = (...l) => { say(...l, sloppy("return arguments.callee.caller")()); return "1" }; JSON.parse = JSON.stringify; console.log({}); return {}',
  'patched String.prototype':
    'for (const k of ["slice", "toString", "valueOf", "replace", "split", "concat"]) String.prototype[k] = function (...l) { say(this, ...l); return "x" }; console.log("a"); progress(1, "b"); crypto.randomBytes(3); return "c"',
  'patched Symbol.hasInstance': 'Object.defineProperty(Error, Symbol.hasInstance, { value: (v) => { say(v); return true } }); console.log({ a: 1 }); return 1',
  'patched Symbol.toPrimitive of arguments':
    'globalThis.say = say; console.log({ [Symbol.toPrimitive]: sloppy("say(arguments.callee.caller, this); return 1") }); progress({ [Symbol.toPrimitive]: (h) => { say(h); return 1 } }); return 1',
  '__lookupGetter__ of __proto__ on host values':
    'const get = {}.__lookupGetter__("__proto__"); return end(...[console, console.log, input, crypto, progress, globalThis].map((v) => get.call(v)))',
  '__defineGetter__ on host objects': 'console.__defineGetter__("x", sloppy("return arguments.callee.caller")); return end(console.x)',
  'setPrototypeOf on host objects':
    'try { Object.setPrototypeOf(console, new Proxy({}, { get(t, k, r) { say(t, r) } })); console.nothing } catch (e) { return end(e) } return end(console)',
  'import() in a Function': 'try { return end(await own("return import(\\"node:fs\\")")()) } catch (e) { return end(e) }',
  'import() in indirect eval': 'try { return end(await (0, eval)("import(\\"node:process\\")")) } catch (e) { return end(e) }',
  'import() of a data URL in an async Function':
    'try { const A = (async () => 0).constructor; return end(await A("return (await import(\\"data:text/javascript,export default globalThis\\")).default")()) } catch (e) { return end(e) }',
  'promise and error of a failed import()': 'let p; try { p = own("return import(\\"./x.js\\")")(); await p } catch (e) { return end(p, e) } return end(p)',
  'import() in the body': 'const m = await import("node:fs"); return end(m.readFileSync)',
  'direct eval of hidden names': 'return end(eval("typeof call === \\"undefined\\" ? 0 : call"))',
  'names of the bridge and of Node':
    'return end(...["process", "require", "module", "global", "Buffer", "call", "host", "ivm", "$0", "$1", "fetch", "setTimeout", "setImmediate", "queueMicrotask", "structuredClone", "primordials", "internalBinding"].map((n) => { try { return own("return " + n)() } catch (e) { return e } }))',
  'unbalanced braces': '})(); globalThis.loose = 1; (async () => { say(globalThis); return "ESCAPED-from-the-body"',
  'unbalanced braces in a Function': 'try { return end(own("}, say(this), function () {")) } catch (e) { return end(e) }',
  'parameter breakout of Function': 'try { return end(own("/*", "*/){ return this }; {")()) } catch (e) { return end(e) }',
  'HTML comment read two ways': 'let x = 1; x\n--> `\n}); globalThis.loose = 1; (async () => { return end(globalThis) //`',
  'open comment at the end': 'return end(globalThis) /*',
  'line comment at the end': 'return end(globalThis) //',
  'strict mode switched off': '"use sloppy"; return end((function () { return this })())',
  'generator and async constructors':
    'const kinds = [function* () {}, async () => {}, async function* () {}].map((f) => f.constructor); return kinds.some((K) => { try { return K("return typeof process")().next !== undefined && false } catch { return false } }) ? "x" : end(...kinds)',
  'WebAssembly imports':
    'return typeof WebAssembly === "undefined" ? "held" : end(WebAssembly, WebAssembly.Memory, new WebAssembly.Memory({ initial: 1 }).buffer)',
  'WebAssembly.JSTag': 'return typeof WebAssembly === "undefined" ? "held" : end(WebAssembly.JSTag)',
  'SharedArrayBuffer through any door': 'return end(globalThis.SharedArrayBuffer, globalThis.Atomics)',
  'WeakRef to host objects': 'return typeof WeakRef === "undefined" ? "held" : end(new WeakRef(console).deref())',
  'FinalizationRegistry callback': 'return typeof FinalizationRegistry === "undefined" ? "held" : end(new FinalizationRegistry((v) => say(v)))',
  'AggregateError errors': 'try { await Promise.any([(async () => crypto.digest("md5", "x"))()]) } catch (e) { return end(e, ...e.errors) }',
  'SuppressedError of a DisposableStack':
    'if (typeof DisposableStack === "undefined") return "held"; try { const s = new DisposableStack(); s.defer(() => crypto.digest("md5", "x")); s.defer(() => { throw 1 }); s.dispose() } catch (e) { return end(e, e.error, e.suppressed) } return "held"',
  'iterator given to the host':
    'console.log({ [Symbol.iterator]() { say(this, sloppy("return arguments.callee.caller")()); return { next: (...l) => { say(...l); return { done: true } } } } }); return "held"',
  'async iterator as result': 'return { [Symbol.asyncIterator]() { say(this); return this }, next(...l) { say(...l); return { done: true } } }',
  'Array.fromAsync over host values': 'return end(...(await Array.fromAsync([input, console, progress])))',
  'walk of everything reachable': `
    const seen = new Set(); const open = [globalThis, input, console, crypto, progress, arguments, new Error(), (function* () {})(), (async function* () {})()]
    while (open.length > 0 && seen.size < 5000) {
      const v = open.pop(); if ((typeof v !== 'object' && typeof v !== 'function') || v === null || seen.has(v)) continue
      seen.add(v); let keys = []; try { keys = Reflect.ownKeys(v); open.push(Object.getPrototypeOf(v)) } catch {}
      for (const k of keys) try { const d = Object.getOwnPropertyDescriptor(v, k); open.push(d.value, d.get, d.set) } catch {}
    }
    return end(...seen)`,
  'species getter that is harmless the first time':
    'let times = 0; const a = [1, 2]; Object.defineProperty(a, "constructor", { get() { times++; return times < 2 ? Array : { [Symbol.species]: function (n) { say(n, this, sloppy("return arguments.callee.caller")()); return this } } } }); console.log(a); progress(1, a); return a.concat([crypto]).map((v) => v) && end(...a)',
  'getter of the input that was harmless the first time':
    'let times = 0; Object.defineProperty(input, "list", { get() { return ++times < 2 ? [] : { get x() { say(this); return 1 } } } }); console.log(input, input); return input',
  'names of modules, in every way there is to ask for one':
    'const names = ["module", "worker_threads", "cluster", "vm", "repl", "inspector", "wasi", "trace_events", "child_process", "process"]; const asks = [(n) => own("n", "return require(n)")(n), (n) => own("n", "return module.constructor._load(n)")(n), (n) => own("n", "return process.getBuiltinModule(n)")(n), (n) => own("n", "return process.binding(n)")(n), (n) => own("n", "return import(n)")(n)]; for (const n of names) for (const ask of asks) try { if (out(await ask(n))) return "ESCAPED" } catch (e) { say(e) } return "held"',
  'import() with hostile attributes':
    'try { return end(await own("o", "return import(\\"node:fs\\", o)")(new Proxy({}, { get(t, k, r) { say(r); return { type: "json" } }, ownKeys() { return ["with"] } }))) } catch (e) { return end(e) }',
  'import() of a file URL': 'try { return end(await (0, eval)("import(\\"file:///proc/self/environ\\")")) } catch (e) { return end(e) }',
  'import() from an async generator of another Function':
    'try { const G = (async function* () {}).constructor; for await (const m of G("yield import(\\"node:os\\")")()) return end(m, m.constants) } catch (e) { return end(e) } return "held"',
  'error with a symbol as message, concatenated':
    'const e = new Error(); e.message = Symbol(); e.name = { toString: null, valueOf: null }; try { String(e) } catch (inner) { say(inner) } try { "" + e.stack } catch (inner) { say(inner) } throw e',
  'error whose cause is a host call': 'throw new Error("x", { get cause() { say(this, sloppy("return arguments.callee.caller")()); return progress } })',
  'stack overflow inside a host call':
    'const seen = []; const f = (n) => { try { return f(n + 1) } catch (e) { if (seen.length < 400) for (const g of [() => console.log("x"), () => crypto.randomUUID(), () => progress(0), () => crypto.digest("sha-256", "x")]) try { g() } catch (inner) { seen.push(inner) } throw e } }; try { f(0) } catch (e) { seen.push(e) } return end(...seen)',
  'stack overflow in prepareStackTrace':
    'Error.prepareStackTrace = (e, sites) => { const f = () => f(); try { f() } catch (inner) { say(inner, e, sites) } return sites }; try { crypto.digest("md5", "x") } catch (e) { say(...[e.stack].flat()) } return "held"',
  'async stack frames':
    'Error.stackTraceLimit = 200; Error.prepareStackTrace = (e, sites) => sites; await null; const sites = await (async () => { await null; return new Error().stack })(); return typeof sites === "string" ? "held" : end(...sites.flatMap((s) => [s, s.getThis(), s.getFunction(), s.getPromiseIndex]))',
  'call sites of a host error':
    'Error.prepareStackTrace = (e, sites) => sites.map((s) => [s.getThis?.(), s.getFunction?.(), s.getEvalOrigin?.()]); try { crypto.randomBytes({ valueOf() { throw new Error("x") } }) } catch (e) { return end(...[e.stack].flat(2)) } return "held"',
  'global replaced by a Proxy':
    'Object.setPrototypeOf(globalThis, new Proxy(Object.prototype, { get(t, k, r) { say(r, k); return undefined }, has(t, k) { say(k); return false } })); try { console.log(undefinedName) } catch (e) { say(e) } return end(globalThis)',
  'symbol registry and well-known symbols':
    'const all = Reflect.ownKeys(Symbol).map((k) => Symbol[k]).filter((s) => typeof s === "symbol"); for (const s of [...all, Symbol.for("nodejs.util.inspect.custom"), Symbol.for("nodejs.util.promisify.custom")]) { const v = {}; v[s] = function (...l) { say(this, ...l, sloppy("return arguments.callee.caller")()); return this }; try { console.log(v); console.error(v) } catch (e) { say(e) } } return "held"',
  'custom inspect of the result':
    'return { [Symbol.for("nodejs.util.inspect.custom")](...l) { say(this, ...l); return "x" }, toJSON() { return { inspect: 1 } } }',
  'RegExp statics filled by the host':
    'console.log("secret"); crypto.digest("sha-256", "x"); return RegExp.input || RegExp.lastMatch || RegExp.$1 ? end(RegExp.input, RegExp.lastMatch) : "held"',
  'patched RegExp and its symbols':
    'for (const k of ["exec", "test"]) { const old = RegExp.prototype[k]; RegExp.prototype[k] = function (...l) { say(this, ...l); return old.apply(this, l) } } for (const s of [Symbol.replace, Symbol.match, Symbol.split]) RegExp.prototype[s] = function (...l) { say(this, ...l); return [] }; console.log(/x/); crypto.digest("sha-256", "x"); return /x/',
  'patched Uint8Array and ArrayBuffer':
    'const B = Uint8Array; for (const k of ["set", "subarray", "slice", "fill"]) B.prototype[k] = function (...l) { say(this, ...l) }; Object.defineProperty(B.prototype, "length", { get() { say(this); return 4 } }); globalThis.Uint8Array = class { constructor(...l) { say(this, ...l) } }; globalThis.ArrayBuffer = Uint8Array; try { say(crypto.randomBytes(8), crypto.getRandomValues(new B(8)), crypto.digest("sha-256", new B(8))) } catch (e) { say(e) } return "held"',
  'views of every kind over one buffer':
    'const b = new ArrayBuffer(64); const kinds = [Int8Array, Uint16Array, Float32Array, Float64Array, BigInt64Array, DataView]; return end(...kinds.map((K) => { try { return crypto.getRandomValues(new K(b)) } catch (e) { return e } }), ...kinds.map((K) => { try { return crypto.digest("sha-256", new K(b)) } catch (e) { return e } }))',
  'transfer of a buffer while the host reads it':
    'const v = new Uint8Array(8); const t = { valueOf() { try { v.buffer.transfer?.(1 << 20) } catch (e) { say(e) } return 8 } }; try { say(crypto.randomBytes(t), crypto.getRandomValues(v), crypto.digest("sha-256", v)) } catch (e) { return end(e) } return "held"',
  'numbers that are none as sizes':
    'for (const n of [NaN, -0, Infinity, -1, 2 ** 53, 2 ** 32 + 8, 1.5, "8", [8], { valueOf: () => 8 }, 8n, null, undefined]) try { say(crypto.randomBytes(n)) } catch (e) { say(e) } for (const n of [NaN, -Infinity, "1", {}, 1n]) try { say(progress(n, n)) } catch (e) { say(e) } return "held"',
  'NaN payloads read back':
    'const f = new Float64Array(1); const u = new BigUint64Array(f.buffer); for (const bits of [0x7ff8dead00000001n, 0xfff4beef00000001n, 0x7ff0000000000001n]) { u[0] = bits; progress(f[0]); console.log(f[0]); say(f[0], JSON.parse(JSON.stringify([f[0]]))) } return "held"',
  'clock fine enough to time a cache':
    'const fine = typeof performance === "object" && typeof performance.now === "function"; const shared = typeof SharedArrayBuffer === "function" && typeof Atomics === "object"; return fine ? end(performance, performance.now) : shared ? end(SharedArrayBuffer) : "held"',
  'Atomics.wait and a thread of its own': 'return end(globalThis.Worker, globalThis.MessageChannel, globalThis.BroadcastChannel, globalThis.Atomics)',
  'code cache and snapshots':
    'return end(globalThis.v8, globalThis.Script, globalThis.cachedData, globalThis.snapshot, globalThis.startupSnapshot, globalThis.embedderData)',
  'debugger and console of the engine':
    'debugger; return end(globalThis.inspector, globalThis.__inspectorProxy, globalThis.d8, globalThis.print, globalThis.load, globalThis.read, globalThis.quit, globalThis.gc)',
  'natives syntax': 'try { return end(own("return %GetOptimizationStatus(0)")()) } catch (e) { return end(e) }',
  'generator whose return the host calls':
    'const g = (function* () { try { yield 1 } finally { say(this, sloppy("return arguments.callee.caller")()) } })(); console.log(...g); return g',
  'class with a hostile static block and brand':
    'class A { static { say(this, new.target) } static #p = 1; static has(v) { return #p in v } } for (const v of [console, crypto, input, progress]) try { say(A.has(v)) } catch (e) { say(e) } return "held"',
  'private fields stamped on host objects':
    'class Base { constructor(v) { return v } } class Stamp extends Base { #mark = own("return this")(); static read(v) { return v.#mark } } for (const v of [console, crypto, progress, globalThis]) try { new Stamp(v); say(Stamp.read(v)) } catch (e) { say(e) } return "held"',
  'using a host object': 'try { return end(own("h", "say", "{ using x = h; } return h")(console, say)) } catch (e) { return end(e) }',
  'tail of Error.captureStackTrace with a host constructor':
    'const o = {}; Error.captureStackTrace(o, console.log); Error.captureStackTrace(o, progress); return end(o.stack, o)',
  'Intl and Temporal':
    'const kinds = [globalThis.Intl?.DateTimeFormat, globalThis.Intl?.NumberFormat, globalThis.Temporal?.Now].filter(Boolean); return end(...kinds, ...kinds.map((K) => { try { return new K(new Proxy([], { get(t, k, r) { say(r, k); return t[k] } })) } catch (e) { return e } }))',
  'iterator helpers over host values':
    'const it = Iterator.from([input, console, crypto, progress]); return end(...it.map((v) => v).flatMap((v) => [v]).toArray())',
  'weak collections with host keys':
    'const m = new WeakMap(); for (const v of [console, crypto, progress, input]) try { m.set(v, v); say(m.get(v)) } catch (e) { say(e) } const s = new WeakSet(); try { s.add(console) } catch (e) { say(e) } return "held"',
  'structured clone of host values': 'return typeof structuredClone === "undefined" ? "held" : end(structuredClone(input))',
  'unhandled rejection with a hostile reason': 'Promise.reject(new Proxy({}, { get(t, k, r) { say(r, k); return () => "x" } })); return "held"',
  'extra calls with host-like objects':
    'for (const f of [console.log, progress, crypto.digest]) try { say(f.call(new Proxy({}, { get(t, k, r) { say(r) } }), {}, [], null, globalThis)) } catch (e) { say(e) } return "held"',
}

/** Cases that must be seen exactly as written, with nothing in front. */
const bare = new Set(['unbalanced braces'])

export const escapeCases: readonly EscapeCase[] = Object.entries({ ...bodies, ...callBodies }).map(([name, body]) => ({
  name,
  code: bare.has(name) ? body : prelude + body,
}))
export const escapeInput = '{"list":[1,{"a":2}],"deep":{"b":{"c":3}}}'
