// The cast of the demonstration, and its terms.

import { scrypt } from 'node:crypto'
import { promisify } from 'node:util'
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

/** Times for a machine that has nothing else to do; {@link Pace} has those for the one that there is. */
const TIMES = {
  /** Seconds: short, so that the end of consent can be watched. */
  leaseSeconds: 8,
  /** Milliseconds that a workload asks before it tells who did not agree. */
  patience: 1_500,
  /** Milliseconds for joining where everybody will agree. */
  join: 10_000,
} as const

/** Milliseconds that the work of {@link measuredPace} takes on a machine at rest. */
const WORK_MS = 120
/** Leases stay below the time that a step may take. */
const SLOWEST = 4

/** How patient the story is: by how much slower this machine is, now, than one at rest. */
export interface Pace {
  readonly leaseSeconds: number
  readonly patience: number
  readonly join: number
}

export function paceOf(slowness: number): Pace {
  const { leaseSeconds, patience, join } = TIMES
  const factor = Math.min(SLOWEST, Math.max(1, slowness || 1))
  return {
    leaseSeconds: Math.ceil(leaseSeconds * factor),
    patience: Math.round(patience * factor),
    join: Math.round(join * factor),
  }
}

/** Does some work, in turns as the processes of the story do, and looks how long it takes. */
export async function measuredPace(): Promise<Pace> {
  const began = performance.now()
  for (let turn = 0; turn < 4; turn++) {
    await promisify(scrypt)('pace', 'salt', 32)
    await promisify(setImmediate)()
  }
  return paceOf((performance.now() - began) / WORK_MS)
}

/** Renewals begin halfway, so that a lease is too short where one takes more than half of it. */
const BRIEF = 0.6

export function briefly(pace: Pace): Pace {
  return { ...pace, leaseSeconds: Math.ceil(pace.leaseSeconds * BRIEF) }
}

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
