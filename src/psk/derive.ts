// Shares become a key: the n-of-n derivation of mcbn/1, and the two original schemes, which bind the
// key to nothing but the shares and stay for interoperation only.

import { createHash, createHmac } from 'node:crypto'
import { types } from 'node:util'
import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { secretCopy } from '../secret-bytes.js'
import { FIELD_MAX_BYTES, joinAndWipe, lengthPrefixed, uint16, uint32 } from './encoding.js'
import { encodeHex } from './hex.js'
import { hkdfExpand, hkdfExtract } from './hkdf.js'
import { checkShares, LABEL, type Share, wipeShares } from './share.js'

/** The purposes that mcbn/1 makes separate keys for; `kcv` is the one that may be shown. */
export const KEY_PROTOCOLS = ['tls13', 'tls12', 'dtls12', 'dtls13', 'kcv'] as const
/** See {@link Mcbn1Options.protocol}. */
export type KeyProtocol = (typeof KEY_PROTOCOLS)[number]

/** The derivations, the default first. */
export const SCHEMES = ['mcbn/1', 'sha256-concat', 'hmac-chain'] as const
/** See {@link derivePsk}. */
export type Scheme = (typeof SCHEMES)[number]

/** What binds an mcbn/1 key to its network. */
export interface Mcbn1Options {
  /** @defaultValue 'mcbn/1' */
  readonly scheme?: 'mcbn/1'
  /** Hash of the descriptor that all participants signed, 32 bytes: the salt of HKDF-Extract. */
  readonly descriptorHash: Uint8Array
  /** The network's name: well-formed Unicode in normal form C, 1 to 65,535 bytes of UTF-8. */
  readonly network: string
  /** The epoch of the shares, 0 to 4,294,967,295. */
  readonly epoch: number
  /**
   * What the key is for; each protocol has its own key. `kcv` gives the key check value, which may be
   * logged and compared, and must never be used as a key.
   */
  readonly protocol: KeyProtocol
}

const MCBN1_OPTIONS = {
  scheme: 'mcbn/1',
  descriptorHash: undefined,
  network: undefined,
  epoch: undefined,
  protocol: undefined,
} as const satisfies OptionTable<Mcbn1Options>

/** The original derivations: no network, no epoch, no protocol, and the order of shares matters. */
export interface OriginalSchemeOptions {
  /** See {@link derivePsk}; never the default. */
  readonly scheme: 'sha256-concat' | 'hmac-chain'
}

/**
 * Shares by participant label, 1 to 63 of `a-z 0-9 . _ -` with a letter or digit first; the order does not
 * matter.
 */
export type LabelledShares = Readonly<Record<string, Share>> | ReadonlyMap<string, Share>

/**
 * Derives a pre-shared key from the shares of all participants.
 *
 * - `mcbn/1` (default): HKDF-SHA256 (RFC 5869) over all labels and shares, salted with the
 *   descriptor's hash and expanded for network, epoch and protocol.
 * - `sha256-concat`: SHA-256 over the shares' hex text, one after the other.
 * - `hmac-chain`: HMAC-SHA256 keyed with the second share's hex text over the first one's; the
 *   result's hex text keyed with the third, and so on.
 *
 * Shares are borrowed and never modified; copies and intermediate secrets are wiped (OpenSSL's own
 * copies excepted, and strings, which JavaScript cannot wipe: prefer bytes).
 *
 * @param shares - for mcbn/1 by label, else in order; each 32 bytes or 64 lower-case hex digits.
 * @returns 32 fresh bytes; the caller owns and wipes them.
 * @throws {McbnError} `MCBN_SHARE_INVALID` with `participant` (the label, or `participant 2` by position):
 * fewer than two shares, wrong length, all bytes equal, a duplicate, text that is not canonical hex, a
 * label that is not canonical. `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` or `MCBN_OPTION_CONFLICT` for
 * the options.
 */
export function derivePsk(shares: LabelledShares, options: Mcbn1Options): Buffer
export function derivePsk(shares: readonly Share[], options: OriginalSchemeOptions): Buffer
export function derivePsk(
  shares: LabelledShares | readonly Share[],
  options: Mcbn1Options | OriginalSchemeOptions,
): Buffer {
  if (typeof options !== 'object' || options === null) {
    throw new McbnError('MCBN_OPTION_TYPE', `options: expected an object, got ${typeof options}`)
  }
  refuseUnknown('derivePsk', options, MCBN1_OPTIONS)
  if (options.scheme === undefined || options.scheme === 'mcbn/1') {
    return deriveMcbn1(labelled(shares), options)
  }
  if (options.scheme === 'sha256-concat' || options.scheme === 'hmac-chain') {
    refuseDescriptor(options)
    return deriveOriginal(ordered(shares, options.scheme), options.scheme)
  }
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `scheme: expected ${SCHEMES.join(', ')}, got ${String(options.scheme)}`,
  )
}

function deriveMcbn1(shares: readonly (readonly [string, Share])[], options: Mcbn1Options): Buffer {
  const salt = descriptorHash(options.descriptorHash)
  const network = networkName(options.network)
  const epoch = epochNumber(options.epoch)
  const protocol = keyProtocol(options.protocol)
  const ikm = inputKeyingMaterial(shares)
  const prk = hkdfExtract('sha256', salt, ikm)
  ikm.fill(0)
  try {
    return expandKey(prk, { network, epoch, protocol })
  } finally {
    prk.fill(0)
  }
}

/**
 * key(p), the same for n-of-n and t-of-n: HKDF-Expand(PRK, lp("mcbn/1 key") || lp(network) || u32(epoch) || lp(p), 32).
 *
 * @param prk - borrowed.
 * @returns 32 fresh bytes; the caller owns and wipes them.
 */
