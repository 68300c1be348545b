export { type Client, type ClientOptions, createClient, type TaskLine, type TopicLine } from './client.ts'
