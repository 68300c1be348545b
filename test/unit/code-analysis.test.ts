import { describe, expect, test } from 'vitest'
import { analyseCode, describeMissing, missingUse, permissionsOf } from '../../src/sandbox/code.ts'

/** Name and place of every use, as `name@line:column`. */
function usesIn(code: string): readonly string[] {
  const { problem, uses = [] } = { uses: undefined, ...analyseCode(code) }
  if (problem !== undefined) throw new Error(`${problem.message} at ${problem.line}:${problem.column}`)
  return uses.map(({ name, line, column }) => `${name}@${line}:${column}`)
}
function permissionsIn(code: string): readonly string[] {
  const { uses = [] } = { uses: undefined, ...analyseCode(code) }
  return permissionsOf(uses)
}
const problemIn = (code: string): object | undefined => analyseCode(code).problem

const memory = ['memory:read', 'memory:write']
const net = ['network:outbound']

describe('what a text may call is found, however it is written', () => {
  const reached: readonly (readonly [how: string, code: string, permissions: readonly string[]])[] = [
    ['a plain call', 'return await fetch("http://a/")', net],
    ['an alias', 'const f = fetch; return f("http://a/")', net],
    ['an alias of an object of calls', 'const m = memory; return m["s" + "et"]("k", 1)', memory],
    ['a computed member', 'return memory[input]("k")', memory],
    ['a member by a text', 'return memory["get"]("k")', ['memory:read']],
    ['a member that gives the object back', 'return memory.valueOf().set("k", 1)', memory],
    ['a call replaced by one that gives `this` back', 'memory.get = function () { return this }; return memory.get().set("k", 1)', memory],
    ['a call replaced by a pattern', '[memory.get] = [function () { return this }]; return memory.get().set("k", 1)', memory],
    ['call of a call', 'return memory.get.call(null, "k")', memory],
    ['an optional chain', 'return memory?.set?.("k", 1)', ['memory:write']],
    ['a pattern with known names', 'const { get } = memory; return get("k")', ['memory:read']],
    ['a pattern with a rest', 'const { get, ...others } = memory; return others.set("k", 1)', memory],
    ['a pattern with a computed name', 'const { [input]: f } = memory; return f("k")', memory],
    ['a nested pattern', 'const { get: { constructor: c } } = memory; return c', ['memory:read']],
    ['a shorthand member', 'return { fetch }.fetch("http://a/")', net],
    ['a spread', 'return { ...memory }.set("k", 1)', memory],
    ['a list', 'return [fetch][0]("http://a/")', net],
    ['a default of a parameter, which does not see the body', 'return ((a = fetch) => { var fetch; return a })()("http://a/")', net],
    ['a default of a parameter of a function', 'function f(a = fetch) { var fetch; return a } return f()("http://a/")', net],
    ['a default in a pattern', 'const { a = fetch } = {}; return a("http://a/")', net],
    ['a computed key in a pattern', 'const { [fetch("http://a/")]: a } = {}; return a', net],
    ['after the block whose function has that name', '{ function fetch() {} } return fetch("http://a/")', net],
    ['after the block whose const has that name', '{ const fetch = 1 } return fetch("http://a/")', net],
    ['what is switched on', 'switch (fetch) { case 1: let fetch }', net],
    ['beside the catch that has that name', 'try { null.x } catch (fetch) { } return fetch("http://a/")', net],
    ['a default in a catch', 'try { throw {} } catch ({ a = fetch }) { return a("http://a/") }', net],
    ['outside the function that has that name', 'const f = function fetch() {}; return fetch("http://a/")', net],
    ['outside the class that has that name', 'const C = class fetch {}; return fetch("http://a/")', net],
    ['a computed method name', 'return class { [fetch("http://a/")]() {} }', net],
    ['a field of a class', 'return new (class { f = fetch })().f("http://a/")', net],
    ['a static block', 'let f; class C { static { var list; f = fetch } } return f("http://a/")', net],
    ['what a class extends', 'class A extends fetch {}', net],
    ['a tag', 'return fetch`http://a/`', net],
    ['a template', 'return `${fetch("http://a/")}`', net],
    ['an async generator', 'async function* g() { yield* await fetch("http://a/") } return g()', net],
    ['escapes in the name', 'return f\\u0065tch("http://a/")', net],
    ['a label of that name', 'fetch: for (;;) { fetch("http://a/"); break fetch }', net],
    ['a target of an assignment', '({ a: fetch } = { a: 1 }); return fetch', net],
    ['a comma', 'return (0, fetch)("http://a/")', net],
    ['a call inside typeof', 'return typeof fetch("http://a/")', net],
    ['a using declaration', '{ using a = fetch; return a }', net],
    ['another agent', 'return await mesh.ask("did", 1)', ['agent:delegate']],
    ['several calls', 'await writeFile("a", "b"); return [await vault.get("n"), await list("/")]', ['file:write', 'vault:access', 'file:read']],
  ]
  test.each(reached)('%s', (_how, code, permissions) => {
    expect(permissionsIn(code).toSorted()).toEqual(permissions.toSorted())
  })
})

