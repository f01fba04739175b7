// The cast of the demonstration, and its terms.

import type { LocalWorkload } from '../../consent/attestation/local/claims.js'
import type { Role } from '../../consent/descriptor/types.js'

/** Holders of a share. */
export const PARTICIPANTS = ['alice', 'bob', 'carol'] as const
export type Label = (typeof PARTICIPANTS)[number]

/** Machines: the two of the network, and one that has another image than it should. */
export const MACHINES = ['server', 'client', 'stranger'] as const
export type MachineName = (typeof MACHINES)[number]

export const HOST = '127.0.0.1'
export const NETWORK = 'mcbn-demo'
export const ISSUER = 'https://hardware-vendor.test'

/** How a connection ended where the other workload was the first to learn that consent is over. */
export const CLOSED_BY_PEER = 'closed by the peer'

/** Seconds: short, so that the end of consent can be watched; long enough for a busy machine. */
export const LEASE_SECONDS = 8
/** Milliseconds that a workload asks before it tells who did not agree. */
export const PATIENCE_MS = 1_500
/** Milliseconds for joining where everybody will agree, on a busy machine. */
export const JOIN_MS = 10_000

export const ROLE_OF: Readonly<Record<MachineName, Role>> = {
  server: 'server',
  client: 'client',
  stranger: 'client',
}

/** What the hardware vendor's tokens say about a machine. */
export function described(
  machine: MachineName,
  imageDigest: string,
  descriptorHash: string,
): LocalWorkload {
  const numbers: Readonly<Record<MachineName, string>> = {
    server: '1001',
    client: '1002',
    stranger: '1003',
  }
  return {
    imageDigest,
    env: { MCBN_DESCRIPTOR_HASH: descriptorHash },
    instance: numbers[machine],
    instanceName: machine,
  }
}

/** `Alice`, for sentences. */
export function nameOf(label: string): string {
  return `${label.slice(0, 1).toUpperCase()}${label.slice(1)}`
}
