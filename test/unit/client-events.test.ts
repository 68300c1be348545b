import { expect, test } from 'vitest'
import { createClient } from '../../src/client/index.ts'

type Answer = () => Response

/** An answer that says this and then breaks off, as a node does that is killed, or ends. */
function stream(text: string, { breaks = true } = {}): Answer {
  const pieces = text.match(/[^]{1,7}/g) ?? []
  return () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          const piece = pieces.shift()
          if (piece !== undefined) controller.enqueue(new TextEncoder().encode(piece))
          else if (breaks) controller.error(new TypeError('terminated'))
          else controller.close()
        },
      }),
    )
}
const refused: Answer = () => {
  throw new TypeError('fetch failed')
}
const problem =
  (status: number, code: string): Answer =>
  () =>
    new Response(JSON.stringify({ code, message: code }), { status })
const start = (id: string): string => `retry: 1000\nid: ${id}\n\n`
const event = (id: string, name = 'delivered'): string => `id: ${id}\nevent: ${name}\ndata: {"event":"${name}"}\n\n`

/** Events of a client whose requests are answered one after the other, and where each request went on. */
function read(answers: readonly Answer[], cursor?: string) {
  const left = [...answers]
  const asked: (string | null)[] = []
  const fetch = async (url: string): Promise<Response> => {
    asked.push(new URL(url).searchParams.get('cursor'))
    const answer = left.shift()
    if (answer === undefined) throw new Error('one request too many')
    return answer()
  }
  const events = createClient({ url: 'http://localhost:1', token: 'x', fetch }).events(cursor === undefined ? {} : { cursor })
  return { asked, next: async () => (await events.next()).value as { readonly event: string; readonly cursor: string } }
}

test('events go on where they were over a node that starts again, and what the new life does not know is a gap', async () => {
  const { asked, next } = read([
    // Broken off within an event: that one was not heard.
    stream(`${start('a-0')}${event('a-1')}: \n\n${event('a-2').slice(0, -8)}`),
    stream(event('a-2'), { breaks: false }),
    refused,
    problem(503, 'ERR_OVERLOADED'),
    stream(`${start('b-0')}id: b-0\nevent: gap\ndata: {"event":"gap"}\n\n${event('b-1')}`),
  ])
  const heard = [await next(), await next(), await next(), await next()]
  expect(heard).toEqual([
    { event: 'delivered', cursor: 'a-1' },
    { event: 'delivered', cursor: 'a-2' },
    { event: 'gap', cursor: 'b-0' },
    { event: 'delivered', cursor: 'b-1' },
  ])
  expect(asked).toEqual([null, 'a-1', 'a-2', 'a-2', 'a-2'])
})

test('a stream that breaks before its first event goes on at where it was opened', async () => {
  const { asked, next } = read([stream(start('a-7')), stream(event('a-8'))], 'a-5')
  expect(await next()).toEqual({ event: 'delivered', cursor: 'a-8' })
  expect(asked).toEqual(['a-5', 'a-7'])
})

test('who is not let in any more is told so and does not come back', async () => {
  const { asked, next } = read([stream(`${start('a-0')}${event('a-1')}`), problem(401, 'ERR_AUTH_FAILED')])
  await next()
  await expect(next()).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
  expect(asked).toEqual([null, 'a-1'])
})
