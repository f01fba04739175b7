// The end of a ceremony: all have seen the same, so all make the same descriptor, and all sign it.

import { toBase64url } from '../base/base64url.js'
import { createDescriptor, descriptorHash } from '../descriptor/descriptor.js'
import {
  addSignature,
  type VerifiedDescriptor,
  verifySignedDescriptor,
} from '../descriptor/signed.js'
import type { Descriptor, SignedDescriptor } from '../descriptor/types.js'
import { dkgPackage, type Lookup } from './check.js'
import { groupKeyOf } from './dkg.js'
import { type AgreeBody, heardHash, transcriptHash } from './messages.js'
import type { CheckedPlan } from './plan.js'
import { cheated, disagreed } from './refusals.js'

/** What this participant has seen everybody commit to and open, itself included. */
export function whatWasSeen(plan: CheckedPlan, get: Lookup): AgreeBody {
  const seen = plan.labels.map((label) =>
    toBase64url(heardHash(get('commit', label), get('package', label))),
  )
  return { transcript: toBase64url(transcriptHash(plan, seen)), seen }
}

/**
 * Nobody signs a descriptor before n equal hashes are on the table.
 *
 * @throws {McbnError} `MCBN_CEREMONY_DISAGREED` saying who saw other messages, and of whom.
 */
export function compareTranscripts(plan: CheckedPlan, me: string, get: Lookup): void {
  const mine = get('agree', me).body
  const all = plan.labels.map((label) => ({ label, ...get('agree', label).body }))
  const differing = all.filter(({ transcript }) => transcript !== mine.transcript)
  if (differing.length === 0) return
  const about = plan.labels.filter((_, at) =>
    differing.some(({ seen }) => seen[at] !== mine.seen[at]),
  )
  const others = differing.map(({ label }) => label)
  throw disagreed(
    `${others.join(', ')} saw other messages of ${about.join(', ')} than ${me} did: ` +
      'somebody shows different people different messages; start again over another way',
  )
}

/** The same for everybody: it follows from the plan and the packages. */
export function makeDescriptor({ document, labels }: CheckedPlan, get: Lookup): Descriptor {
  const { network, epoch, mode, t, roles, protocols, validity } = document
  const fields = { network, epoch, mode, t, roles, protocols, validity }
  const participants = (commitments: readonly string[]) =>
    document.participants.map((participant, at) => ({
      ...participant,
      commitment: `${commitments[at]}`,
    }))
  if (mode === 'n-of-n') {
    const commitments = labels.map((label) => `${get('package', label).body.commitment}`)
    return createDescriptor({ ...fields, participants: participants(commitments) })
  }
  const packages = labels.map((label) => dkgPackage(get('package', label)))
  const { group, verifyingShares } = groupKeyOf(packages, { t, n: labels.length })
  return createDescriptor({
    ...fields,
    group: group.map(toBase64url),
    participants: participants(verifyingShares.map(toBase64url)),
  })
}

/**
 * Puts everybody's signature under the descriptor.
 *
 * @throws {McbnError} `MCBN_CEREMONY_CHEATED` with the participant whose signature is invalid.
 */
export function signedByAll(plan: CheckedPlan, get: Lookup): VerifiedDescriptor {
  const descriptor = makeDescriptor(plan, get)
  const dh = toBase64url(descriptorHash(descriptor))
  let signed: SignedDescriptor = { descriptor, signatures: {} }
  for (const label of plan.labels) {
    const { body } = get('sign', label)
    // The transcripts were equal: every honest participant has this very hash.
    if (body.dh !== dh) throw cheated(label, 'signed another descriptor than the one agreed on')
    try {
      signed = addSignature(signed, label, body.signature)
    } catch {
      throw cheated(label, 'its signature under the descriptor does not hold')
    }
  }
  return verifySignedDescriptor(signed)
}
