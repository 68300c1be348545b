/** How long a secret stays on the page. */
export const shownSeconds = 20

/** Says each second how many are left, then calls `end` once. The returned function stops it. */
export function countDown(seconds: number, tick: (left: number) => void, end: () => void): () => void {
  let left = seconds
  tick(left)
  const timer = setInterval(() => {
    left -= 1
    if (left > 0) {
      tick(left)
      return
    }
    clearInterval(timer)
    end()
  }, 1_000)
  return () => clearInterval(timer)
}