describe('names of the author’s own are not taken for calls', () => {
  const own: readonly (readonly [how: string, code: string])[] = [
    ['a const', 'const fetch = (x) => x; return fetch(1)'],
    ['a var', 'var fetch; return fetch'],
    ['a loop variable `var`', 'for (var fetch in {}); return fetch'],
    ['the arguments of the body, of which there are none', 'return arguments[5]'],
    ['a const used before it', 'return (() => list)(); const list = []'],
    ['a function, hoisted', 'return fetch(1); function fetch(x) { return x }'],
    ['a parameter', 'return [1].map((list) => list + 1)'],
    ['a var in a function of its own', 'return (() => { for (;;) { { var fetch = 1 } break } return fetch })()'],
    ['a class', 'class memory { static get() { return 1 } } return memory.get()'],
    ['a catch', 'try { throw 1 } catch (vault) { return vault }'],
    ['the name of a function expression', 'return (function spawn(n) { return n === 0 ? 0 : spawn(n - 1) })(3)'],
    ['a member', 'return input.fetch + input.memory.set'],
    ['a key', 'return { fetch: 1, memory() {}, get vault() { return 1 } }'],
    ['a private name', 'return new (class { #fetch = 1; list() { return this.#fetch } })().list()'],
    ['a global of that name', 'return globalThis.fetch === undefined'],
    ['the arguments of a function of its own', 'return (function () { return arguments[0] })(1)'],
    ['a text', 'return "fetch" + \'memory\' + `vault`'],
    ['a question whether there is one', 'return typeof fetch'],
    ['a loop variable', 'for (const list of [1]) console.log(list); for (let llm = 0; llm < 1; llm++);'],
    ['a nested pattern', 'const { a: [{ b: fetch = 1 }], ...memory } = input; return [fetch, memory]'],
    ['what isolates nothing', 'console.log(crypto.randomUUID(), progress(1), input)'],
  ]
  test.each(own)('%s', (_how, code) => {
    expect(permissionsIn(code)).toEqual([])
  })
})

test('every name is told once, with line and column of its first use', () => {
  expect(usesIn('console.log(1)\nif (input) {\n  await memory.set("a", 1)\n}\nmemory.set("b", 2); const m = memory;\nfetch("x")')).toEqual([
    'console@1:1',
    'input@2:5',
    'memory.set@3:9',
    'memory@5:31',
    'fetch@6:1',
  ])
})

test('the first use that was not granted is named', () => {
  const { uses = [] } = { uses: undefined, ...analyseCode('console.log(1)\nawait memory.get("a");\n\tconst m = memory') }
  expect(missingUse(uses, ['memory:read', 'memory:write'])).toBeUndefined()
  const missing = missingUse(uses, ['memory:read'])
  expect(missing === undefined ? '' : describeMissing(missing, ['memory:read'])).toBe('memory needs memory:write (line 3, column 12)')
})

describe('what could see or bring in names that are not written is refused', () => {
  test.each([
    ['eval("fetch")', 'direct eval is not allowed', 1, 1],
    ['\n  (eval)("fetch")', 'direct eval is not allowed', 2, 3],
    ['return ev\\u0061l("fetch")', 'direct eval is not allowed', 1, 8],
    ['return eval?.("fetch")', 'direct eval is not allowed', 1, 8],
    ['return ((a = eval("fetch")) => a)()', 'direct eval is not allowed', 1, 14],
    ['class A { x = eval("fetch") }', 'direct eval is not allowed', 1, 15],
    ['await import("node:fs")', 'import() is not available', 1, 7],
    ['return import.meta.url', "Cannot use 'import.meta' outside a module", 1, 8],
    ['with (input) fetch', "'with' in strict mode", 1, 1],
    ['return 1 }); fetch(); (async () => {', 'Unexpected token', 1, 10],
  ])('%s', (code, message, line, column) => {
    expect(problemIn(code)).toEqual({ message, line, column })
  })
  test('but indirect eval and Function, which see no lexical name, are left alone', () => {
    expect(permissionsIn('return [(0, eval)("1"), new Function("return typeof fetch")()]')).toEqual([])
  })
})

test('nesting of any depth is answered, and a message is short whatever it quotes', () => {
  for (const text of ['('.repeat(100_000), '{'.repeat(100_000), 'a=>'.repeat(80_000), `${'{'.repeat(1_000)}fetch${'}'.repeat(1_000)}`]) {
    const { problem, uses = [] } = { uses: undefined, ...analyseCode(text) }
    expect(problem === undefined ? permissionsOf(uses) : problem.message.length).toSatisfy(
      (found) => typeof found === 'number' || (found as string[]).length === 1,
    )
  }
  expect(analyseCode(`/${'\\1'.repeat(10_000)}/u`).problem?.message.length).toBeLessThanOrEqual(200)
})
