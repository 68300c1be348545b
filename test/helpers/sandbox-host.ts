import type { HostAnswer, HostBridge } from '../../src/sandbox/index.ts'

/** Values an attacker who controls what a host looks up could have it answer with. */
const odd: Readonly<Record<string, string>> = {
  '__proto__ in an answer': '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
  'a thenable as answer': '{"then":{"then":1},"constructor":null,"toJSON":1}',
}

/** A bridge that grants everything and does nothing: refuses what names `refused`, leaves `never` unanswered, answers the rest with data. */
export function answeringHost(): HostBridge {
  return {
    async call(name, args, signal): Promise<HostAnswer> {
      const [first, second] = JSON.parse(args) as readonly unknown[]
      if (args.includes('refused')) return { ok: false, code: 'ERR_POLICY_DENIED', message: `${name} is refused`, denied: `${name} refused` }
      if (first === 'never') await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      if (typeof first === 'string' && Object.hasOwn(odd, first)) return { ok: true, value: odd[first] ?? 'null' }
      const page = { status: 200, headers: { a: 'b' }, text: '{"a":[1]}', url: 'https://answers.example/' }
      return { ok: true, value: JSON.stringify(name === 'fetch' ? page : { answers: [first ?? null, { second: second ?? null }] }) }
    },
    usage: () => ({ netBytes: 0, fsOps: 0 }),
  }
}
