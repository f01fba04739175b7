/** An exception of somebody's listener is theirs, but must not cost others their share of the work. */
export function shielded(run: () => void): void {
  try {
    run()
  } catch (error) {
    rethrowLater(error)
  }
}

/**
 * Throws where nobody of ours is on the stack, as an `uncaughtException`.
 *
 * By a microtask: of several exceptions thrown by process.nextTick callbacks in one turn, Node.js 26 was
 * seen to lose one now and then.
 */
export function rethrowLater(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
