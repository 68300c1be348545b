/** Attempts through the calls of the host bridge, as bodies of tasks: same oracle as sandbox-escapes.ts, which puts its prelude in front. */

/** One call of each kind that a host with everything granted answers, and one that it refuses. */
export const guestCalls: Readonly<Record<string, { readonly answered: string; readonly refused: string; readonly holder: string }>> = {
  fetch: { answered: 'fetch("https://answers.example/", { headers: { a: "b" } })', refused: 'fetch("https://refused.example/")', holder: 'fetch' },
  'memory.get': { answered: 'memory.get("answers")', refused: 'memory.get("refused")', holder: 'memory' },
  'memory.set': { answered: 'memory.set("answers", { a: [1] }, { ttlMs: 5 })', refused: 'memory.set("refused", 1)', holder: 'memory.set' },
  'memory.list': { answered: 'memory.list("answers")', refused: 'memory.list("refused")', holder: 'memory.list' },
  'memory.delete': { answered: 'memory.delete("answers")', refused: 'memory.delete("refused")', holder: 'memory.delete' },
  'vault.get': { answered: 'vault.get("answers")', refused: 'vault.get("refused")', holder: 'vault' },
  readFile: { answered: 'readFile("answers")', refused: 'readFile("refused")', holder: 'readFile' },
  writeFile: { answered: 'writeFile("answers", "x")', refused: 'writeFile("refused", "x")', holder: 'writeFile' },
  list: { answered: 'list("answers")', refused: 'list("refused")', holder: 'list' },
  spawn: { answered: 'spawn("answers", ["a"], { stdin: "x" })', refused: 'spawn("refused")', holder: 'spawn' },
  'mesh.ask': { answered: 'mesh.ask("did:answers", { a: 1 })', refused: 'mesh.ask("did:refused", 1)', holder: 'mesh' },
  delegate: { answered: 'delegate({ on: "answers", code: "1" })', refused: 'delegate({ on: "refused" })', holder: 'delegate' },
  llm: { answered: 'llm({ model: "answers" })', refused: 'llm({ model: "refused" })', holder: 'llm' },
  vectordb: { answered: 'vectordb({ collection: "answers" })', refused: 'vectordb({ collection: "refused" })', holder: 'vectordb' },
}

/** Every kind of answered call at once, as an array of promises. */
const all = `[${Object.values(guestCalls)
  .map(({ answered }) => `(() => ${answered})`)
  .join(', ')}].map((f) => { try { return f() } catch (e) { say(e); return e } })`

const climbs = Object.entries(guestCalls).flatMap(([name, { answered, refused, holder }]) => [
  [
    `climb from ${name}, its promise and what it resolves to`,
    `const p = ${answered}; const v = await p; return end(${holder}, p, p.then, Object.getPrototypeOf(p), v, ...Object.values(v ?? {}))`,
  ] as const,
  [
    `climb from a refused ${name}`,
    `try { await ${refused}; return "answered" } catch (e) { return end(e, e.constructor, e.cause, e.stack, ...Reflect.ownKeys(e).map((k) => e[k])) }`,
  ] as const,
])

