/** Objects that nobody has any more are freed with their native halves after a turn or two. */
export async function collected(): Promise<void> {
  for (let at = 0; at < 6; at += 1) {
    global.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
}
