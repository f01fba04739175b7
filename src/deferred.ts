/**
 * A promise that is settled from outside; Promise.withResolvers comes with Node 22.
 *
 * Its rejection is nobody's fault as long as nobody asked for it: whoever does not await it hears of
 * the failure by an `error` event.
 */
export class Deferred<Value = void> {
  readonly promise: Promise<Value>
  // Not of type Value: what holds a Deferred<this> stays assignable to its own base types.
  #resolve!: (value: never) => void
  #reject!: (error: Error) => void

  constructor() {
    this.promise = new Promise<Value>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.promise.catch(() => {})
  }

  resolve(value: Value): void {
    this.#resolve(value as never)
  }

  reject(error: Error): void {
    this.#reject(error)
  }
}
