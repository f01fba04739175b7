// From shares to the keys of a network: the last step before sockets, and the only place that holds all
// shares at once.

import { timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'
import { McbnError } from '../../errors.js'
import { derivePsk, expandKey, type KeyProtocol } from '../../psk/derive.js'
import { joinAndWipe, lengthPrefixed } from '../../psk/encoding.js'
import { hkdfExtract } from '../../psk/hkdf.js'
import { secretCopy } from '../../secret-bytes.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { NetworkProtocol } from '../descriptor/types.js'
import { checkReleasedShare, demandShape } from './check.js'
import { InvalidShareError } from './problem.js'
import { reconstructSecret } from './threshold.js'

/**
 * Checks the shares and derives the network's keys: one for each protocol of the descriptor, and the key
 * check value. n-of-n takes every participant's share, t-of-n exactly t of them.
 *
 * Copies and intermediate secrets are wiped, except what JavaScript cannot wipe: for t-of-n the integers
 * that interpolation computes with.
 *
 * @param shares - by label, 32 bytes each; borrowed, the caller wipes them.
 * @throws {InvalidShareError} `MCBN_SHARE_INVALID` with `participant` and `problem`. {@link McbnError}
 * `MCBN_SHARE_INVALID` for a stranger's label, or too few or too many shares.
 */
export function deriveNetworkKeys(
  verified: VerifiedDescriptor,
  shares: ReadonlyMap<string, Uint8Array>,
): NetworkKeys {
  const copies = new Map<string, Buffer>()
  try {
    for (const [label, share] of shares) {
      demandShape(verified, label, share)
      // Checked is the copy, which nobody can change between check and use.
      const copy = secretCopy(share)
      copies.set(label, copy)
      checkReleasedShare(verified, label, copy)
    }
    refuseDuplicates(verified, copies)
    demandCount(verified, copies)
    return verified.descriptor.mode === 'n-of-n'
      ? deriveAllOf(verified, copies)
      : deriveThreshold(verified, copies)
  } finally {
    for (const copy of copies.values()) copy.fill(0)
  }
}

/** The keys of one network and epoch. `util.inspect` and JSON show the key check value and no more. */
export class NetworkKeys {
  /**
   * Key check value: 64 lower-case hex digits that both workloads may log and compare. Equal values mean
   * equal keys; the keys do not follow from it.
   */
  readonly kcv: string
  readonly #keys: ReadonlyMap<NetworkProtocol, Buffer>
  #wiped = false

  /** @param keys - owned by this object from now on. */
  constructor(keys: ReadonlyMap<NetworkProtocol, Buffer>, kcv: string) {
    this.#keys = keys
    this.kcv = kcv
  }

  /**
   * The key of each protocol that the descriptor lists, 32 bytes; not copies: they are zero after
   * {@link wipe}.
   *
   * @throws {McbnError} `MCBN_CONSENT_ENDED` once wiped.
   */
  get keys(): Readonly<Partial<Record<NetworkProtocol, Buffer>>> {
    if (this.#wiped) {
      throw new McbnError('MCBN_CONSENT_ENDED', "the network's keys have been wiped")
    }
    return Object.fromEntries(this.#keys)
  }

  get wiped(): boolean {
    return this.#wiped
  }

  /** Overwrites the keys. A second call does nothing. */
  wipe(): void {
    this.#wiped = true
    for (const key of this.#keys.values()) key.fill(0)
  }

  toJSON(): { readonly kcv: string; readonly wiped: boolean } {
    return { kcv: this.kcv, wiped: this.#wiped }
  }

  [inspect.custom](): string {
    return `NetworkKeys { kcv: '${this.kcv}', ${this.#wiped ? 'wiped' : 'keys hidden'} }`
  }
}

/** Blames the later label: of two equal shares the descriptor's order knows no thief, only a second one. */
function refuseDuplicates(verified: VerifiedDescriptor, shares: ReadonlyMap<string, Buffer>): void {
  const labels = verified.descriptor.participants
    .map(({ label }) => label)
    .filter((label) => shares.has(label))
  for (const [at, label] of labels.entries()) {
    const share = shares.get(label)
    for (const earlier of labels.slice(0, at)) {
      const other = shares.get(earlier)
      if (share === undefined || other === undefined || !timingSafeEqual(share, other)) continue
      throw new InvalidShareError(
        label,
        'duplicate',
        `expected a share that no other participant has, got that of ${earlier}`,
      )
    }
  }
}

function demandCount(verified: VerifiedDescriptor, shares: ReadonlyMap<string, Buffer>): void {
  const { mode, t, participants } = verified.descriptor
  if (shares.size === t) return
  const missing = participants.map(({ label }) => label).filter((label) => !shares.has(label))
  const who = mode === 'n-of-n' ? `; missing: ${missing.join(', ')}` : ''
  throw new McbnError(
    'MCBN_SHARE_INVALID',
    `shares: expected those of exactly ${t} participants, got ${shares.size}${who}`,
  )
}

function deriveAllOf(
  verified: VerifiedDescriptor,
  shares: ReadonlyMap<string, Buffer>,
): NetworkKeys {
  const { network, epoch } = verified.descriptor
  const descriptorHash = verified.hash
  return collect(verified, (protocol) =>
    derivePsk(shares, { descriptorHash, network, epoch, protocol }),
  )
}

/** IKM, t-of-n: lp("mcbn/1 t-of-n") || lp(s). */
function deriveThreshold(
  verified: VerifiedDescriptor,
  shares: ReadonlyMap<string, Buffer>,
): NetworkKeys {
  const { network, epoch } = verified.descriptor
  const secret = reconstructSecret(verified, shares)
  const ikm = joinAndWipe([lengthPrefixed('mcbn/1 t-of-n'), lengthPrefixed(secret)])
  secret.fill(0)
  const prk = hkdfExtract('sha256', verified.hash, ikm)
  ikm.fill(0)
  try {
    return collect(verified, (protocol) => expandKey(prk, { network, epoch, protocol }))
  } finally {
    prk.fill(0)
  }
}

function collect(
  verified: VerifiedDescriptor,
  derive: (protocol: KeyProtocol) => Buffer,
): NetworkKeys {
  const keys = new Map<NetworkProtocol, Buffer>()
  for (const protocol of verified.descriptor.protocols) keys.set(protocol, derive(protocol))
  return new NetworkKeys(keys, derive('kcv').toString('hex'))
}
