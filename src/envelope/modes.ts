/** Seal modes in the third place of every sealed thing. Source: klp/v1 section 3. */
export const sealModes = { session: 1, box: 2, group: 3 } as const
export type SealMode = (typeof sealModes)[keyof typeof sealModes]

/** Looks at the first bytes only: a list, version 1, a suite below 24, the mode. */
export function sealModeOf(sealed: Uint8Array): SealMode | undefined {
  const mode = sealed[1] === 1 && (sealed[2] ?? 24) < 24 ? sealed[3] : undefined
  return mode === sealModes.session || mode === sealModes.box || mode === sealModes.group ? mode : undefined
}
