import { capabilityKey } from '../../src/node/capabilities.ts'
import type { Vector, Vectors } from './world.ts'

/** Where the DHT keeps who offers a capability. */
export function netVectors(): Vectors {
  const key = (name: string): Vector => ({ comment: `who offers ${name}`, spec: '9.1', expect: 'ok', kind: 'capability-key', name, key: capabilityKey(name) })
  return { 'capability-message': key('message'), 'capability-agent': key('agent:echo') }
}
