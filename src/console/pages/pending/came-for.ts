const wants: readonly (readonly [prefix: string, text: string])[] = [
  ['/task', 'running a task here'],
  ['/message', 'sending you a message'],
  ['/file', 'sending you a file'],
  ['/agent', 'asking an agent of yours'],
  ['/mailbox', 'leaving mail with you'],
]

/** What a peer wanted when it was refused, in words. */
export const cameFor = (scope: string): string =>
  wants.find(([prefix]) => scope === prefix || scope.startsWith(`${prefix}/`))?.[1] ?? 'something that needs trust'
