// What the people behind a participant have decided, durably: who may have the share, and whether it takes
// part at all. Nothing is in force before it is stored, except a withdrawal: that is in force at once. Nothing
// is confirmed before its line is in the audit.

import type { AuditEntry } from '../audit/events.js'
import type { Clock } from '../base/clock.js'
import type { Withdrawal } from '../release/messages.js'
import type { Decision, ParticipantState, ParticipantStateKeeper } from '../store/state.js'
import { Approvals } from './approvals.js'

export interface WillOptions {
  readonly clock: Clock
  readonly state: ParticipantStateKeeper
  /** Most requests that wait for a person. */
  readonly pending: number
  /** Adds a line to the audit. */
  readonly write: (line: AuditEntry) => Promise<unknown>
}

export class Will {
  readonly approvals: Approvals
  readonly #state: ParticipantStateKeeper
  readonly #write: WillOptions['write']
  #withdrawal: Withdrawal | undefined
  #withdrawn: boolean
  #withdrawing: Promise<Withdrawal> | undefined
  /** Writes one after the other, each made from what the one before has stored. */
  #saving: Promise<unknown> = Promise.resolve()

  constructor({ clock, state, pending, write }: WillOptions) {
    const { decisions, withdrawal } = state.current
    this.approvals = new Approvals({ clock, capacity: pending, decisions })
    this.#state = state
    this.#write = write
    this.#withdrawal = withdrawal
    this.#withdrawn = withdrawal !== undefined
  }

  /** From the first moment of a withdrawal on, stored or not. */
  get withdrawn(): boolean {
    return this.#withdrawn
  }

  /** Once it is stored. */
  get withdrawal(): Withdrawal | undefined {
    return this.#withdrawal
  }

  async decide(id: string, decision: Decision['decision'], seconds?: number): Promise<Decision> {
    const { decisions } = await this.#save(
      (state) => ({ ...state, decisions: this.approvals.decide(id, decision, seconds) }),
      ({ decisions }) => this.approvals.adopt(decisions),
    )
    const made = decisions.at(-1) as Decision
    await this.#write({ type: decision, ...made })
    return made
  }

  /**
   * @param sign - makes the message; called once for all calls that wait for it.
   * @returns `first` for one of them only.
   */
  async withdraw(
    sign: () => Withdrawal,
  ): Promise<{ readonly withdrawal: Withdrawal; readonly first: boolean }> {
    if (this.#withdrawing !== undefined) {
      return { withdrawal: await this.#withdrawing, first: false }
    }
    if (this.#withdrawal !== undefined) return { withdrawal: this.#withdrawal, first: false }
    this.#withdrawn = true
    this.#withdrawing = this.#withdraw(sign()).finally(() => {
      this.#withdrawing = undefined
    })
    return { withdrawal: await this.#withdrawing, first: true }
  }

  async #withdraw(withdrawal: Withdrawal): Promise<Withdrawal> {
    await this.#save((state) => ({ ...state, withdrawal }))
    this.#withdrawal = withdrawal
    const { withdrawnAt } = withdrawal
    // It is stored and in force: an audit that fails takes nothing of that back.
    await this.#write({ type: 'withdrawn', withdrawnAt }).catch(() => undefined)
    return withdrawal
  }

  /** @param adopt - before the next change is made from it: a refusal between two others must not be lost. */
  async #save(
    change: (state: ParticipantState) => ParticipantState,
    adopt: (stored: ParticipantState) => void = () => undefined,
  ): Promise<ParticipantState> {
    const saved = this.#saving.then(async () => {
      const next = change(this.#state.current)
      await this.#state.save(next)
      adopt(next)
      return next
    })
    this.#saving = saved.catch(() => undefined)
    return await saved
  }
}
