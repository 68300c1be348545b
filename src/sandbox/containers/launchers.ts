import type { Launcher } from '../launched.ts'
import { bubblewrapContainer } from './bubblewrap.ts'
import { ociContainer } from './oci.ts'

let all: readonly Launcher[] | undefined

/** Every way to make a container, best first: the quicker one where two are as strong. The same objects each time, so that a probe is remembered. */
export const containerLaunchers = (): readonly Launcher[] =>
  (all ??= [bubblewrapContainer(), ociContainer('runsc'), ociContainer('crun'), ociContainer('runc')])
