import fc from 'fast-check'
import { expect, test } from 'vitest'
import { analyseCode } from '../../src/sandbox/code.ts'

const names = ['fetch', 'list', 'memory'] as const
const AsyncFunction = (async () => undefined).constructor as FunctionConstructor

/** Statements and expressions that declare, hide, alias and call the same few names in every way the language has; none loops for long. */
const { statement } = fc.letrec<{ readonly statement: string; readonly expression: string }>((tie) => {
  const name = fc.constantFrom(...names, 'own')
  const expression = tie('expression')
  const statements = fc.array(tie('statement'), { maxLength: 3 }).map((all) => all.join('\n'))
  const joined = (strings: TemplateStringsArray, ...parts: readonly fc.Arbitrary<string>[]): fc.Arbitrary<string> =>
    fc.tuple(...parts).map((values) => String.raw({ raw: strings }, ...values))
  return {
    expression: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'code' },
      name,
      fc.constantFrom('1', '[]', '{}', 'own?.()', 'arguments[0]', 'this'),
      fc.constantFrom(
        'memory.get("k")',
        'memory["set"]("k", 1)',
        'memory?.get?.("k")',
        '({ ...memory }).set("k", 1)',
        'Object.values(memory)[0]("k")',
        'memory.get.call(memory, "k")',
      ),
      joined`${name}()`,
      joined`(0, ${name})()`,
      joined`(() => ${expression})()`,
      joined`((${name} = ${expression}) => { var ${name}; ${statements} return ${name} })()`,
      joined`((own = ${expression}) => { var ${name}; return own })()?.()`,
      joined`(function (own = ${name}) { var ${name}; return own })()?.()`,
      joined`(function ${name}() { if (this === 1) return; return ${expression} })()`,
      joined`new (class ${name} { f = ${expression}; static { ${statements} } [${expression}]() {} })().f`,
      joined`{ ${name}: 1 }.x ?? ${expression}`.map((text) => `(${text.replace(/^\{/, '({').replace('}.x', '}).x')})`),
      joined`[${expression}].map((${name}) => ${name}?.())[0]`,
      joined`typeof ${name}`,
      joined`(${name} = ${expression})`,
      joined`\`\${${expression}}\``,
      joined`((...${name}) => ${name}[0])(${expression})?.()`,
    ),
    statement: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'code' },
      joined`${expression};`.map((text) => `;(${text.slice(0, -1)});`),
      joined`{ let ${name} = ${expression}; ${statements} }`,
      joined`{ function ${name}() { return ${expression} } ${statements} }`,
      joined`{ class ${name} {} ${statements} }`,
      joined`if (true) { var ${name}; ${statements} }`,
      joined`try { ${statements} null.x } catch (${name}) { ${statements} }`,
      joined`try { throw {} } catch ({ own = ${expression} }) { own?.(); ${statements} }`,
      joined`for (const ${name} of [${expression}]) { ${statements} }`,
      joined`for (let ${name} = ${expression}, n = 0; n < 1; n++) { ${statements} }`,
      joined`switch (${expression}) { default: let ${name} = 1; ${statements} }`,
      joined`${name}: { ${statements} break ${name} }`.map((text) => text.replace(/break \w+ \}$/, `break ${/^\w+/.exec(text)?.[0] ?? ''} }`)),
      joined`{ const { get } = memory; get(); ${statements} }`,
      joined`{ const { a = ${expression}, [${expression}]: b } = {}; a?.(); ${statements} }`,
    ),
  }
})

/** Runs a text as a guest does, with calls that note their names, and tells which were made. It may throw wherever it likes. */
async function callsOf(code: string): Promise<ReadonlySet<string>> {
  const made = new Set<string>()
  const note = (name: string) => () => {
    made.add(name)
    return undefined
  }
  const given = { fetch: note('fetch'), list: note('list'), memory: { get: note('memory.get'), set: note('memory.set') } }
  try {
    const body = AsyncFunction(...names, `return (async function () {"use strict";\n${code}\n})()`) as (...all: unknown[]) => Promise<unknown>
    await body(given.fetch, given.list, given.memory)
  } catch {
    // What it did until then counts.
  }
  return made
}

test('a text never calls what its analysis did not find', async () => {
  let called = 0
  let found = 0
  await fc.assert(
    fc.asyncProperty(fc.array(statement, { minLength: 1, maxLength: 4 }), async (statements) => {
      const code = statements.join('\n')
      const { problem, uses = [] } = { uses: undefined, ...analyseCode(code) }
      if (problem !== undefined) return
      const reachable = new Set(uses.flatMap(({ name }) => (name === 'memory' ? ['memory.get', 'memory.set'] : [name])))
      const made = await callsOf(code)
      called += made.size
      found += reachable.size
      expect([...made].filter((name) => !reachable.has(name))).toEqual([])
    }),
    { numRuns: 3_000, seed: 4 },
  )
  // Neither of the two may be idle: the texts do call, and what is found is not simply everything.
  expect(called).toBeGreaterThan(1_000)
  expect(found).toBeLessThan(3_000 * 4)
}, 60_000)
