export { type Client, type ClientOptions, createClient, type ReceiveLine, type SendFileLine, type TaskLine, type TopicLine } from './client.ts'
