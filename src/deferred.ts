/**
 * A promise that is settled from outside; Promise.withResolvers comes with Node 22.
 *
 * Its rejection is nobody's fault as long as nobody asked for it: code that does not await it learns
 * of the failure from an `error` event.
 */
export class Deferred<Value = void> {
  readonly promise: Promise<Value>
  // Not of type Value: what holds a Deferred<this> stays assignable to its own base types.
  #resolve: ((value: never) => void) | undefined
  #reject: ((error: Error) => void) | undefined

  constructor() {
    this.promise = new Promise<Value>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.promise.catch(() => {})
  }

  resolve(value: Value): void {
    this.#resolve?.(value as never)
    this.#forget()
  }

  reject(error: Error): void {
    this.#reject?.(error)
    this.#forget()
  }

  /** Of no more use: two functions with their scope are 200 bytes, and every open socket has a Deferred. */
  #forget(): void {
    this.#resolve = undefined
    this.#reject = undefined
  }
}
