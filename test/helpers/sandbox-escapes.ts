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
  'unhandled rejection with a hostile reason': 'Promise.reject(new Proxy({}, { get(t, k, r) { say(r, k); return () => "x" } })); return "held"',
  'extra calls with host-like objects':
    'for (const f of [console.log, progress, crypto.digest]) try { say(f.call(new Proxy({}, { get(t, k, r) { say(r) } }), {}, [], null, globalThis)) } catch (e) { say(e) } return "held"',
}

/** Cases that must be seen exactly as written, with nothing in front. */
const bare = new Set(['unbalanced braces'])

export const escapeCases: readonly EscapeCase[] = Object.entries(bodies).map(([name, body]) => ({ name, code: bare.has(name) ? body : prelude + body }))
export const escapeInput = '{"list":[1,{"a":2}],"deep":{"b":{"c":3}}}'
