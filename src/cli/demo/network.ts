// The network that the demonstration makes up: who takes part, and what binds their shares together.

import { createHash } from 'node:crypto'
import { lengthPrefixed } from '../../psk/encoding.js'

/** Who holds a share, in any order. */
export const PARTICIPANTS = ['alice', 'bob', 'carol'] as const
export type Participant = (typeof PARTICIPANTS)[number]

/** What all participants agree on; public. It travels to the workloads as it is. */
export interface DemoNetwork {
  readonly network: string
  readonly epoch: number
  /** Labels of those whose shares are all needed. */
  readonly participants: readonly string[]
  /** SHA-256 over the descriptor, 32 bytes. */
  readonly descriptorHash: Uint8Array
  /** The client's name on the wire: opaque, no participant or role can be read from it. */
  readonly identity: string
}

/** A network for one run: its descriptor names the parties and the roles, not yet their signatures. */
export function demoNetwork(): DemoNetwork {
  const terms = { network: 'mcbn-demo', epoch: 1, participants: [...PARTICIPANTS] }
  const descriptor = JSON.stringify({
    ...terms,
    mode: 'n-of-n',
    protocols: ['dtls12', 'tls13'],
    roles: ['client', 'server'],
  })
  const descriptorHash = sha256(lengthPrefixed('mcbn/1 descriptor'), Buffer.from(descriptor))
  return { ...terms, descriptorHash, identity: wireIdentity(descriptorHash, 'client', 'server') }
}

/** `mcbn1.` and 22 characters of base64url(SHA-256(lp("mcbn/1 id") || dh || lp(client) || lp(server))). */
function wireIdentity(descriptorHash: Buffer, client: string, server: string): string {
  const hash = sha256(
    lengthPrefixed('mcbn/1 id'),
    descriptorHash,
    lengthPrefixed(client),
    lengthPrefixed(server),
  )
  return `mcbn1.${hash.toString('base64url').slice(0, 22)}`
}

function sha256(...parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
