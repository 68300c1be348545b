import { type Did, type Logger, silentLogger } from '../base/index.ts'

/** What bystanders may watch: console, `up --jsonl`, the API's event stream. Never used for control. */
export type NodeEvent =
  | { readonly event: 'connected' | 'disconnected'; readonly did: Did; readonly peerId: string; readonly route: string }
  | { readonly event: 'message'; readonly id: string; readonly from: Did; readonly type: string }
  | { readonly event: 'file'; readonly id: string; readonly from: Did; readonly name: string; readonly bytes: number }
  | { readonly event: 'delivered'; readonly id: string; readonly to: Did }
  | { readonly event: 'undelivered'; readonly id: string; readonly to: Did; readonly status: string; readonly code: string }
  | { readonly event: 'task'; readonly id: string; readonly asker: Did; readonly outcome: string }
  /** Code in a sandbox of this program tried what it may not. */
  | { readonly event: 'security'; readonly agentId: string; readonly kind: string; readonly detail: string }
  | { readonly event: 'identity'; readonly did: Did; readonly key: Did; readonly seq: number; readonly status: 'active' | 'frozen' }
  /** Somebody known introduced somebody: his addresses were learnt, nothing else. */
  | { readonly event: 'introduced'; readonly did: Did; readonly by: Did }
  | { readonly event: 'config'; readonly keys: readonly string[]; readonly agent?: string }
  /** A stranger was refused for want of trust in a scope, and waits to be approved. */
  | { readonly event: 'pending'; readonly did: Did; readonly scope: string }
  /** What led to one identity leads to another: refused. */
  | { readonly event: 'pin'; readonly source: string; readonly expected: Did; readonly found: Did }
  /** A peer began a comparison: its words wait to be looked at. */
  | { readonly event: 'comparison'; readonly did: Did }
  /** Somebody joined by an invite of ours, or we by theirs, which has no name here. */
  | { readonly event: 'joined'; readonly did: Did; readonly invite?: string; readonly level: number }
  | {
      readonly event: 'attestation'
      readonly id: string
      readonly issuer: Did
      readonly subject: Did
      readonly change: 'issued' | 'accepted' | 'revoked' | 'contradicted'
    }
  /** A capability token was given to somebody, or withdrawn. */
  | { readonly event: 'grant'; readonly id: string; readonly audience: Did; readonly change: 'issued' | 'revoked' | 'forgotten' }

export interface EventHub {
  emit(event: NodeEvent): void
  /** Returns the remover. */
  on(listener: (event: NodeEvent) => void): () => void
}

/** A bystander that throws is the bystander's trouble: the others hear of the event, and what caused it goes on. */
export function createEventHub(logger: Logger = silentLogger): EventHub {
  const listeners = new Set<(event: NodeEvent) => void>()
  return {
    emit(event) {
      for (const listener of listeners) {
        try {
          listener(event)
        } catch (error) {
          logger.warn('a listener for events threw', { event: event.event, why: error instanceof Error ? error.message : String(error) })
        }
      }
    },
    on(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
