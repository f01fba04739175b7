// The plan: everything about a network that is settled before any secret is made. The person who hands it out
// is trusted with nothing: all compare its hash by another way, and every message is signed over it.

import { createHash, randomBytes } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { lengthPrefixed } from '../../psk/encoding.js'
import { toBase64url } from '../base/base64url.js'
import { canonicalBytes, NotCanonical, parseCanonical } from '../base/canonical.js'
import { Untrusted } from '../base/untrusted.js'
import { createDescriptor, PARTICIPANTS_MAX, parseDescriptor } from '../descriptor/descriptor.js'
import type { Descriptor, DescriptorParticipant } from '../descriptor/types.js'
import { invalid } from './refusals.js'

/** A participant before the ceremony has given it a commitment. */
export type PlanParticipant = Omit<DescriptorParticipant, 'commitment'>

/** The document. Its canonical form (RFC 8785) is what is hashed. */
export interface CeremonyPlan extends Omit<Descriptor, 'participants' | 'group'> {
  /**
   * 16 random bytes. A second attempt is another plan, so that no message of the first one fits into it.
   */
  readonly ceremony: string
  /** 2 to 64, sorted bytewise by label. */
  readonly participants: readonly PlanParticipant[]
}

/** What {@link createPlan} takes. */
export interface PlanFields extends Omit<CeremonyPlan, 'version' | 'ceremony' | 't' | 'protocols'> {
  /** @defaultValue the number of participants for n-of-n; t-of-n has to say it. */
  readonly t?: number
  /** In any order. @defaultValue all */
  readonly protocols?: CeremonyPlan['protocols']
}

/** A plan whose every field has been checked. */
export interface CheckedPlan {
  readonly document: CeremonyPlan
  /** SHA-256(lp("mcbn/1 ceremony plan") || canonical plan), 32 bytes. */
  readonly hash: Buffer
  /** The same as base64url, as messages carry it. */
  readonly hashText: string
  /** The same in hex, as people compare it. */
  readonly hashHex: string
  /** Sorted. */
  readonly labels: readonly string[]
  /** @throws {McbnError} `MCBN_CEREMONY_INVALID` for somebody who is not in it. */
  participant(label: string): PlanParticipant
}

/** Longest plan, in bytes. */
export const PLAN_MAX_BYTES = 128 * 1024

/**
 * Makes a plan: sorts what has an order, checks everything.
 *
 * @throws {McbnError} `MCBN_CEREMONY_INVALID` naming the field.
 */
export function createPlan(fields: PlanFields): CheckedPlan {
  const { mode, t = fields.participants.length } = fields
  const ordered = asPlan(() =>
    createDescriptor({ ...placeholder(fields, fields.participants), roles: fields.roles }),
  )
  return checkPlan({
    version: 'mcbn/1',
    ceremony: toBase64url(randomBytes(16)),
    network: ordered.network,
    epoch: ordered.epoch,
    mode,
    t,
    participants: ordered.participants.map(({ label, ed25519, x25519 }) => ({
      label,
      ed25519,
      x25519,
    })),
    roles: ordered.roles,
    protocols: ordered.protocols,
    validity: ordered.validity,
  })
}

/**
 * Reads a plan that came from somebody else.
 *
 * @param bytes - its canonical form; a line end behind it is tolerated, as editors add it.
 * @throws {McbnError} `MCBN_CEREMONY_INVALID` naming the field.
 */
export function parsePlan(bytes: Uint8Array): CheckedPlan {
  if (bytes.length > PLAN_MAX_BYTES) {
    throw invalid(`plan: expected at most ${PLAN_MAX_BYTES} bytes, got ${bytes.length}`)
  }
  const end = bytes.at(-1) === 0x0a ? bytes.length - 1 : bytes.length
  try {
    return checkPlan(parseCanonical(bytes.subarray(0, end)))
  } catch (error) {
    if (!(error instanceof NotCanonical)) throw error
    throw invalid(`plan: ${error.message}`)
  }
}

/** The bytes that are hashed, and handed out. */
export function planBytes(plan: CheckedPlan): Buffer {
  return canonicalBytes(plan.document)
}

function checkPlan(value: unknown): CheckedPlan {
  const fields = new Untrusted(value, 'plan', 'MCBN_CEREMONY_INVALID').fields([
    'version',
    'ceremony',
    'network',
    'epoch',
    'mode',
    't',
    'participants',
    'roles',
    'protocols',
    'validity',
  ])
  const listed = fields.participants.list(2, PARTICIPANTS_MAX).map((item) => {
    const { label, ed25519, x25519 } = item.fields(['label', 'ed25519', 'x25519'])
    return { label: label.value, ed25519: ed25519.value, x25519: x25519.value } as PlanParticipant
  })
  const raw = {
    network: fields.network.value,
    epoch: fields.epoch.value,
    validity: fields.validity.value,
  } as PlanFields
  const checked = asPlan(() =>
    parseDescriptor({
      ...placeholder(raw, listed),
      version: fields.version.value,
      t: listed.length,
      roles: fields.roles.value,
      protocols: fields.protocols.value,
    }),
  )
  const n = listed.length
  const mode = fields.mode.oneOf(['n-of-n', 't-of-n'])
  const document: CeremonyPlan = Object.freeze({
    version: checked.version,
    ceremony: fields.ceremony.base64url(16),
    network: checked.network,
    epoch: checked.epoch,
    mode,
    t: mode === 'n-of-n' ? fields.t.integer(n, n) : fields.t.integer(2, n),
    participants: checked.participants.map(({ label, ed25519, x25519 }) =>
      Object.freeze({ label, ed25519, x25519 }),
    ),
    roles: checked.roles,
    protocols: checked.protocols,
    validity: checked.validity,
  })
  return withHash(document)
}

/** Most of a plan is a descriptor's: its rules are asked with commitments that mean nothing. */
function placeholder(
  {
    network,
    epoch,
    validity,
    protocols,
  }: Pick<PlanFields, 'network' | 'epoch' | 'validity' | 'protocols'>,
  participants: readonly PlanParticipant[],
) {
  return {
    network,
    epoch,
    mode: 'n-of-n' as const,
    participants: participants.map(({ label, ed25519, x25519 }, at) => ({
      label,
      ed25519,
      x25519,
      commitment: toBase64url(Buffer.alloc(32, at)),
    })),
    ...(protocols !== undefined && { protocols }),
    validity,
  }
}

function asPlan(check: () => Descriptor): Descriptor {
  try {
    return check()
  } catch (error) {
    if (!(error instanceof McbnError) || error.code !== 'MCBN_DESCRIPTOR_INVALID') throw error
    throw invalid(error.message.replace(/^descriptor/, 'plan'))
  }
}

function withHash(document: CeremonyPlan): CheckedPlan {
  const labels = document.participants.map(({ label }) => label)
  // Messages are named after both ends: x to y-to-z and x-to-y to z must not be the same file.
  const ambiguous = labels.find((label) => label.includes('-to-'))
  if (ambiguous !== undefined) {
    throw invalid(`plan: expected labels without "-to-", got ${ambiguous}`)
  }
  const hash = createHash('sha256')
    .update(lengthPrefixed('mcbn/1 ceremony plan'))
    .update(canonicalBytes(document))
    .digest()
  return {
    document,
    hash,
    hashText: toBase64url(hash),
    hashHex: hash.toString('hex'),
    labels,
    participant(label) {
      const found = document.participants.find((participant) => participant.label === label)
      if (found === undefined)
        throw invalid(`plan: expected ${label} among the participants, got nobody`)
      return found
    },
  }
}
