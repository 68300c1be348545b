/** The part of WebAssembly's JavaScript interface that is used here; Node's types leave it to the DOM's. */
declare namespace WebAssembly {
  type ImportValue = (...parameters: unknown[]) => unknown
  type Exports = Readonly<Record<string, unknown>>
  class Module {
    constructor(bytes: Uint8Array)
    static imports(module: Module): readonly { readonly module: string; readonly name: string; readonly kind: string }[]
    static exports(module: Module): readonly { readonly name: string; readonly kind: string }[]
  }
  class Instance {
    constructor(module: Module, imports: Readonly<Record<string, Readonly<Record<string, ImportValue>>>>)
    readonly exports: Exports
  }
  class Memory {
    readonly buffer: ArrayBufferLike
  }
}
