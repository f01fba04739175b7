import { ristretto255_FROST as frost } from '@noble/curves/ed25519.js'
import { describe, expect, it } from 'vitest'
import {
  type DkgPackage,
  finishShare,
  generatePolynomial,
  groupKeyOf,
  isSubShareOf,
  problemOfPackage,
  subShareFor,
} from '../../../src/consent/ceremony/dkg.js'

const THRESHOLD = { t: 3, n: 4 }
const polynomials = [1, 2, 3, 4].map((identifier) => generatePolynomial(identifier, THRESHOLD))
const packages = polynomials.map((polynomial) => polynomial.public)

describe('ceremony/dkg', () => {
  it.each<readonly [string, (right: DkgPackage) => DkgPackage]>([
    ['a right package', (right) => right],
    ['a lower degree', (right) => ({ ...right, commitment: right.commitment.slice(1) })],
    [
      'the identity',
      (right) => ({ ...right, commitment: [...right.commitment.slice(0, 2), new Uint8Array(32)] }),
    ],
    [
      'no element',
      (right) => ({
        ...right,
        commitment: [...right.commitment.slice(0, 2), new Uint8Array(32).fill(255)],
      }),
    ],
    ["another's proof", (right) => ({ ...right, proof: at(packages, 0).proof })],
    ['an altered R', (right) => ({ ...right, proof: flipped(right.proof, 0) })],
    ['an altered z', (right) => ({ ...right, proof: flipped(right.proof, 40) })],
    [
      'z beyond the order',
      (right) => ({
        ...right,
        proof: Uint8Array.from([...right.proof.slice(0, 32), ...new Array(32).fill(255)]),
      }),
    ],
    ['swapped commitments', (right) => ({ ...right, commitment: [...right.commitment].reverse() })],
  ])('judges %s as the library does, which names nobody', (what, alter) => {
    const altered = alter(at(packages, 3))
    const ours = problemOfPackage(altered, 4, THRESHOLD)
    expect(ours === undefined).toBe(what === 'a right package')
    expect(libraryTakes([at(packages, 1), at(packages, 2), altered])).toBe(ours === undefined)
  })

  it('deals the sub-shares that the library deals', () => {
    const made = frost.DKG.round1(frost.Identifier.fromNumber(1), { min: 3, max: 4 })
    const coefficients = (made.secret.coefficients ?? []).map((scalar) =>
      Buffer.from(frost.utils.Fn.toBytes(scalar)),
    )
    const dealt = frost.DKG.round2(made.secret, packages.slice(1).map(asRound1))
    for (const receiver of [2, 3, 4]) {
      const theirs = dealt[frost.Identifier.fromNumber(receiver)]?.signingShare
      expect(subShareFor(coefficients, receiver)).toEqual(Buffer.from(theirs ?? []))
    }
  })

  it('makes shares whose sum is behind the group key, at every participant alike', () => {
    const shares = polynomials.map((own) => {
      const me = own.public.identifier
      const received = polynomials
        .filter((other) => other !== own)
        .map((other) => [other.public.identifier, subShareFor(other.coefficients, me)] as const)
      return finishShare(own, packages, new Map(received), THRESHOLD)
    })
    const { group, verifyingShares } = groupKeyOf(packages, THRESHOLD)
    for (const [position, share] of shares.entries()) {
      expect(isSubShareOf(share, position + 1, group, THRESHOLD)).toBe(true)
      expect(isSubShareOf(share, position + 2, group, THRESHOLD)).toBe(false)
      const alone = [at(verifyingShares, position)]
      expect(isSubShareOf(share, 1, alone, { t: 2, n: 2 })).toBe(true)
    }
  })
})

function libraryTakes(others: readonly DkgPackage[]): boolean {
  const { secret } = frost.DKG.round1(frost.Identifier.fromNumber(1), { min: 3, max: 4 })
  try {
    frost.DKG.round2(secret, others.map(asRound1))
    return true
  } catch {
    return false
  }
}

function asRound1({ identifier, commitment, proof }: DkgPackage) {
  return {
    identifier: frost.Identifier.fromNumber(identifier),
    commitment: commitment.map((point) => Uint8Array.from(point)),
    proofOfKnowledge: Uint8Array.from(proof),
  }
}

function flipped(bytes: Uint8Array, position: number): Uint8Array {
  return bytes.map((byte, index) => (index === position ? byte ^ 1 : byte))
}

function at<Value>(list: readonly Value[], position: number): Value {
  const found = list[position]
  if (found === undefined) throw new Error(`nothing at ${position}`)
  return found
}
