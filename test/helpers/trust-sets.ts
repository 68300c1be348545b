import { resolve } from 'node:path'

/** Real trust networks, next to the repository; absent where only the repository is. */
export const trustData = resolve(import.meta.dirname, '../../../shared/data/trust')
