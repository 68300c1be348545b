import { expect, test } from 'vitest'
import { acquaint, createStreet } from '../helpers/mailbox.ts'

test('what a sender left at two holders reaches the recipient once, in order, though the sender is gone and one holder died', async () => {
  await using street = createStreet()
  const [first, second, sender] = [await street.move(1, { serve: {} }), await street.move(2, { serve: {} }), await street.move(3)]
  const recipient = await street.move(4)
  await acquaint(street, [first, second, sender, recipient])
  await street.run(recipient.doors.add(first.did))
  await street.run(recipient.doors.add(second.did))
  recipient.leaveWorld()

  const texts = Array.from({ length: 10 }, (_, index) => `letter ${index}`)
  for (const text of texts) {
    const receipts = await street.run(sender.post(recipient, text))
    expect(receipts.map(({ holder }) => holder).sort()).toEqual([first.did, second.did].sort())
  }
  sender.leaveWorld()
  first.leaveWorld()

  const back = await street.move(4, { store: recipient.store })
  await acquaint(street, [second, back])
  await street.run(back.doors.collect())
  expect(back.taken).toEqual(texts)
  // The dead holder returns: its copies are known and are forgotten there too.
  const firstAgain = await street.move(1, { serve: {}, store: first.store })
  await acquaint(street, [firstAgain, back])
  expect(await street.run(back.doors.collect())).toEqual({ taken: 0, known: 10, refused: 0, left: 0 })
  expect(back.taken).toEqual(texts)
  expect(back.opened).toBe(10)
  expect([firstAgain.doors.status()?.items, second.doors.status()?.items]).toEqual([0, 0])
})
