/** A promise that is settled from outside; Promise.withResolvers comes with Node 22. */
export class Deferred {
  readonly promise: Promise<void>
  resolve!: () => void
  reject!: (error: Error) => void

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // Whoever does not await it hears of the failure by the `error` event.
    this.promise.catch(() => {})
  }
}
