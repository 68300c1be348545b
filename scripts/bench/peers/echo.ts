/** Answers with what it was asked. */
import { answerParent } from '../harness.ts'

answerParent({ echo: (argument: unknown) => argument })
