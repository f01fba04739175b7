// What a complaint proves to somebody who was not there. A sub-share is sealed to one receiver, so only
// that one sees that it is wrong; but the dealer has signed it, and the receiver can show it to all. The
// ceremony is over then, and one sub-share of a polynomial that is thrown away tells nothing.

import { dkgPackage, type Lookup, thresholdOf } from './check.js'
import { isSubShareOf } from './dkg.js'
import type { CeremonyMessage } from './messages.js'
import type { CheckedPlan } from './plan.js'
import { bytesOf, cheated, disagreed } from './refusals.js'
import { isSignedSubShare } from './sub-share.js'

/**
 * @param me - the label of who judges.
 * @param get - looks messages up that have come.
 * @throws {McbnError} always. `MCBN_CEREMONY_CHEATED` where the complaint proves who cheated, else
 * `MCBN_CEREMONY_DISAGREED`: one word against another.
 */
export function judgeComplaint(
  plan: CheckedPlan,
  me: string,
  { from, body }: CeremonyMessage,
  get: Lookup,
): never {
  const { accused, about, opened } = body as CeremonyMessage<'complaint'>['body']
  const whom = accused === me ? `you (${me})` : accused
  const word = `${from} has stopped and says that the ${about} of ${whom} is wrong`
  if (opened === undefined || plan.document.mode !== 't-of-n') {
    throw disagreed(`${word}; the complaint proves nothing, so ask both, then start again`)
  }
  const share = bytesOf(opened.share, 32)
  const way = { plan, from: accused, to: from }
  if (!isSignedSubShare(way, share, bytesOf(opened.signature, 64))) {
    throw cheated(from, `accuses ${accused} of a sub-share that ${accused} has not signed`)
  }
  const { commitment } = dkgPackage(get('package', accused))
  if (isSubShareOf(share, plan.labels.indexOf(from) + 1, commitment, thresholdOf(plan))) {
    // Not proof against either: the accused may have shown its accuser another package.
    throw disagreed(`${word}, but it fits the package seen here; ask both, then start again`)
  }
  throw cheated(
    accused,
    `dealt ${from} a sub-share that is not on its polynomial, as ${from} has shown; start again without ${accused}`,
  )
}
