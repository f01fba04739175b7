// A network for tests: participants with fresh keys and shares, and the descriptor they have all signed.

import { randomBytes } from 'node:crypto'
import { ristretto255_FROST } from '@noble/curves/ed25519.js'
import {
  generateParticipantKeys,
  type ParticipantKeys,
  publicKeys,
} from '../../src/consent/base/keys.js'
import type { DescriptorFields } from '../../src/consent/descriptor/descriptor.js'
import { createDescriptor } from '../../src/consent/descriptor/descriptor.js'
import {
  addSignature,
  signDescriptor,
  type VerifiedDescriptor,
  verifySignedDescriptor,
} from '../../src/consent/descriptor/signed.js'
import type { Descriptor, SignedDescriptor } from '../../src/consent/descriptor/types.js'
import { shareCommitment } from '../../src/consent/shares/commitment.js'

export interface TestNetwork {
  readonly verified: VerifiedDescriptor
  readonly signed: SignedDescriptor
  readonly descriptor: Descriptor
  /** By label. */
  readonly keys: ReadonlyMap<string, ParticipantKeys>
  /** By label, 32 bytes. */
  readonly shares: ReadonlyMap<string, Buffer>
}

export interface TestNetworkOptions {
  readonly labels?: readonly string[]
  /** t-of-n with this t, from a dealer; absent: n-of-n. */
  readonly t?: number
  /** n-of-n: shares instead of random ones. */
  readonly shares?: ReadonlyMap<string, Uint8Array>
  readonly keys?: ReadonlyMap<string, ParticipantKeys>
  /** Anything of the descriptor but what follows from the above. */
  readonly fields?: Partial<DescriptorFields>
}

export const CLIENT_IMAGE = `sha256:${'c1'.repeat(32)}`
export const SERVER_IMAGE = `sha256:${'5e'.repeat(32)}`

/** Valid from 2020 to 2100, unless `fields` say otherwise. */
export function testNetwork(options: TestNetworkOptions = {}): TestNetwork {
  const labels = [...(options.labels ?? ['alice', 'bob', 'carol'])].sort()
  const keys = new Map(
    labels.map((label) => [label, options.keys?.get(label) ?? generateParticipantKeys()]),
  )
  const network = options.fields?.network ?? 'test network'
  const epoch = options.fields?.epoch ?? 1
  const material =
    options.t === undefined
      ? allOf(labels, network, epoch, options.shares)
      : threshold(labels, options.t)
  const descriptor = createDescriptor({
    network,
    epoch,
    mode: options.t === undefined ? 'n-of-n' : 't-of-n',
    ...(options.t !== undefined && { t: options.t, group: material.group }),
    participants: labels.map((label) => ({
      label,
      ...publicKeys(need(keys, label)),
      commitment: need(material.commitments, label).toString('base64url'),
    })),
    roles: {
      client: { id: 'client.test', images: [CLIENT_IMAGE] },
      server: { id: 'server.test', images: [SERVER_IMAGE] },
    },
    validity: { notBefore: 1_577_836_800, notAfter: 4_102_444_800 },
    ...options.fields,
  })
  const signed = signByAll(descriptor, keys)
  return {
    verified: verifySignedDescriptor(signed),
    signed,
    descriptor,
    keys,
    shares: material.shares,
  }
}

/** Everybody's signature. */
export function signByAll(
  descriptor: Descriptor,
  keys: ReadonlyMap<string, ParticipantKeys>,
): SignedDescriptor {
  let signed: SignedDescriptor = { descriptor, signatures: {} }
  for (const { label } of descriptor.participants) {
    signed = addSignature(signed, label, signDescriptor(descriptor, label, need(keys, label)))
  }
  return signed
}

/** The value of a key that must be there. */
export function need<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): Value {
  const value = map.get(key)
  if (value === undefined) throw new Error(`nothing under ${String(key)}`)
  return value
}

interface Material {
  readonly shares: ReadonlyMap<string, Buffer>
  readonly commitments: ReadonlyMap<string, Buffer>
  readonly group: readonly string[]
}

function allOf(
  labels: readonly string[],
  network: string,
  epoch: number,
  given: ReadonlyMap<string, Uint8Array> | undefined,
): Material {
  const shares = new Map(
    labels.map((label) => [label, Buffer.from(given?.get(label) ?? randomBytes(32))]),
  )
  const commitments = new Map(
    [...shares].map(([label, share]) => [label, shareCommitment({ network, epoch, label, share })]),
  )
  return { shares, commitments, group: [] }
}

/** A dealer knows everything, which is why only tests have one. */
function threshold(labels: readonly string[], t: number): Material {
  const dealt = ristretto255_FROST.trustedDealer({ min: t, max: labels.length })
  const identifiers = labels.map((label, at) => ({
    label,
    id: ristretto255_FROST.Identifier.fromNumber(at + 1),
  }))
  return {
    shares: new Map(
      identifiers.map(({ label, id }) => [
        label,
        Buffer.from(dealt.secretShares[id]?.signingShare ?? []),
      ]),
    ),
    commitments: new Map(
      identifiers.map(({ label, id }) => [
        label,
        Buffer.from(dealt.public.verifyingShares[id] ?? []),
      ]),
    ),
    group: dealt.public.commitments.map((point) => Buffer.from(point).toString('base64url')),
  }
}
