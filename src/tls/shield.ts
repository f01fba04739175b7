/** An exception of somebody's listener is theirs, but must not leave a session between two states. */
export function shielded(run: () => void): void {
  try {
    run()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}
