// What the story demands of what happens, in words that a failed step can show.

import { Refused } from './actor.js'
import { StepFailed } from './steps.js'

/** A join that came to nothing, as the workload's error tells it. */
export interface Insufficient {
  readonly need: number
  readonly have: number
  /** `label` or `label: code`. */
  readonly refused: readonly string[]
  readonly silent: readonly string[]
  readonly blamed: readonly string[]
  readonly message: string
}

export function expectEqual(what: string, got: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(got), JSON.stringify(expected)]
  if (left !== right) throw new StepFailed(`${what}: expected ${right}, got ${left}`)
}

export function expectMatch(what: string, got: string, expected: RegExp): void {
  if (!expected.test(got)) throw new StepFailed(`${what}: expected ${expected}, got "${got}"`)
}

export function expectOneOf(what: string, got: string, expected: readonly string[]): void {
  if (expected.includes(got)) return
  throw new StepFailed(`${what}: expected ${expected.join(' or ')}, got "${got}"`)
}

export function expectTrue(what: string, holds: boolean): void {
  if (!holds) throw new StepFailed(`expected ${what}`)
}

/** The call must fail: a success would be the very thing that must not happen. */
export async function expectRefusal(what: string, call: Promise<unknown>): Promise<Refused> {
  try {
    await call
  } catch (error) {
    if (error instanceof Refused) return error
    throw error
  }
  throw new StepFailed(`${what}: expected it to be refused, it was not`)
}

/** Joining must fail for want of consent. */
export async function expectInsufficient(
  what: string,
  call: Promise<unknown>,
): Promise<Insufficient> {
  const refusal = await expectRefusal(what, call)
  if (refusal.code !== 'MCBN_CONSENT_INSUFFICIENT') throw refusal
  const fields = refusal.fields as {
    readonly need: number
    readonly have: number
    readonly refused: readonly { readonly label: string; readonly code: string }[]
    readonly silent: readonly string[]
    readonly blamed: readonly string[]
    readonly message: string
  }
  return { ...fields, refused: fields.refused.map(({ label, code }) => `${label}: ${code}`) }
}

/** Attempts until as many shares have come as should: a busy machine may need more time than one has. */
export async function expectShares(
  what: string,
  have: number,
  attempt: () => Promise<unknown>,
): Promise<Insufficient> {
  for (let tries = 1; ; tries += 1) {
    const result = await expectInsufficient(what, attempt())
    if (result.have === have) return result
    if (result.have > have || tries === 4) {
      throw new StepFailed(
        `${what}: expected ${have} shares, got ${result.have}: ${result.message}`,
      )
    }
  }
}
