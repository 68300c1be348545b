import type { AgentCapability } from '../base/index.ts'
import type { Node } from 'acorn'
import { hostCallCapabilities } from './capabilities.ts'

/** A place where a text names what its host lends it. */
export interface CodeUse {
  /** `fetch`, `memory.set`; `memory` alone where the text may call any of it. */
  readonly name: string
  /** What it may do by that; empty for `console`, `crypto`, `progress`, `agent` and `input`. */
  readonly capabilities: readonly AgentCapability[]
  readonly line: number
  readonly column: number
}

interface Place {
  readonly message: string
  readonly line: number
  readonly column: number
}

interface Lent {
  readonly bit: number
  /** Capabilities of all its calls together. */
  readonly all: readonly AgentCapability[]
  /** Capability by call, of an object of calls such as `memory`. */
  readonly calls: ReadonlyMap<string, readonly AgentCapability[]>
}

/** What a task's text finds in the scope around its body, by name. Source: sandbox/v1 section 4. */
const lent: ReadonlyMap<string, Lent> = lentNames()

function lentNames(): ReadonlyMap<string, Lent> {
  const calls = new Map<string, Map<string, readonly AgentCapability[]>>()
  for (const name of ['console', 'crypto', 'progress', 'agent', 'input']) calls.set(name, new Map())
  for (const [path, capability] of Object.entries<AgentCapability | undefined>(hostCallCapabilities)) {
    const [name = '', call = ''] = path.split('.')
    const known = calls.get(name) ?? new Map<string, readonly AgentCapability[]>()
    calls.set(name, known.set(call, capability === undefined ? [] : [capability]))
  }
  const together = (known: ReadonlyMap<string, readonly AgentCapability[]>): readonly AgentCapability[] => [...new Set([...known.values()].flat())]
  return new Map([...calls].map(([name, known], index) => [name, { bit: 1 << index, all: together(known), calls: known }]))
}

/** Where the text's own names hide those that are lent. One bit a name. */
interface Scope {
  readonly parent: Scope | undefined
  /** Where `var` of this scope goes. */
  readonly holder: Scope
  declared: number
  hidden: number
}

interface Reference {
  readonly name: string
  readonly of: Lent
  readonly call: string | undefined
  readonly scope: Scope
  readonly node: Node
}

/** How a node is to be read: as code, or as a pattern that declares names in a scope. */
interface Open {
  readonly node: Node
  readonly scope: Scope
  readonly declares?: Scope
}

type Fields = Readonly<Record<string, unknown>>

/**
 * Walks a program once, without recursion: nesting is the author's choice. Time and memory grow with the number of its nodes alone.
 * Errs towards use: a name that is only assigned to counts, a call of an object counts alone only where it is called right there.
 */
