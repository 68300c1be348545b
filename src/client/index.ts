export { type Client, type ClientOptions, createClient, type TaskLine } from './client.ts'
