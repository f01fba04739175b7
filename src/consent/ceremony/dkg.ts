// Distributed key generation, t of n without a dealer: every participant deals a random polynomial to
// all, and the sum of all polynomials is the one nobody knows. Pedersen's scheme with a proof of
// knowledge, as frost-rs and @noble/curves (ristretto255_FROST.DKG) do it; points are RFC 9496 elements.
//
// The library does the arithmetic. What stands here is what it leaves to its caller: saying which one of
// the others is wrong, and keeping the secret polynomial across a restart.

import { createHash } from 'node:crypto'
import type { DKG_Round1, DKG_Secret } from '@noble/curves/abstract/frost.js'
import { ristretto255_FROST as frost, ristretto255 } from '@noble/curves/ed25519.js'
import { McbnError } from '../../errors.js'
import { secretCopy } from '../../secret-bytes.js'
import { verifyingShare } from '../descriptor/group.js'

const { Point } = ristretto255
const { Fn } = Point
type RistrettoPoint = InstanceType<typeof Point>

/** How many are needed, of how many. */
export interface Threshold {
  readonly t: number
  readonly n: number
}

/** What a participant shows to all: the commitment to its polynomial, and that it knows its constant. */
export interface DkgPackage {
  /** 1 to n, in the order of labels. */
  readonly identifier: number
  /** t points of 32 bytes, the constant's first. */
  readonly commitment: readonly Uint8Array[]
  /** Schnorr proof of knowledge of the constant, bound to the identifier: R || z, 64 bytes. */
  readonly proof: Uint8Array
}

/** A participant's secret polynomial, as bytes: t scalars of 32 bytes, little-endian, the constant first. */
export interface Polynomial {
  /** The participant that holds this owns it and wipes it. */
  readonly coefficients: readonly Buffer[]
  readonly public: DkgPackage
}

/** What all participants compute alike from all packages. */
export interface GroupKey {
  /** The joint polynomial's commitment, t points; the first is the group key. */
  readonly group: readonly Uint8Array[]
  /** s_i * G for each participant, by identifier - 1. */
  readonly verifyingShares: readonly Uint8Array[]
}

/** Makes a fresh random polynomial of degree t - 1. */
export function generatePolynomial(identifier: number, { t, n }: Threshold): Polynomial {
  const made = frost.DKG.round1(frost.Identifier.fromNumber(identifier), { min: t, max: n })
  const coefficients = (made.secret.coefficients ?? []).map(bytesOfScalar)
  frost.DKG.clean(made.secret)
  const { commitment, proofOfKnowledge } = made.public
  return { coefficients, public: { identifier, commitment, proof: proofOfKnowledge } }
}

/**
 * Checks one participant's package by itself, so that the one at fault can be named.
 *
 * @param identifier - the one that the sender's label has.
 * @returns what is wrong, in words; undefined when nothing is.
 */
export function problemOfPackage(
  { commitment, proof, identifier: claimed }: DkgPackage,
  identifier: number,
  { t }: Threshold,
): string | undefined {
  if (claimed !== identifier) return `claims the identifier ${claimed}, expected ${identifier}`
  if (commitment.length !== t) {
    return `commits to a polynomial of degree ${commitment.length - 1}, expected ${t - 1}`
  }
  for (const [at, bytes] of commitment.entries()) {
    const point = element(bytes)
    if (point === undefined) return `commitment ${at + 1} is no ristretto255 element`
    // RFC 9591 section 3.1: the identity would fix this coefficient to zero, and lower the degree.
    if (point.is0()) return `commitment ${at + 1} is the identity element`
  }
  return provesKnowledge(identifier, commitment[0] as Uint8Array, proof)
    ? undefined
    : 'the proof of knowledge is wrong'
}

/** The sub-share for one receiver: the polynomial at its identifier, 32 bytes; the caller wipes it. */
export function subShareFor(coefficients: readonly Buffer[], receiver: number): Buffer {
  const x = BigInt(receiver)
  // Horner's rule, from the highest coefficient down.
  const value = coefficients.reduceRight(
    (sum, bytes) => Fn.add(Fn.mul(sum, x), Fn.fromBytes(bytes)),
    Fn.ZERO,
  )
  return bytesOfScalar(value)
}

/** Whether a sub-share lies on the polynomial that its sender has committed to. */
export function isSubShareOf(
  share: Uint8Array,
  receiver: number,
  commitment: readonly Uint8Array[],
  { t, n }: Threshold,
): boolean {
  try {
    frost.validateSecret(
      { identifier: frost.Identifier.fromNumber(receiver), signingShare: Uint8Array.from(share) },
      {
        signers: { min: t, max: n },
        commitments: commitment.map((point) => Uint8Array.from(point)),
        verifyingShares: {},
      },
    )
    return true
  } catch {
    return false
  }
}

