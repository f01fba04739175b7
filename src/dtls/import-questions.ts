// What the lookup is asked while sessions are imported, a batch at a time: whether their identities have keys now.

import type { Cancel, LookupAnswer, ServerKeys } from '../keys/server-keys.js'
import type { NativeSessionQuestion, NativeVerdict } from '../native/dtls.js'
import type { Refusal } from './session-transfer.js'

/**
 * Imports the sessions of a batch whose keys were found. Each verdict is no question any more.
 *
 * @param indexes - of the batch.
 * @param peers - by the lookup, in the same order.
 */
export type TakeVouched<Peer> = (
  indexes: readonly number[],
  peers: readonly (Peer | undefined)[],
) => readonly NativeVerdict[]

export class ImportQuestions<Peer> {
  /** Resolves when no verdict is a question any more. */
  readonly answered: Promise<void>
  readonly #verdicts: NativeVerdict[]
  readonly #take: TakeVouched<Peer>
  readonly #open = new Map<number, Cancel>()
  /** Answers that came together are taken together: one call into the addon, where the lookup answers at once. */
  #found = new Map<number, Peer | undefined>()
  #left = 0
  #resolve: () => void = () => {}

  /** @param verdicts - answers are put in the places of questions. */
  constructor(keys: ServerKeys<Peer>, verdicts: NativeVerdict[], take: TakeVouched<Peer>) {
    this.#verdicts = verdicts
    this.#take = take
    this.answered = new Promise((resolve) => {
      this.#resolve = resolve
    })
    const questions = [...verdicts.entries()].filter(([, verdict]) => typeof verdict === 'object')
    this.#left = questions.length
    if (this.#left === 0) this.#resolve()
    for (const [index, verdict] of questions)
      this.#ask(keys, index, verdict as NativeSessionQuestion)
  }

  /** Those that have not been answered are refused. */
  giveUp(): void {
    for (const [index, cancel] of [...this.#open]) {
      this.#open.delete(index)
      cancel()
      this.#settle(index, 'lookupFailed' satisfies Refusal)
    }
  }

  #ask(keys: ServerKeys<Peer>, index: number, question: NativeSessionQuestion): void {
    const { remoteAddress, remotePort } = question
    let waits = true
    const cancel = keys.ask(question, { remoteAddress, remotePort }, (answer) => {
      waits = false
      this.#open.delete(index)
      this.#hear(index, answer)
    })
    if (waits) this.#open.set(index, cancel)
  }

  #hear(index: number, answer: LookupAnswer<Peer>): void {
    if (!('key' in answer)) {
      const refusal: Refusal = 'error' in answer ? 'lookupFailed' : 'unknownIdentity'
      return this.#settle(index, refusal)
    }
    answer.key.fill(0)
    if (this.#found.size === 0) queueMicrotask(() => this.#takeFound())
    this.#found.set(index, answer.peer)
  }

  #takeFound(): void {
    const found = this.#found
    this.#found = new Map()
    const indexes = [...found.keys()]
    const taken = this.#take(indexes, [...found.values()])
    for (const [at, index] of indexes.entries()) this.#settle(index, taken[at] as NativeVerdict)
  }

  #settle(index: number, verdict: NativeVerdict): void {
    this.#verdicts[index] = verdict
    this.#left -= 1
    if (this.#left === 0) this.#resolve()
  }
}