export function collectUses(program: Node): { readonly refused: Place | undefined; readonly uses: readonly CodeUse[] } {
  const scopes: Scope[] = []
  const references: Reference[] = []
  const open: Open[] = []
  let refused: Node | undefined
  let refusal = ''

  const scopeIn = (parent: Scope | undefined, isHolder: boolean): Scope => {
    const scope: Scope = { parent, holder: undefined as never, declared: 0, hidden: 0 }
    ;(scope as { holder: Scope }).holder = isHolder || parent === undefined ? scope : parent.holder
    scopes.push(scope)
    return scope
  }
  const visit = (value: unknown, scope: Scope): void => {
    if (isNode(value)) open.push({ node: value, scope })
    else if (Array.isArray(value)) for (const item of value) if (isNode(item)) open.push({ node: item, scope })
  }
  const visitFields = (node: Node, scope: Scope, except = ''): void => {
    const fields = node as unknown as Fields
    for (const name in fields) {
      const value = fields[name]
      // Names, places and literals are most of what a node has.
      if (typeof value === 'object' && value !== null && name !== except && name !== 'loc') visit(value, scope)
    }
  }
  const declare = (value: unknown, scope: Scope, declares: Scope): void => {
    for (const item of Array.isArray(value) ? value : [value]) if (isNode(item)) open.push({ node: item, scope, declares })
  }
  const refer = (name: string, call: string | undefined, scope: Scope, node: Node): void => {
    const of = lent.get(name)
    if (of !== undefined) references.push({ name, of, call, scope, node })
  }
  const refuse = (node: Node, message: string): void => {
    if (refused !== undefined && refused.start <= node.start) return
    refused = node
    refusal = message
  }

  /** A pattern: its names are declared, its defaults and computed keys are code. */
  function pattern(node: Node, scope: Scope, declares: Scope): void {
    const fields = node as unknown as Fields
    switch (node.type) {
      case 'Identifier':
        declares.declared |= lent.get(fields['name'] as string)?.bit ?? 0
        return
      case 'AssignmentPattern':
        declare(fields['left'], scope, declares)
        return visit(fields['right'], scope)
      case 'Property':
        if (fields['computed'] === true) visit(fields['key'], scope)
        return declare(fields['value'], scope, declares)
      case 'ObjectPattern':
        return declare(fields['properties'], scope, declares)
      case 'ArrayPattern':
        return declare(fields['elements'], scope, declares)
      case 'RestElement':
        return declare(fields['argument'], scope, declares)
      default:
        return visit(node, scope)
    }
  }

  function functionNode(node: Node, outer: Scope): void {
    const fields = node as unknown as Fields
    const named = scopeIn(outer, false)
    if (fields['id'] !== null && fields['id'] !== undefined) declare(fields['id'], named, node.type === 'FunctionDeclaration' ? outer : named)
    // Parameters have a scope of their own: a default does not see what the body declares.
    const parameters = scopeIn(named, true)
    declare(fields['params'], parameters, parameters)
    const { body } = fields
    visit(isNode(body) && body.type === 'BlockStatement' ? (body as unknown as Fields)['body'] : body, scopeIn(parameters, true))
  }

  /** `memory.get(…)`: exactly that call, whatever `this` is then. */
  function calledMember(callee: unknown): { readonly name: string; readonly call: string; readonly key: unknown } | undefined {
    if (!isNode(callee) || callee.type !== 'MemberExpression') return undefined
    const { object, property, computed } = callee as unknown as Fields
    const name = nameOf(object)
    const call = staticName(property, computed === true)
    return name !== undefined && call !== undefined && lent.get(name)?.calls.has(call) === true ? { name, call, key: object } : undefined
  }

  /** `const { get } = memory`: those calls and no others. */
  function takenApart(id: unknown, init: unknown): readonly string[] | undefined {
    const of = lent.get(nameOf(init) ?? '')
    if (of === undefined || !isNode(id) || id.type !== 'ObjectPattern') return undefined
    const names = ((id as unknown as Fields)['properties'] as readonly Node[]).map((property) => {
      const { key, computed } = property as unknown as Fields
      return property.type === 'Property' ? staticName(key, computed === true) : undefined
    })
    return names.every((name): name is string => name !== undefined && of.calls.has(name)) ? names : undefined
  }

  function expression(node: Node, scope: Scope): void {
    const fields = node as unknown as Fields
    switch (node.type) {
      case 'Identifier':
        return refer(fields['name'] as string, undefined, scope, node)
      case 'CallExpression': {
        const { callee } = fields
        if (nameOf(callee) === 'eval') refuse(node, 'direct eval is not allowed')
        const member = calledMember(callee)
        if (member === undefined) return visitFields(node, scope)
        refer(member.name, member.call, scope, callee as Node)
        return visit(fields['arguments'], scope)
      }
      case 'UnaryExpression':
        // Asks whether there is one and gets no hold of it.
        return fields['operator'] === 'typeof' && nameOf(fields['argument']) !== undefined ? undefined : visit(fields['argument'], scope)
      case 'MemberExpression':
        return visitFields(node, scope, fields['computed'] === true ? '' : 'property')
      case 'Property':
      case 'MethodDefinition':
      case 'PropertyDefinition':
        return visitFields(node, scope, fields['computed'] === true ? '' : 'key')
      case 'ImportExpression':
        return refuse(node, 'import() is not available')
      case 'MetaProperty':
        if (nameOf(fields['meta']) === 'import') refuse(node, 'import.meta is not available')
        return
      case 'ArrowFunctionExpression':
      case 'FunctionExpression':
      case 'FunctionDeclaration':
        return functionNode(node, scope)
      case 'ClassDeclaration':
      case 'ClassExpression': {
        const inner = scopeIn(scope, false)
        if (fields['id'] !== null) {
          declare(fields['id'], inner, inner)
          if (node.type === 'ClassDeclaration') declare(fields['id'], scope, scope)
        }
        return visitFields(node, inner, 'id')
      }
      default:
        return statement(node, scope)
    }
  }

  function statement(node: Node, scope: Scope): void {
    const fields = node as unknown as Fields
    switch (node.type) {
      case 'VariableDeclaration': {
        const target = fields['kind'] === 'var' ? scope.holder : scope
        for (const declarator of fields['declarations'] as readonly Node[]) {
          const { id, init } = declarator as unknown as Fields
          declare(id, scope, target)
          const taken = takenApart(id, init)
          if (taken === undefined) visit(init, scope)
          else for (const call of taken) refer(nameOf(init) ?? '', call, scope, init as Node)
        }
        return
      }
      case 'BlockStatement':
      case 'ForStatement':
      case 'ForInStatement':
      case 'ForOfStatement':
        return visitFields(node, scopeIn(scope, false))
      case 'StaticBlock':
        return visitFields(node, scopeIn(scope, true))
      case 'SwitchStatement':
        // What the cases declare does not hide anything from what is switched on.
        visit(fields['discriminant'], scope)
        return visit(fields['cases'], scopeIn(scope, false))
      case 'CatchClause': {
        const inner = scopeIn(scope, false)
        declare(fields['param'], inner, inner)
        return visit(fields['body'], inner)
      }
      case 'LabeledStatement':
        return visit(fields['body'], scope)
      case 'BreakStatement':
      case 'ContinueStatement':
        return
      default:
        return visitFields(node, scope)
    }
  }

  const lending = scopeIn(undefined, true)
  open.push({ node: program, scope: scopeIn(lending, true) })
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.declares === undefined) expression(next.node, next.scope)
    else pattern(next.node, next.scope, next.declares)
  }
  // Outer scopes were made before inner ones.
  for (const scope of scopes) scope.hidden = scope.declared | (scope.parent?.hidden ?? 0)
  return { refused: refused === undefined ? undefined : { message: refusal, ...placeOf(refused) }, uses: firstUses(references) }
}