/**
 * Adds everything up. All packages and sub-shares have been checked one by one before; the library
 * checks them again.
 *
 * @param packages - of all, by identifier - 1, this participant's own among them.
 * @param subShares - what the others dealt to this participant, by their identifiers.
 * @returns this participant's share, 32 bytes; the caller owns and wipes it.
 */
export function finishShare(
  own: Polynomial,
  packages: readonly DkgPackage[],
  subShares: ReadonlyMap<number, Uint8Array>,
  { t, n }: Threshold,
): Buffer {
  const mine = own.public.identifier
  const secret: DKG_Secret = {
    identifier: BigInt(mine),
    coefficients: own.coefficients.map((bytes) => Fn.fromBytes(bytes)),
    commitment: own.public.commitment.map((point) => Uint8Array.from(point)),
    signers: { min: t, max: n },
    step: 1,
  }
  const others = packages.filter(({ identifier }) => identifier !== mine).map(round1)
  try {
    const dealt = frost.DKG.round2(secret, others)
    const received = [...subShares].map(([identifier, share]) => ({
      identifier: frost.Identifier.fromNumber(identifier),
      signingShare: Uint8Array.from(share),
    }))
    const key = frost.DKG.round3(secret, others, received)
    for (const { signingShare } of [...Object.values(dealt), ...received]) signingShare.fill(0)
    agreesWith(groupKeyOf(packages, { t, n }), key.public)
    const share = secretCopy(key.secret.signingShare)
    key.secret.signingShare.fill(0)
    return share
  } finally {
    frost.DKG.clean(secret)
  }
}

/** The public half of the result, which needs no secret. */
export function groupKeyOf(packages: readonly DkgPackage[], { t }: Threshold): GroupKey {
  const group = Array.from({ length: t }, (_, at) =>
    packages.reduce(
      (sum, { commitment }) => sum.add(Point.fromBytes(commitment[at] as Uint8Array)),
      Point.ZERO,
    ),
  )
  const verifyingShares = packages.map((_, position) => verifyingShare(group, position).toBytes())
  return { group: group.map((point) => point.toBytes()), verifyingShares }
}

/** The library's answer and ours are the same, or one of the two has a defect. */
function agreesWith(
  ours: GroupKey,
  theirs: { readonly commitments: readonly Uint8Array[]; readonly verifyingShares: object },
): void {
  const shares = new Map<string, Uint8Array>(Object.entries(theirs.verifyingShares))
  const same =
    ours.group.every((point, at) => equal(point, theirs.commitments[at])) &&
    ours.verifyingShares.every((point, at) =>
      equal(point, shares.get(frost.Identifier.fromNumber(at + 1))),
    )
  if (!same) throw new McbnError('MCBN_INTERNAL', 'two computations of the group key differ')
}

function equal(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return other !== undefined && Buffer.compare(one, other) === 0
}

function round1({ identifier, commitment, proof }: DkgPackage): DKG_Round1 {
  return {
    identifier: frost.Identifier.fromNumber(identifier),
    commitment: commitment.map((point) => Uint8Array.from(point)),
    proofOfKnowledge: Uint8Array.from(proof),
  }
}

/**
 * R = z * G - c * phi with c = H("FROST-RISTRETTO255-SHA512-v1dkg" || identifier || phi || R). The library
 * checks this only for all others at once and says of nobody that it failed; finishShare asks it too.
 */
function provesKnowledge(identifier: number, phi: Uint8Array, proof: Uint8Array): boolean {
  const key = element(phi)
  const commitment = element(proof.subarray(0, 32))
  const z = scalar(proof.subarray(32))
  if (key === undefined || commitment === undefined || z === undefined) return false
  if (commitment.is0() || proof.length !== 64) return false
  const digest = createHash('sha512')
    .update('FROST-RISTRETTO255-SHA512-v1dkg')
    .update(Fn.toBytes(BigInt(identifier)))
    .update(phi)
    .update(proof.subarray(0, 32))
    .digest()
  const c = Fn.create(BigInt(`0x${Buffer.from(digest).reverse().toString('hex')}`))
  return commitment.equals(Point.BASE.multiplyUnsafe(z).subtract(key.multiplyUnsafe(c)))
}

/** Decoding refuses every text but the canonical one (RFC 9496 section 4.3.1). */
function element(bytes: Uint8Array): RistrettoPoint | undefined {
  try {
    return Point.fromBytes(Uint8Array.from(bytes))
  } catch {
    return undefined
  }
}

/** 32 bytes outside Node's shared pool, where a secret would linger, and nowhere else. */
function bytesOfScalar(value: bigint): Buffer {
  const bytes = Fn.toBytes(value)
  const out = secretCopy(bytes)
  bytes.fill(0)
  return out
}

function scalar(bytes: Uint8Array): bigint | undefined {
  try {
    return Fn.fromBytes(Uint8Array.from(bytes))
  } catch {
    return undefined
  }
}
