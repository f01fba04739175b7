// A participant alice with real keys, shares and signed descriptors of two epochs.

import {
  generateParticipantKeys,
  type ParticipantKeys,
  publicKeys,
} from '../../../src/consent/base/keys.js'
import { createDescriptor } from '../../../src/consent/descriptor/descriptor.js'
import { signDescriptor } from '../../../src/consent/descriptor/signed.js'
import type { SignedDescriptor } from '../../../src/consent/descriptor/types.js'
import { shareCommitment } from '../../../src/consent/shares/commitment.js'

export const alice = generateParticipantKeys()
const bob = generateParticipantKeys()
export const keyFile = Buffer.from(Array.from({ length: 32 }, (_, at) => 251 - at * 3))
export const lock = { keyFile } as const

/** Recognisable, so that a search finds them wherever they should not be. */
export function shareOf(label: string, epoch: number): Buffer {
  return Buffer.from(`the share of ${label} ${epoch}`.padEnd(32, '!'))
}

export function signed(
  epoch: number,
  { network = 'example', keys = alice }: { network?: string; keys?: ParticipantKeys } = {},
): SignedDescriptor {
  const people: [string, ParticipantKeys][] = [
    ['alice', keys],
    ['bob', bob],
  ]
  const descriptor = createDescriptor({
    network,
    epoch,
    mode: 'n-of-n',
    participants: people.map(([label, own]) => ({
      label,
      ...publicKeys(own),
      commitment: shareCommitment({
        network,
        epoch,
        label,
        share: shareOf(label, epoch),
      }).toString('base64url'),
    })),
    roles: {
      client: { id: 'client', images: [`sha256:${'c1'.repeat(32)}`] },
      server: { id: 'server', images: [`sha256:${'5e'.repeat(32)}`] },
    },
    validity: { notBefore: 0, notAfter: 4_000_000_000 },
  })
  const signatures = people.map(([label, own]) => [label, signDescriptor(descriptor, label, own)])
  return { descriptor, signatures: Object.fromEntries(signatures) as Record<string, string> }
}
