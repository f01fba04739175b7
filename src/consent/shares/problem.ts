// Blame: which participant gave a bad share, and in what way. Only for what carries that participant's valid
// signature (or came from the participant's own hand): everything else the carrier could have made.

import { McbnError } from '../../errors.js'

/** What can be wrong with a share. */
export const SHARE_PROBLEMS = [
  /** Not 32 bytes, or for t-of-n no canonical scalar. */
  'malformed',
  /** 32 equal bytes, or a scalar of zero. */
  'degenerate',
  /** Not the share that all participants signed the commitment to. */
  'commitment-mismatch',
  /** Made for another epoch. */
  'wrong-epoch',
  /** Another participant's. */
  'duplicate',
] as const
export type ShareProblem = (typeof SHARE_PROBLEMS)[number]

/** `MCBN_SHARE_INVALID` that says whom to ask, and about what. */
export class InvalidShareError extends McbnError {
  declare readonly participant: string
  readonly problem: ShareProblem

  constructor(participant: string, problem: ShareProblem, detail: string) {
    super('MCBN_SHARE_INVALID', `share of ${participant}: ${problem}: ${detail}`, { participant })
    this.problem = problem
  }
}
