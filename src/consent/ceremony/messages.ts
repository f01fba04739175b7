// The messages of a ceremony. Anyone who carries them may read, drop, delay and swap them: each is signed
// by its sender over the hash of the plan, the round and both ends, and none holds a secret in the open.
//
//   commit      hash of the sender's own package: nobody can choose theirs after seeing the others'
//   package     the package itself: n-of-n the commitment to the share, t-of-n DKG round 1
//   seal        t-of-n: the receiver's sub-share, signed, then sealed to the receiver (DKG round 2)
//   agree       hash of all commits and packages that the sender has seen
//   sign        the sender's signature under the descriptor
//   complaint   the sender stops, and says because of whom

import { createHash, type KeyObject } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { lengthPrefixed } from '../../psk/encoding.js'
import { toBase64url } from '../base/base64url.js'
import { canonicalBytes, parseCanonical } from '../base/canonical.js'
import { sign, verifySignature } from '../base/keys.js'
import { Untrusted } from '../base/untrusted.js'
import type { CheckedPlan } from './plan.js'
import { bytesOf, cheated, invalid } from './refusals.js'

/** In their order; a complaint can come in any. */
export const CEREMONY_ROUNDS = ['commit', 'package', 'seal', 'agree', 'sign'] as const
export type CeremonyRound = (typeof CEREMONY_ROUNDS)[number]

/** Longest message, in bytes; 64 participants need less than 9,000. */
export const MESSAGE_MAX_BYTES = 16 * 1024

/** All bytes are base64url. */
export interface CommitBody {
  /** SHA-256(lp("mcbn/1 ceremony package") || plan hash || lp(from) || canonical package), 32 bytes. */
  readonly package: string
}
/** n-of-n. */
export interface ShareBody {
  /** See {@link shareCommitment}, 32 bytes. */
  readonly commitment: string
}
/** t-of-n. */
export interface DkgBody {
  /** 1 to n, by the order of labels. */
  readonly identifier: number
  /** t points of 32 bytes. */
  readonly commitment: readonly string[]
  /** Proof of knowledge, 64 bytes. */
  readonly proof: string
}
export type PackageBody = ShareBody | DkgBody
export interface SealBody {
  /** HPKE's encapsulated key, 32 bytes. */
  readonly enc: string
  /** Of the sub-share and the sender's signature under it: 32 + 64 bytes, and 16 of tag. */
  readonly ciphertext: string
}
export interface AgreeBody {
  /** Hash over all of `seen`, 32 bytes: see {@link transcriptHash}. */
  readonly transcript: string
  /** In the order of labels: hash of each participant's commit and package, 32 bytes. */
  readonly seen: readonly string[]
}
export interface SignBody {
  /** Hash of the descriptor, 32 bytes. */
  readonly dh: string
  /** As in {@link SignedDescriptor}, 64 bytes. */
  readonly signature: string
}
export interface ComplaintBody {
  readonly accused: string
  /** Which of the accused's messages it is about. */
  readonly about: CeremonyRound
  /** About a sub-share that could be opened: itself, 32 bytes, and the accused's signature under it. */
  readonly opened?: { readonly share: string; readonly signature: string }
}

interface Bodies {
  readonly commit: CommitBody
  readonly package: PackageBody
  readonly seal: SealBody
  readonly agree: AgreeBody
  readonly sign: SignBody
  readonly complaint: ComplaintBody
}
export type MessageKind = keyof Bodies

/** One signed message, as it travels: canonical JSON. */
export interface CeremonyMessage<Kind extends MessageKind = MessageKind> {
  readonly v: 'mcbn/1'
  readonly round: Kind
  /** Hash of the plan, 32 bytes. */
  readonly plan: string
  readonly from: string
  /** `seal` only. */
  readonly to?: string
  readonly body: Bodies[Kind]
  /** Ed25519 over lp("mcbn/1 sign ceremony") || the canonical form of all fields above. */
  readonly signature: string
}

const PURPOSE = 'mcbn/1 sign ceremony'

/** Makes and signs a message. @returns the bytes to send. */
export function signMessage<Kind extends MessageKind>(
  plan: CheckedPlan,
  key: KeyObject,
  fields: Pick<CeremonyMessage<Kind>, 'round' | 'from' | 'body'> & { readonly to?: string },
): Buffer {
  const { round, from, to, body } = fields
  const unsigned = {
    v: 'mcbn/1',
    round,
    plan: plan.hashText,
    from,
    ...(to !== undefined && { to }),
    body,
  }
  const signature = toBase64url(sign(key, PURPOSE, canonicalBytes(unsigned)))
  return canonicalBytes({ ...unsigned, signature })
}

/**
 * Reads a message and checks its sender's signature.
 *
 * @param bytes - untrusted.
 * @param plan - the reader's own, which says who takes part with which keys.
 * @throws {McbnError} `MCBN_CEREMONY_INVALID` when it is not signed by who it says: blames nobody.
 * `MCBN_CEREMONY_CHEATED` with `participant` when it is, but says what no message may say.
 */