export const callBodies: Readonly<Record<string, string>> = {
  ...Object.fromEntries(climbs),
  'calls as constructors': `for (const f of [fetch, llm, readFile, memory.get, mesh.ask]) try { say(new f("answers"), Reflect.construct(Object, [], f)) } catch (e) { say(e) } return "held"`,
  'calls with this of their own': `const self = new Proxy({}, { get(t, k, r) { say(r, sloppy("return arguments.callee.caller")()) } }); for (const f of [fetch, memory.get, mesh.ask]) try { say(await f.call(self, "answers")) } catch (e) { say(e) } return "held"`,
  'Proxy as argument of a call': `const spy = new Proxy({}, { get(t, k, r) { say(r, k); return undefined }, ownKeys() { return ["a"] }, getOwnPropertyDescriptor() { return { value: 1, enumerable: true, configurable: true } }, has(t, k) { say(k) } }); for (const f of [fetch, memory.get, llm, delegate]) try { say(await f(spy, spy, spy)) } catch (e) { say(e) } return "held"`,
  'toJSON of an argument of a call': `globalThis.say = say; const trap = { toJSON: sloppy("say(this, arguments.callee.caller, ...arguments); return 1") }; for (const f of [llm, memory.get, delegate, fetch]) try { say(await f(trap, trap)) } catch (e) { say(e) } return "held"`,
  'getter of an argument of a call': `globalThis.say = say; const trap = { get model() { return sloppy("say(arguments.callee.caller, this); return 1")() } }; for (const f of [llm, delegate, vectordb]) try { say(await f(trap)) } catch (e) { say(e) } return "held"`,
  'a call from inside the arguments of a call': `const trap = { toJSON() { const p = memory.get("answers"); say(p); p.then(say, say); return "answers" } }; return end(await memory.get("answers"), await llm({ model: trap }).catch((e) => e))`,
  'an argument that throws a function': `for (const f of [llm, memory.get, fetch]) try { await f({ toJSON() { throw (...l) => { say(...l); return "x" } } }) } catch (e) { say(e) } return "held"`,
  'an argument that throws a null-prototype object': `for (const f of [llm, memory.get, fetch]) try { await f({ toJSON() { throw Object.create(null) } }) } catch (e) { say(e) } return "held"`,
  'arguments that are no data': `const ring = {}; ring.ring = ring; for (const v of [1n, Symbol(), () => 1, ring, new Map([[1, 2]]), undefined, NaN]) try { say(await memory.set("answers", v)) } catch (e) { say(e) } return "held"`,
  'patched JSON before a call': `const { stringify, parse } = JSON; JSON.stringify = (...l) => { say(...l, sloppy("return arguments.callee.caller")()); return stringify(...l) }; JSON.parse = (...l) => { say(...l); return parse(...l) }; return end(...(await Promise.all(${all})))`,
  'patched Promise before a call': `const P = Promise; globalThis.Promise = class extends P { constructor(run) { super((...l) => { say(run, ...l); run(...l) }) } }; P.withResolvers = (...l) => { say(...l); return { promise: new P(() => 0), resolve: say, reject: say } }; const ps = ${all}; return end(...ps)`,
  'patched then before a call': `const then = Promise.prototype.then; Promise.prototype.then = function (...l) { say(this, ...l, sloppy("return arguments.callee.caller")()); return then.apply(this, l) }; const vs = []; for (const p of ${all}) vs.push(await p); return end(...vs)`,
  'patched resolve and reject of Promise': `Promise.resolve = (...l) => { say(...l); return l[0] }; Promise.reject = (...l) => say(...l); return end(await memory.get("answers"), await memory.get("refused").catch((e) => e))`,
  'species of the promise of a call': `class T extends Promise { static get [Symbol.species]() { say(this, sloppy("return arguments.callee.caller")()); return Promise } } const p = memory.get("answers"); Object.setPrototypeOf(p, T.prototype); return end(await p.then((v) => v), p)`,
  'constructor of the promise of a call': `const p = fetch("https://answers.example/"); p.constructor = class { constructor(run) { run((...l) => say(...l), (...l) => say(...l)) } }; p.then((v) => say(v)); return end(await p)`,
  'patched collections before a call': `for (const C of [Map, Set, Array, WeakMap]) for (const k of ["get", "set", "has", "delete", "push", "shift", "add", "values", "forEach"]) { const old = C.prototype[k]; if (old) C.prototype[k] = function (...l) { say(this, ...l); return old.apply(this, l) } } return end(...(await Promise.all(${all})))`,
  'setters on Object.prototype before a call': `for (const k of ["ok", "value", "code", "message", "resolve", "reject", "id", "name", "status", "text", "error", "denied"]) Object.defineProperty(Object.prototype, k, Object.assign(Object.create(null), { set(v) { say(v, this) }, get() { say(this) }, configurable: true })); const ps = ${all}; for (const p of ps) try { say(await p) } catch (e) { say(e) } return "held"`,
  'then on Object.prototype before a call': `Object.defineProperty(Object.prototype, "then", { configurable: true, value: function (...l) { say(this, ...l); delete Object.prototype.then; return l[0]?.(1) } }); const v = await memory.get("answers"); return end(v)`,
  'patched errors before a refusal': `for (const K of [Error, TypeError, RangeError]) { Object.defineProperty(K.prototype, "message", { set(v) { say(this, v) }, get() { say(this); return "" } }); Object.defineProperty(K.prototype, "code", { set(v) { say(this, v) }, get() { say(this) } }) } globalThis.Error = class { constructor(...l) { say(this, ...l) } }; try { await readFile("refused") } catch (e) { return end(e) } return "held"`,
  'prepareStackTrace on a refusal': `let seen = []; Error.prepareStackTrace = (e, sites) => { seen.push(e, sites, ...sites.flatMap((s) => [s.getThis(), s.getFunction(), s.getEvalOrigin?.()])); return "" }; try { await vault.get("refused") } catch (e) { e.stack } return end(...seen)`,
  'stack of a refusal names nothing of the host': `try { await readFile("refused") } catch (e) { const text = String(e.stack) + String(e.message); return /node:internal|file:|worker|src\\/|\\/app/.test(text) && typeof process === "object" ? "ESCAPED" : "held" } return "held"`,
  '__proto__ in an answer': `const v = await memory.get("__proto__ in an answer"); return end(v, v && Object.getPrototypeOf(v), {}.polluted)`,
  'a thenable as answer': `const v = await memory.get("a thenable as answer"); return end(v, v && v.then)`,
  'names of calls that are none': `for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty", "call", "valueOf"]) for (const o of [memory, vault, mesh, agent]) try { const f = o[name]; say(f, typeof f === "function" ? f("answers") : f) } catch (e) { say(e) } return "held"`,
  'configuration of its own in a delegated task': `return end(await delegate({ on: "answers", code: "1", isolation: "native", limits: { memoryMiB: 1e9 }, host: {}, launcher: {}, cachedData: "AAAA", snapshot: "AAAA" }).catch((e) => e))`,
  'a message handler and what it is given': `say(agent, agent.receive, agent.constructor); try { say(agent.receive((...l) => { say(...l, sloppy("return arguments.callee.caller")()); return new Proxy({}, { get(t, k, r) { say(r, k) } }) })) } catch (e) { say(e) } return "held"`,
  'a message handler that is no function': `for (const h of [null, {}, { call: say, apply: say }, new Proxy(() => 1, { apply(t, self, l) { say(self, ...l) }, get(t, k, r) { say(r) } })]) try { say(agent.receive(h)) } catch (e) { say(e) } return "held"`,
  'calls that nobody waits for': `${all}.forEach((p) => { if (p && p.then) p.then(say, say) }); return end(await memory.get("answers"))`,
  'a call whose promise gets other then at once': `const p = memory.get("answers"); p.then = (...l) => { say(...l); return l[0]?.("own") }; return end(await p, p)`,
  'signing key of the run': `const key = await crypto.publicKey(); const s = await crypto.sign("x"); return end(crypto.sign, crypto.publicKey, key, s)`,
}
