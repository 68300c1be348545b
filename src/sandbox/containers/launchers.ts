import type { Launcher } from '../launched.ts'
import { bubblewrapContainer } from './bubblewrap.ts'
import { ociContainer } from './oci.ts'
import { podmanContainer } from './podman.ts'

/** Every way to make a container, best first: the quicker one where two are as strong. */
export const containerLaunchers = (): readonly Launcher[] => [
  bubblewrapContainer(),
  ociContainer('runsc'),
  ociContainer('crun'),
  ociContainer('runc'),
  podmanContainer(),
]
