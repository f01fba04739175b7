// Making, reading and hashing descriptors. There is one way in: whatever a descriptor comes from, each
// field passes the same checks and ends in a fresh frozen object.

import { createHash } from 'node:crypto'
import { types } from 'node:util'
import { McbnError } from '../../errors.js'
import { lengthPrefixed } from '../../psk/encoding.js'
import { LABEL } from '../../psk/share.js'
import { fromBase64url } from '../base/base64url.js'
import { canonicalBytes, NotCanonical, parseCanonical } from '../base/canonical.js'
import { isEd25519PublicKey, isX25519PublicKey, KEY_BYTES } from '../base/keys.js'
import { Untrusted } from '../base/untrusted.js'
import { decodeElement, type GroupElement, verifyingShare } from './group.js'
import {
  type Descriptor,
  type DescriptorParticipant,
  type DescriptorRole,
  NETWORK_PROTOCOLS,
  type NetworkProtocol,
} from './types.js'

/** Largest file of a signed descriptor, and largest descriptor, in bytes. */
export const DESCRIPTOR_MAX_BYTES = 256 * 1024
/** Fewest and most participants of a network. */
export const PARTICIPANTS_MIN = 2
export const PARTICIPANTS_MAX = 64
/** Most image digests of one role. */
export const IMAGES_MAX = 256
/** The last second of the year 9999: later times have no four-digit year. */
const LATEST_TIME = 253_402_300_799
const EPOCH_MAX = 0xffff_ffff
/** Bytes of a network's name and of a role's public name. */
const NAME_MAX_BYTES = 255

/** What {@link createDescriptor} takes: a descriptor whose order and obvious parts it fills in. */
export interface DescriptorFields
  extends Omit<Descriptor, 'version' | 't' | 'participants' | 'protocols'> {
  /** @defaultValue the number of participants for n-of-n; t-of-n has to say it. */
  readonly t?: number
  /** In any order. */
  readonly participants: readonly DescriptorParticipant[]
  /** In any order. @defaultValue all */
  readonly protocols?: readonly NetworkProtocol[]
}

/**
 * Makes a descriptor: sorts what has an order, then checks everything.
 *
 * @returns a frozen descriptor.
 * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID` naming the field; with `participant` where it is one's.
 */
export function createDescriptor(fields: DescriptorFields): Descriptor {
  const { participants, protocols = NETWORK_PROTOCOLS } = fields
  // Sorting must not fail on what the checks below will refuse with a better message.
  const sorted = Array.isArray(participants)
    ? [...participants].sort((a, b) => (`${a?.label}` < `${b?.label}` ? -1 : 1))
    : []
  const ordered = Array.isArray(protocols)
    ? [...protocols].sort((a, b) => NETWORK_PROTOCOLS.indexOf(a) - NETWORK_PROTOCOLS.indexOf(b))
    : protocols
  return check({
    version: 'mcbn/1',
    network: fields.network,
    epoch: fields.epoch,
    mode: fields.mode,
    t: fields.t ?? (fields.mode === 'n-of-n' ? sorted.length : undefined),
    participants: sorted,
    ...(fields.group !== undefined && { group: fields.group }),
    roles: fields.roles,
    protocols: ordered,
    validity: fields.validity,
  })
}

/**
 * Reads a descriptor: bytes must be its canonical form (RFC 8785), an object is one that JSON.parse gave.
 * Nothing is sorted or filled in.
 *
 * @returns a fresh frozen descriptor.
 * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID` naming the field; with `participant` where it is one's.
 */
export function parseDescriptor(source: unknown): Descriptor {
  return check(types.isUint8Array(source) ? parseBytes(source) : source)
}

/** D: the canonical bytes that are hashed. */
export function descriptorBytes(descriptor: Descriptor): Buffer {
  return canonicalBytes(descriptor)
}

/** dh = SHA-256(lp("mcbn/1 descriptor") || D), 32 bytes. */
export function descriptorHash(descriptor: Descriptor): Buffer {
  return createHash('sha256')
    .update(lengthPrefixed('mcbn/1 descriptor'))
    .update(descriptorBytes(descriptor))
    .digest()
}

function parseBytes(bytes: Uint8Array): unknown {
  if (bytes.length > DESCRIPTOR_MAX_BYTES) {
    throw invalid(`expected at most ${DESCRIPTOR_MAX_BYTES} bytes, got ${bytes.length}`)
  }
  try {
    return parseCanonical(bytes)
  } catch (error) {
    if (!(error instanceof NotCanonical)) throw error
    throw invalid(error.message)
  }
}

function check(source: unknown): Descriptor {
  const fields = new Untrusted(source, 'descriptor', 'MCBN_DESCRIPTOR_INVALID').fields(
    ['version', 'network', 'epoch', 'mode', 't', 'participants', 'roles', 'protocols', 'validity'],
    ['group'],
  )
  const mode = fields.mode.oneOf(['n-of-n', 't-of-n'])
  const participants = checkParticipants(
    fields.participants.list(PARTICIPANTS_MIN, PARTICIPANTS_MAX),
  )
  const n = participants.length
  const t = mode === 'n-of-n' ? fields.t.integer(n, n) : fields.t.integer(2, n)
  if (mode === 'n-of-n') fields.group?.refuse('none, since n-of-n has no polynomial')
  if (mode === 't-of-n' && fields.group === undefined) {
    throw invalid('group: expected the commitments of the joint polynomial, got none')
  }
  const group = fields.group?.list(t, t).map(checkElement)
  if (group !== undefined) checkVerifyingShares(participants, group)
  return deepFreeze({
    version: fields.version.oneOf(['mcbn/1']),
    network: fields.network.name(NAME_MAX_BYTES),
    epoch: fields.epoch.integer(0, EPOCH_MAX),
    mode,
    t,
    participants,
    ...(group !== undefined && { group: group.map(({ text }) => text) }),
    roles: checkRoles(fields.roles),
    protocols: checkProtocols(fields.protocols),
    validity: checkValidity(fields.validity),
  })
}

