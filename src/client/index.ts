export {
  type AskedTask,
  type Client,
  type ClientOptions,
  createClient,
  type ReceiveLine,
  type SendFileLine,
  type TaskBody,
  type TaskDescription,
  type TaskLine,
  type TaskLogLine,
  type TaskPlan,
  type TopicLine,
} from './client.ts'
