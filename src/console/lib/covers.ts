/** Does one of these rights cover another? `/api/task` covers `/api/task/read`, `/` everything. Source: grant/v1 section 1. */
export const covers = (held: readonly string[], right: string): boolean => held.some((one) => one === '/' || right === one || right.startsWith(`${one}/`))