function checkParticipants(list: readonly Untrusted[]): DescriptorParticipant[] {
  const participants: DescriptorParticipant[] = []
  for (const item of list) {
    const fields = item.fields(['label', 'ed25519', 'x25519', 'commitment'])
    const label = fields.label.text(
      LABEL,
      'a label: 1 to 63 of a-z, 0-9, ., _, -, a letter or digit first',
    )
    const before = participants.at(-1)
    if (before !== undefined && before.label >= label) {
      item.refuse('labels that are sorted bytewise and unique', `${label} after ${before.label}`)
    }
    const ed25519 = publicKey(fields.ed25519, 'Ed25519', isEd25519PublicKey, label)
    const x25519 = publicKey(fields.x25519, 'X25519', isX25519PublicKey, label)
    const participant = { label, ed25519, x25519, commitment: fields.commitment.base64url(32) }
    for (const field of ['ed25519', 'x25519', 'commitment'] as const) {
      const other = participants.find((candidate) => candidate[field] === participant[field])
      if (other === undefined) continue
      fields[field].refuse(`one of ${label}'s own`, `that of ${other.label}`, label)
    }
    participants.push(participant)
  }
  return participants
}

function publicKey(
  field: Untrusted,
  name: string,
  valid: (bytes: Uint8Array) => boolean,
  label: string,
): string {
  const text = field.base64url(KEY_BYTES)
  const bytes = fromBase64url(text, KEY_BYTES)
  if (bytes !== undefined && valid(bytes)) return text
  return field.refuse(`a canonical ${name} public key not of low order`, 'another one', label)
}

interface Commitment {
  readonly text: string
  readonly element: GroupElement
}

function checkElement(field: Untrusted): Commitment {
  const text = field.base64url(32)
  const element = decodeElement(text)
  if (element === undefined) {
    field.refuse('a ristretto255 element that is not the identity', 'other bytes')
  }
  return { text, element }
}

/** The document's author must not be able to list a verifying share other than the group's. */
function checkVerifyingShares(
  participants: readonly DescriptorParticipant[],
  group: readonly Commitment[],
): void {
  const elements = group.map(({ element }) => element)
  for (const [position, { label, commitment }] of participants.entries()) {
    if (decodeElement(commitment)?.equals(verifyingShare(elements, position))) continue
    throw invalid(
      `participants[${position}].commitment: expected the group's verifying share at ${position + 1}, got another one`,
      label,
    )
  }
}

function checkRoles(field: Untrusted): Descriptor['roles'] {
  const { client, server } = field.fields(['client', 'server'])
  const roles = { client: checkRole(client), server: checkRole(server) }
  if (roles.client.id === roles.server.id) {
    server.refuse("an id other than the client's", 'the same one')
  }
  return roles
}

function checkRole(field: Untrusted): DescriptorRole {
  const { id, images } = field.fields(['id', 'images'])
  const digests = images
    .list(1, IMAGES_MAX)
    .map((image) =>
      image.text(/^sha256:[0-9a-f]{64}$/, 'an image digest: sha256: and 64 lower-case hex digits'),
    )
  if (new Set(digests).size !== digests.length) images.refuse('unique digests', 'one of them twice')
  return { id: id.name(NAME_MAX_BYTES), images: digests }
}

function checkProtocols(field: Untrusted): NetworkProtocol[] {
  const protocols = field
    .list(1, NETWORK_PROTOCOLS.length)
    .map((item) => item.oneOf(NETWORK_PROTOCOLS))
  const sorted = NETWORK_PROTOCOLS.filter((protocol) => protocols.includes(protocol))
  if (sorted.join() !== protocols.join()) {
    field.refuse(
      `some of ${NETWORK_PROTOCOLS.join(', ')}, each once, in this order`,
      'another list',
    )
  }
  return protocols
}

function checkValidity(field: Untrusted): Descriptor['validity'] {
  const fields = field.fields(['notBefore', 'notAfter'])
  const notBefore = fields.notBefore.integer(0, LATEST_TIME)
  const notAfter = fields.notAfter.integer(0, LATEST_TIME)
  if (notBefore >= notAfter) {
    fields.notAfter.refuse(`a time after notBefore, ${notBefore}`)
  }
  return { notBefore, notAfter }
}

function deepFreeze<Value extends object>(value: Value): Value {
  for (const item of Object.values(value)) {
    if (typeof item === 'object' && item !== null) deepFreeze(item)
  }
  return Object.freeze(value)
}

function invalid(problem: string, participant?: string): McbnError {
  return new McbnError('MCBN_DESCRIPTOR_INVALID', `descriptor: ${problem}`, { participant })
}
