// Whole ceremonies in one process: everybody at one table, each message passing under a test's hands.

import { expect } from 'vitest'
import { toBase64url } from '../../../src/consent/base/base64url.js'
import {
  generateParticipantKeys,
  type ParticipantKeys,
  publicKeys,
} from '../../../src/consent/base/keys.js'
import { Ceremony, type CeremonyResult } from '../../../src/consent/ceremony/ceremony.js'
import {
  type CeremonyMessage,
  type MessageKind,
  type PackageBody,
  packageHash,
  signMessage,
} from '../../../src/consent/ceremony/messages.js'
import { type CheckedPlan, createPlan } from '../../../src/consent/ceremony/plan.js'
import type { DescriptorMode } from '../../../src/consent/descriptor/types.js'
import { McbnError } from '../../../src/errors.js'

/** More labels than any test needs, in their order. */
const LABELS = 'alice bob carol dave erin frank grace heidi ivan judy kim leo mia nina oscar'.split(
  ' ',
)

export const IMAGES = {
  client: `sha256:${'c1'.repeat(32)}`,
  server: `sha256:${'5e'.repeat(32)}`,
} as const

/** A plan, and its participants. */
export interface Table {
  readonly plan: CheckedPlan
  readonly keys: ReadonlyMap<string, ParticipantKeys>
}

/** n people plan a network. */
export function table(mode: DescriptorMode, n: number, t = n): Table {
  const keys = new Map(
    LABELS.slice(0, n).map((label) => [label, generateParticipantKeys()] as const),
  )
  const plan = createPlan({
    network: 'rehearsal',
    epoch: 7,
    mode,
    t,
    participants: [...keys].map(([label, own]) => ({ label, ...publicKeys(own) })),
    roles: {
      client: { id: 'client', images: [IMAGES.client] },
      server: { id: 'server', images: [IMAGES.server] },
    },
    validity: { notBefore: 1_700_000_000, notAfter: 1_900_000_000 },
  })
  return { plan, keys }
}

/** The keys of one of them. */
export function keysOf({ keys }: Table, label: string): ParticipantKeys {
  const found = keys.get(label)
  if (found === undefined) throw new Error(`nobody called ${label}`)
  return found
}

/** Everybody begins. */
export function everybody(at: Table): Map<string, Ceremony> {
  return new Map(
    at.plan.labels.map((label) => [
      label,
      Ceremony.begin({ plan: at.plan, label, keys: keysOf(at, label) }),
    ]),
  )
}

/**
 * What a carrier does with a message on its way: hand it on, or another one, or none.
 */
export type Carrier = (name: string, bytes: Uint8Array, receiver: string) => Uint8Array | undefined

const honest: Carrier = (_name, bytes) => bytes

/** Hands every message that is awaited to whom it is for; then everybody tries a step. */
export async function exchange(
  all: ReadonlyMap<string, Ceremony>,
  carrier: Carrier = honest,
): Promise<void> {
  for (const ceremony of all.values()) deliver(all, ceremony, carrier)
  for (const ceremony of all.values()) await ceremony.advance()
}

/** Hands one participant what it waits for. */
export function deliver(
  all: ReadonlyMap<string, Ceremony>,
  receiver: Ceremony,
  carrier: Carrier = honest,
): void {
  const sent = [...all.values()].flatMap((ceremony) => ceremony.outgoing())
  for (const { name } of receiver.awaited()) {
    const message = sent.find((candidate) => candidate.name === name)
    if (message === undefined) continue
    const bytes = carrier(name, message.bytes, receiver.label)
    if (bytes !== undefined) receiver.accept(name, bytes)
  }
}

/** All rounds. @returns everybody's result. */
export async function perform(
  all: ReadonlyMap<string, Ceremony>,
  carrier: Carrier = honest,
): Promise<Map<string, CeremonyResult>> {
  for (let round = 0; round < 6; round += 1) await exchange(all, carrier)
  return new Map([...all].map(([label, ceremony]) => [label, ceremony.result()]))
}

/** A message that somebody signs, whatever it says: what only a participant can forge. */
export function forge<Kind extends MessageKind>(
  at: Table,
  from: string,
  round: Kind,
  body: CeremonyMessage<Kind>['body'],
  to?: string,
): Buffer {
  const fields = { round, from, body, ...(to !== undefined && { to }) }
  return signMessage(at.plan, keysOf(at, from).ed25519, fields)
}

/** Carries everything as it is, except for the messages of `swapped`, by their names. */
export function swapping(swapped: Readonly<Record<string, Uint8Array>>): Carrier {
  return (name, bytes) => (Object.hasOwn(swapped, name) ? swapped[name] : bytes)
}

/** Promises and shows this package in the name of its forger. */
export function packageOf(at: Table, from: string, body: PackageBody): Record<string, Buffer> {
  const promised = { package: toBase64url(packageHash(at.plan, from, body)) }
  return {
    [`commit-${from}`]: forge(at, from, 'commit', promised),
    [`package-${from}`]: forge(at, from, 'package', body),
  }
}

/** Rounds until each one who is named has thrown. @returns what they threw. */
export async function failures(
  all: ReadonlyMap<string, Ceremony>,
  labels: readonly string[],
  carrier: Carrier = honest,
): Promise<Map<string, unknown>> {
  const thrown = new Map<string, unknown>()
  for (let round = 0; round < 6 && labels.some((label) => !thrown.has(label)); round += 1) {
    for (const [label, ceremony] of all) {
      if (thrown.has(label)) continue
      try {
        deliver(all, ceremony, carrier)
      } catch (error) {
        thrown.set(label, error)
      }
    }
    for (const [label, ceremony] of all) {
      if (thrown.has(label)) continue
      await ceremony.advance().catch((error: unknown) => thrown.set(label, error))
    }
  }
  return thrown
}

/** What an error that blames somebody has. */
export function cheat(participant: string, why: RegExp): unknown {
  return expect.objectContaining({
    code: 'MCBN_CEREMONY_CHEATED',
    participant,
    message: expect.stringMatching(why),
  })
}

/** What an error that blames nobody has. */
export function nobody(
  code: 'MCBN_CEREMONY_INVALID' | 'MCBN_CEREMONY_DISAGREED',
  why: RegExp,
): unknown {
  return expect.toSatisfy(
    (error) =>
      error instanceof McbnError &&
      error.code === code &&
      error.participant === undefined &&
      why.test(error.message),
    `${code} ${why}, blaming nobody`,
  )
}

/** One of them, who must be there. */
export function one<Value>(map: ReadonlyMap<string, Value>, label: string): Value {
  const found = map.get(label)
  if (found === undefined) throw new Error(`nobody called ${label}`)
  return found
}
