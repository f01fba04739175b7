// All packages are there: each is held against its commit and judged by itself, so that the one
// at fault can be named.

import { toBase64url } from '../base/base64url.js'
import { type DkgPackage, problemOfPackage, type Threshold } from './dkg.js'
import { type CeremonyMessage, type MessageKind, packageHash } from './messages.js'
import type { CheckedPlan } from './plan.js'
import { bytesOf, cheated } from './refusals.js'

/** How messages that have come are looked up. */
export type Lookup = <Kind extends MessageKind>(kind: Kind, label: string) => CeremonyMessage<Kind>

/** @throws {McbnError} `MCBN_CEREMONY_CHEATED` with the participant whose package it is. */
export function checkPackages(plan: CheckedPlan, get: Lookup): void {
  const commitments = new Map<string, string>()
  for (const [at, label] of plan.labels.entries()) {
    const { body } = get('package', label)
    const promised = get('commit', label).body.package
    if (promised !== toBase64url(packageHash(plan, label, body))) {
      throw cheated(
        label,
        `opened another package than it had committed to; start again without ${label}`,
      )
    }
    if (plan.document.mode === 't-of-n') {
      const problem = problemOfPackage(dkgPackage(get('package', label)), at + 1, thresholdOf(plan))
      if (problem !== undefined)
        throw cheated(label, `its package ${problem}; start again without ${label}`)
      continue
    }
    const commitment = `${body.commitment}`
    const other = commitments.get(commitment)
    // Both have committed to it before either was open: they must have worked together.
    if (other !== undefined) throw cheated(label, `has the share commitment of ${other}`)
    commitments.set(commitment, label)
  }
}

/** The package of a t-of-n message, as the mathematics wants it. */
export function dkgPackage({ body }: CeremonyMessage<'package'>): DkgPackage {
  if (!('proof' in body)) throw new TypeError('a share commitment is no DKG package')
  return {
    identifier: body.identifier,
    commitment: body.commitment.map((point) => bytesOf(point, 32)),
    proof: bytesOf(body.proof, 64),
  }
}

export function thresholdOf({ document, labels }: CheckedPlan): Threshold {
  return { t: document.t, n: labels.length }
}
