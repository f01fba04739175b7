// A descriptor with everybody's signature. Only what verifySignedDescriptor returns may be worked with:
// the rest of the code asks for a VerifiedDescriptor, and nothing else makes one.

import { timingSafeEqual } from 'node:crypto'
import { types } from 'node:util'
import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { LABEL } from '../../psk/share.js'
import {
  type ParticipantKeys,
  publicKeys,
  SIGNATURE_BYTES,
  sign,
  verifySignature,
} from '../base/keys.js'
import { readJson, Untrusted } from '../base/untrusted.js'
import {
  DESCRIPTOR_MAX_BYTES,
  descriptorHash,
  PARTICIPANTS_MAX,
  parseDescriptor,
} from './descriptor.js'
import { connectionIdentity } from './identity.js'
import type { Descriptor, DescriptorParticipant, SignedDescriptor } from './types.js'

const PURPOSE = 'mcbn/1 sign descriptor'
const CODE = 'MCBN_DESCRIPTOR_INVALID'

/**
 * One participant's signature: Ed25519 over lp("mcbn/1 sign descriptor") || dh.
 *
 * @param label - who signs; the descriptor must list the keys under it.
 * @returns base64url, 64 bytes.
 * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID` with `participant` when the keys are not those listed.
 */
export function signDescriptor(
  descriptor: Descriptor,
  label: string,
  keys: ParticipantKeys,
): string {
  const own = publicKeys(keys)
  const listed = descriptor.participants.find((participant) => participant.label === label)
  if (listed === undefined) {
    throw invalid(label, 'expected one of the participants, got nobody of this label')
  }
  if (listed.ed25519 !== own.ed25519 || listed.x25519 !== own.x25519) {
    throw invalid(label, 'expected the keys that the descriptor lists, got others')
  }
  return sign(keys.ed25519, PURPOSE, descriptorHash(descriptor)).toString('base64url')
}

/**
 * Adds one participant's signature, once it verifies.
 *
 * @returns a new document; the one given stays as it is.
 * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID` with `participant` for a stranger or a bad signature.
 */
export function addSignature(
  signed: SignedDescriptor,
  label: string,
  signature: string,
): SignedDescriptor {
  const { descriptor, signatures } = signed
  demandSignature(descriptor, descriptorHash(descriptor), label, signature)
  const entries = Object.entries(signatures).filter(([other]) => other !== label)
  return { descriptor, signatures: sortedRecord([...entries, [label, signature]]) }
}

/**
 * Reads the JSON file of a descriptor and its signatures: shape and sizes, every rule of descriptors, but
 * not the signatures. It need not be canonical, and signatures may still be missing.
 *
 * @param source - text or UTF-8 bytes of at most 256 KiB, or what JSON.parse made of them.
 * @returns fresh objects.
 * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID` naming the field.
 */
export function parseSignedDescriptor(source: unknown): SignedDescriptor {
  const value =
    typeof source === 'string' || types.isUint8Array(source)
      ? readJson(source, DESCRIPTOR_MAX_BYTES, 'signed descriptor', CODE)
      : source
  const fields = new Untrusted(value, 'signed descriptor', CODE).fields([
    'descriptor',
    'signatures',
  ])
  const descriptor = parseDescriptor(fields.descriptor.value)
  const signatures = fields.signatures.entries(PARTICIPANTS_MAX).map(([label, signature]) => {
    if (!LABEL.test(label)) signature.refuse('a label of a participant', 'another name')
    return [label, signature.base64url(SIGNATURE_BYTES)] as const
  })
  return Object.freeze({ descriptor, signatures: sortedRecord(signatures) })
}

/** What {@link verifySignedDescriptor} can be told to expect. */
export interface VerifyDescriptorOptions {
  /** The pinned hash, 32 bytes: only this very document will do. */
  readonly descriptorHash?: Uint8Array
}

const VERIFY_OPTIONS = {
  descriptorHash: undefined,
} as const satisfies OptionTable<VerifyDescriptorOptions>

/**
 * Verifies that every participant has signed exactly this descriptor, and nobody else. Takes what
 * {@link parseSignedDescriptor} takes, and reads it again.
 *
 * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID` naming the field, or with `participant` whose signature is
 * missing or bad; `MCBN_OPTION_RANGE` for a pinned hash that is not 32 bytes.
 */