export function expandKey(
  prk: Uint8Array,
  { network, epoch, protocol }: Pick<Mcbn1Options, 'network' | 'epoch' | 'protocol'>,
): Buffer {
  const info = Buffer.concat([
    lengthPrefixed('mcbn/1 key'),
    lengthPrefixed(network),
    uint32(epoch),
    lengthPrefixed(protocol),
  ])
  return hkdfExpand('sha256', prk, info, 32)
}

/** IKM, n-of-n: lp("mcbn/1 n-of-n") || u16(n) || for each label in order: lp(label) || lp(share). */
function inputKeyingMaterial(shares: readonly (readonly [string, Share])[]): Buffer {
  const checked = checkShares(shares)
  try {
    return joinAndWipe([
      lengthPrefixed('mcbn/1 n-of-n'),
      uint16(checked.length),
      ...checked.flatMap(({ participant, bytes }) => [
        lengthPrefixed(participant),
        lengthPrefixed(bytes),
      ]),
    ])
  } finally {
    wipeShares(checked)
  }
}

function deriveOriginal(
  shares: readonly (readonly [string, Share])[],
  scheme: OriginalSchemeOptions['scheme'],
): Buffer {
  const checked = checkShares(shares)
  const texts = checked.map(({ bytes }) => encodeHex(bytes))
  wipeShares(checked)
  try {
    return scheme === 'sha256-concat' ? sha256Concat(texts) : hmacChain(texts)
  } finally {
    for (const text of texts) text.fill(0)
  }
}

function sha256Concat(texts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(text)
  return hash.digest()
}

function hmacChain([first, ...keys]: readonly Buffer[]): Buffer {
  let message: Buffer = secretCopy(first ?? [])
  let mac: Buffer = Buffer.alloc(0)
  for (const key of keys) {
    mac.fill(0) // the link before; its text is all that the next one needs
    mac = createHmac('sha256', key).update(message).digest()
    message.fill(0)
    message = encodeHex(mac)
  }
  message.fill(0)
  return mac
}

/** Entries sorted bytewise: labels are ASCII, where code unit order is byte order. */
function labelled(shares: LabelledShares | readonly Share[]): (readonly [string, Share])[] {
  if (typeof shares !== 'object' || shares === null || Array.isArray(shares)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `shares: expected label -> share for mcbn/1, got ${Array.isArray(shares) ? 'a list' : typeof shares}`,
    )
  }
  const entries = shares instanceof Map ? [...shares] : Object.entries(shares)
  if (entries.length > FIELD_MAX_BYTES) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `shares: expected at most ${FIELD_MAX_BYTES} participants, got ${entries.length}`,
    )
  }
  for (const [label] of entries) checkLabel(label)
  return entries.sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Entries named by position, since the original schemes have no labels. */
function ordered(
  shares: LabelledShares | readonly Share[],
  scheme: Scheme,
): (readonly [string, Share])[] {
  if (!Array.isArray(shares)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `shares: expected a list in order for ${scheme}, got ${typeof shares}`,
    )
  }
  return shares.map((share, at) => [`participant ${at + 1}`, share] as const)
}

function checkLabel(label: unknown): void {
  if (typeof label === 'string' && LABEL.test(label)) return
  const shown = JSON.stringify(label)?.slice(0, 80)
  throw new McbnError(
    'MCBN_SHARE_INVALID',
    `label ${shown}: expected 1 to 63 of a-z, 0-9, '.', '_', '-', starting with a letter or digit`,
    { participant: String(label).slice(0, 80) },
  )
}

/** The original schemes bind to nothing, so nobody may believe that a descriptor protects them. */
function refuseDescriptor(options: OriginalSchemeOptions): void {
  const binding: { readonly [name in keyof Mcbn1Options]?: unknown } = options
  for (const name of ['descriptorHash', 'network', 'epoch', 'protocol'] as const) {
    if (binding[name] === undefined) continue
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `${name}: the scheme ${options.scheme} binds the key to none; drop it or use mcbn/1`,
    )
  }
}

function descriptorHash(value: Uint8Array): Uint8Array {
  if (!types.isUint8Array(value)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `descriptorHash: expected 32 bytes as Uint8Array, got ${typeof value}`,
    )
  }
  if (value.length === 32) return value
  throw new McbnError('MCBN_OPTION_RANGE', `descriptorHash: expected 32 bytes, got ${value.length}`)
}

function networkName(value: string): string {
  if (typeof value !== 'string') {
    throw new McbnError('MCBN_OPTION_TYPE', `network: expected a string, got ${typeof value}`)
  }
  const bytes = Buffer.byteLength(value, 'utf8')
  if (bytes < 1 || bytes > FIELD_MAX_BYTES) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `network: expected 1 to ${FIELD_MAX_BYTES} bytes, got ${bytes}`,
    )
  }
  // Two spellings that look alike would give two keys, and nobody could see why.
  if (/\p{Surrogate}/u.test(value) || value.normalize('NFC') !== value) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      'network: expected well-formed Unicode in normal form C; pass name.normalize("NFC")',
    )
  }
  return value
}

function epochNumber(value: number): number {
  if (typeof value !== 'number') {
    throw new McbnError('MCBN_OPTION_TYPE', `epoch: expected a number, got ${typeof value}`)
  }
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return value
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `epoch: expected an integer from 0 to 4294967295, got ${value}`,
  )
}

function keyProtocol(value: KeyProtocol): KeyProtocol {
  if (KEY_PROTOCOLS.includes(value)) return value
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `protocol: expected ${KEY_PROTOCOLS.join(', ')}, got ${String(value)}`,
  )
}
