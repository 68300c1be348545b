/** From start to the first frame: generous, a busy machine starts a dozen at once. */
export const readyTimeoutMs = 30_000

let count = 0
/** Of a container; no two at once on a machine have the same. */
export const nextName = (): string => `kindmesh-${process.pid}-${++count}`
