import { covers } from './covers.ts'
import { me } from './me.svelte.ts'

/** What the person at this page may do, as the node says. Until it has said so everything is offered: the node refuses what is not allowed in any case. */
export const rights = {
  may: (right: string): boolean => me.value === undefined || covers(me.value.rights, right),
}
