import type { McbnErrorJson } from '../../errors.js'
import { McbnError } from '../../errors.js'
import type { Refused } from '../release/messages.js'

/** Which participants agreed, and which did not. */
export interface Consent {
  /** How many shares are needed. */
  readonly need: number
  /** How many came. */
  readonly have: number
  /** Participants that said no, with their reasons; only those whose signature was verified, or `busy`. */
  readonly refused: readonly Refused[]
  /** Labels of participants from whom no answer came that could be believed. */
  readonly silent: readonly string[]
  /** Labels of participants that got no evidence, because this machine's attester failed. */
  readonly unattested: readonly string[]
  /** Labels of participants that signed a bad share. */
  readonly blamed: readonly string[]
}

/** Not enough participants released a share: there is no key, and nothing listens. Ask the named ones. */
export class InsufficientConsentError extends McbnError {
  readonly need: number
  readonly have: number
  readonly refused: readonly Refused[]
  readonly silent: readonly string[]
  readonly unattested: readonly string[]
  readonly blamed: readonly string[]

  constructor(consent: Consent, causes: readonly Error[] = []) {
    const cause = causes.length > 1 ? new AggregateError(causes, 'no answer') : causes[0]
    super(
      'MCBN_CONSENT_INSUFFICIENT',
      messageOf(consent, causes),
      cause === undefined ? {} : { cause },
    )
    this.need = consent.need
    this.have = consent.have
    this.refused = consent.refused
    this.silent = consent.silent
    this.unattested = consent.unattested
    this.blamed = consent.blamed
  }

  override toJSON(): McbnErrorJson & Consent {
    const { need, have, refused, silent, unattested, blamed } = this
    return { ...super.toJSON(), need, have, refused, silent, unattested, blamed }
  }
}

/** What a participant that releases nothing has said. One that waits for a person has not said no. */
export function refusalWords(label: string, code: string | undefined): string {
  if (code === 'manual') return `${label} has not decided yet (waits for a person)`
  return `${label} refused${code === undefined ? '' : ` (${code})`}`
}

function messageOf(
  { need, have, refused, silent, unattested, blamed }: Consent,
  causes: readonly Error[],
): string {
  const said = refused.map(({ label, code }) => refusalWords(label, code))
  const wrong = blamed.map((label) => `${label} sent a bad share`)
  const none = silent.map((label) => `${label} gave no answer`)
  // One attester serves all of them: what it says is said once.
  const failed = causes.find((error) => (error as McbnError).code === 'MCBN_ATTESTER_FAILED')
  const why = failed === undefined ? '' : ` (${failed.message})`
  const late =
    unattested.length > 0 ? [`no evidence could be made for ${unattested.join(', ')}${why}`] : []
  const who = [...said, ...wrong, ...none, ...late]
  return `expected the shares of ${need} participants, got ${have}${who.length > 0 ? `: ${who.join(', ')}` : ''}`
}
