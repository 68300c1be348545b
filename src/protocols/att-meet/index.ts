export { listAtMeeting, putAtMeeting } from './client.ts'
export { type MeetItem, meetListMax, meetOutcomes, type MeetOutcome, meetPutMax } from './codec.ts'
export { serveMeeting } from './server.ts'