function firstUses(references: readonly Reference[]): readonly CodeUse[] {
  const first = new Map<string, Reference>()
  for (const reference of references) {
    const { name, of, call, scope, node } = reference
    if ((scope.hidden & of.bit) !== 0) continue
    const key = call === undefined || call === '' ? name : `${name}.${call}`
    const known = first.get(key)
    if (known === undefined || node.start < known.node.start) first.set(key, reference)
  }
  const inOrder = [...first].toSorted(([, a], [, b]) => a.node.start - b.node.start)
  return inOrder.map(([name, { of, call, node }]) => ({
    name,
    capabilities: (call === undefined ? undefined : of.calls.get(call)) ?? of.all,
    ...placeOf(node),
  }))
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'

function nameOf(value: unknown): string | undefined {
  if (!isNode(value) || value.type !== 'Identifier') return undefined
  return (value as unknown as { readonly name: string }).name
}

/** The name of a member as the text spells it: `.get`, `['get']`, `{ get }`. */
function staticName(key: unknown, isComputed: boolean): string | undefined {
  if (!isComputed && nameOf(key) !== undefined) return nameOf(key)
  if (!isNode(key) || key.type !== 'Literal') return undefined
  const { value } = key as unknown as { readonly value: unknown }
  return typeof value === 'string' ? value : undefined
}

const placeOf = ({ loc }: Node): { readonly line: number; readonly column: number } => ({ line: loc?.start.line ?? 1, column: (loc?.start.column ?? 0) + 1 })