export function verifySignedDescriptor(
  source: unknown,
  options: VerifyDescriptorOptions = {},
): VerifiedDescriptor {
  refuseUnknown('verifySignedDescriptor', options, VERIFY_OPTIONS)
  const signed = parseSignedDescriptor(source)
  const { descriptor, signatures } = signed
  const hash = descriptorHash(descriptor)
  demandPinned(hash, options.descriptorHash)
  for (const { label } of descriptor.participants) {
    const signature = Object.hasOwn(signatures, label) ? signatures[label] : undefined
    demandSignature(descriptor, hash, label, signature)
  }
  for (const label of Object.keys(signatures)) {
    if (descriptor.participants.some((participant) => participant.label === label)) continue
    throw invalid(label, 'expected signatures of participants only, got one of somebody else')
  }
  return new VerifiedDescriptor(SIGNATURES_VERIFIED, signed, hash)
}

/** Only this module has it, so only this module can make a {@link VerifiedDescriptor}. */
const SIGNATURES_VERIFIED = Symbol('signatures verified')

/** A descriptor that all its participants have signed; frozen. See {@link verifySignedDescriptor}. */
export class VerifiedDescriptor {
  readonly descriptor: Descriptor
  /** With the signatures, as it can be handed on. */
  readonly signed: SignedDescriptor
  /** dh in lower-case hex: what people compare and policies pin. */
  readonly hashHex: string
  /** The PSK identity of this network's connections, see {@link connectionIdentity}. */
  readonly identity: string
  readonly #hash: Buffer

  /** @internal */
  constructor(proof: typeof SIGNATURES_VERIFIED, signed: SignedDescriptor, hash: Buffer) {
    if (proof !== SIGNATURES_VERIFIED) {
      throw new McbnError('MCBN_OPTION_TYPE', 'expected verifySignedDescriptor to be called')
    }
    const { client, server } = signed.descriptor.roles
    this.signed = signed
    this.descriptor = signed.descriptor
    this.#hash = hash
    this.hashHex = hash.toString('hex')
    this.identity = connectionIdentity(hash, client.id, server.id)
    Object.freeze(this)
  }

  /** dh, 32 bytes; a copy. */
  get hash(): Buffer {
    return Buffer.from(this.#hash)
  }

  /** The participant of this label; `undefined` for a stranger. */
  participant(label: string): DescriptorParticipant | undefined {
    return this.descriptor.participants.find((participant) => participant.label === label)
  }

  /** The participant's place among the sorted labels, from 0; -1 for a stranger. */
  position(label: string): number {
    return this.descriptor.participants.findIndex((participant) => participant.label === label)
  }
}

function demandPinned(hash: Buffer, pinned: Uint8Array | undefined): void {
  if (pinned === undefined) return
  if (!types.isUint8Array(pinned) || pinned.length !== hash.length) {
    const got = types.isUint8Array(pinned) ? `${pinned.length}` : typeof pinned
    throw new McbnError('MCBN_OPTION_RANGE', `descriptorHash: expected 32 bytes, got ${got}`)
  }
  if (timingSafeEqual(hash, pinned)) return
  const expected = Buffer.from(pinned).toString('hex')
  throw new McbnError(CODE, `descriptor: expected hash ${expected}, got ${hash.toString('hex')}`)
}

function demandSignature(
  descriptor: Descriptor,
  hash: Buffer,
  label: string,
  signature: string | undefined,
): void {
  const participant = descriptor.participants.find((candidate) => candidate.label === label)
  if (participant === undefined) {
    throw invalid(label, 'expected one of the participants, got nobody of this label')
  }
  if (signature === undefined) throw invalid(label, 'expected a signature, got none')
  if (verifySignature(participant.ed25519, PURPOSE, [hash], signature)) return
  throw invalid(label, 'expected a signature over exactly this descriptor, got another one')
}

/** Own properties whatever the labels are: `constructor` is one that somebody can have. */
function sortedRecord(
  entries: readonly (readonly [string, string])[],
): Readonly<Record<string, string>> {
  return Object.freeze(Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1))))
}

function invalid(label: string, problem: string): McbnError {
  const shown = label.slice(0, 63)
  return new McbnError(CODE, `descriptor, ${shown}: ${problem}`, { participant: shown })
}
