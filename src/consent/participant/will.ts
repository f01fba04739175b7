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
    const made = (state: ParticipantState) => state.decisions.at(-1) as Decision
    const stored = await this.#save(
      (state) => {
        // Of those who decide for this participant, this one may not be the only.
        if (this.#state.update !== undefined) this.approvals.adopt(state.decisions)
        return { ...state, decisions: this.approvals.decide(id, decision, seconds) }
      },
      (state) => ({ type: decision, ...made(state) }),
      ({ decisions }) => this.approvals.adopt(decisions),
    )
    return made(stored)
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
    const { withdrawnAt } = withdrawal
    const adopt = (stored: ParticipantState): void => {
      this.#withdrawal = stored.withdrawal
    }
    try {
      await this.#save(
        (state) => ({ ...state, withdrawal: state.withdrawal ?? withdrawal }),
        // That of another process has its line.
        (stored) =>
          stored.withdrawal === withdrawal ? { type: 'withdrawn', withdrawnAt } : undefined,
        adopt,
      )
    } catch (error) {
      // Stored, and in force: an audit that fails takes nothing of that back.
      if (this.#withdrawal === undefined) throw error
    }
    return this.#withdrawal ?? withdrawal
  }

  /** What somebody else has decided for this participant. */
  hear({ decisions, withdrawal }: ParticipantState): void {
    this.approvals.adopt(decisions)
    if (withdrawal === undefined) return
    this.#withdrawn = true
    this.#withdrawal = withdrawal
  }

  /** @param adopt - before the next change is made from it: a refusal between two others must not be lost. */
  async #save(
    change: (state: ParticipantState) => ParticipantState,
    line: (stored: ParticipantState) => AuditEntry | undefined,
    adopt: (stored: ParticipantState) => void,
  ): Promise<ParticipantState> {
    const saved = this.#saving.then(async () => {
      if (this.#state.update !== undefined) {
        const next = await this.#state.update(change, line)
        adopt(next)
        return next
      }
      const next = change(this.#state.current)
      await this.#state.save(next)
      adopt(next)
      const entry = line(next)
      if (entry !== undefined) await this.#write(entry)
      return next
    })
    this.#saving = saved.catch(() => undefined)
    return await saved
  }
}