export function parseMessage(bytes: Uint8Array, plan: CheckedPlan): CeremonyMessage {
  if (bytes.length > MESSAGE_MAX_BYTES) {
    throw invalid(`message: expected at most ${MESSAGE_MAX_BYTES} bytes, got ${bytes.length}`)
  }
  const value = canonical(bytes)
  const fields = new Untrusted(value, 'message', 'MCBN_CEREMONY_INVALID').fields(
    ['v', 'round', 'plan', 'from', 'body', 'signature'],
    ['to'],
  )
  const v = fields.v.oneOf(['mcbn/1'])
  const round = fields.round.oneOf([...CEREMONY_ROUNDS, 'complaint'])
  if (fields.plan.base64url(32) !== plan.hashText) {
    throw invalid(
      'message: expected one about this plan, got one about another; compare plan hashes',
    )
  }
  const from = fields.from.oneOf(plan.labels)
  if ((fields.to !== undefined) !== (round === 'seal')) {
    throw invalid('message: expected a receiver with the round seal, and only with it')
  }
  const to = fields.to?.oneOf(plan.labels.filter((label) => label !== from))
  const signature = fields.signature.base64url(64)
  const { signature: _, ...unsigned } = value as Record<string, unknown>
  const { ed25519 } = plan.participant(from)
  if (!verifySignature(ed25519, PURPOSE, [canonicalBytes(unsigned)], signature)) {
    throw invalid(
      `message: the signature of ${from} under its ${round} does not hold; it was altered or forged on the way, by whomever`,
    )
  }
  const body = signedBody(round, fields.body, plan, from)
  return { v, round, plan: plan.hashText, from, ...(to !== undefined && { to }), body, signature }
}

/** The name of a message: its file's, and its address on a board. No two messages share one. */
export function messageName(round: MessageKind, from: string, to?: string): string {
  return to === undefined ? `${round}-${from}` : `${round}-${from}-to-${to}`
}

/** What a commit says of the package that follows. */
export function packageHash(plan: CheckedPlan, from: string, body: PackageBody): Buffer {
  return createHash('sha256')
    .update(lengthPrefixed('mcbn/1 ceremony package'))
    .update(plan.hash)
    .update(lengthPrefixed(from))
    .update(canonicalBytes(body))
    .digest()
}

/**
 * What one participant was heard to say: the hash of its commit and its package, without the signatures
 * (two signatures under one message would not make it two).
 */
export function heardHash(commit: CeremonyMessage, opened: CeremonyMessage): Buffer {
  const hash = createHash('sha256').update(lengthPrefixed('mcbn/1 ceremony heard'))
  for (const { signature: _, ...said } of [commit, opened]) {
    hash.update(lengthPrefixed(canonicalBytes(said)))
  }
  return hash.digest()
}

/** The hash of everything that all were to see alike: SHA-256(lp(purpose) || plan hash || seen...). */
export function transcriptHash(plan: CheckedPlan, seen: readonly string[]): Buffer {
  const hash = createHash('sha256').update(lengthPrefixed('mcbn/1 ceremony transcript'))
  hash.update(plan.hash)
  for (const [at, text] of seen.entries()) {
    hash.update(lengthPrefixed(`${plan.labels[at]}`)).update(bytesOf(text, 32))
  }
  return hash.digest()
}

function canonical(bytes: Uint8Array): unknown {
  try {
    return parseCanonical(bytes)
  } catch (error) {
    throw invalid(`message: ${error instanceof Error ? error.message : 'unreadable'}`)
  }
}

/** From here on the sender answers for what is wrong: it has signed it. */
function signedBody<Kind extends MessageKind>(
  round: Kind,
  body: Untrusted,
  plan: CheckedPlan,
  from: string,
): Bodies[MessageKind] {
  try {
    return READERS[round](body, plan)
  } catch (error) {
    if (!(error instanceof McbnError)) throw error
    throw cheated(from, `signed a malformed ${round}: ${error.message}`)
  }
}

const READERS: {
  readonly [kind in MessageKind]: (body: Untrusted, plan: CheckedPlan) => Bodies[kind]
} = {
  commit(body) {
    return { package: body.fields(['package']).package.base64url(32) }
  },
  package(body, plan) {
    if (plan.document.mode === 'n-of-n') {
      return { commitment: body.fields(['commitment']).commitment.base64url(32) }
    }
    const { identifier, commitment, proof } = body.fields(['identifier', 'commitment', 'proof'])
    return {
      identifier: identifier.integer(1, 64),
      // Its length is judged with the points, where a wrong degree has its own words.
      commitment: commitment.list(1, 64).map((point) => point.base64url(32)),
      proof: proof.base64url(64),
    }
  },
  seal(body) {
    const { enc, ciphertext } = body.fields(['enc', 'ciphertext'])
    return { enc: enc.base64url(32), ciphertext: ciphertext.base64url(112) }
  },
  agree(body, plan) {
    const { transcript, seen } = body.fields(['transcript', 'seen'])
    const n = plan.labels.length
    const hashes = seen.list(n, n).map((hash) => hash.base64url(32))
    const stated = transcript.base64url(32)
    if (stated !== toBase64url(transcriptHash(plan, hashes))) {
      transcript.refuse('the hash of what was seen', 'another hash')
    }
    return { transcript: stated, seen: hashes }
  },
  sign(body) {
    const { dh, signature } = body.fields(['dh', 'signature'])
    return { dh: dh.base64url(32), signature: signature.base64url(64) }
  },
  complaint(body, plan) {
    const { accused, about, opened } = body.fields(['accused', 'about'], ['opened'])
    const said = opened?.fields(['share', 'signature'])
    return {
      accused: accused.oneOf(plan.labels),
      about: about.oneOf(CEREMONY_ROUNDS),
      ...(said !== undefined && {
        opened: { share: said.share.base64url(32), signature: said.signature.base64url(64) },
      }),
    }
  },
}
