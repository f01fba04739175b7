// Whole ceremonies in one process: everybody at one table, each message passing under a test's hands.

import { Ceremony, type CeremonyResult } from '../../../src/consent/ceremony/ceremony.js'
import { type CheckedPlan, createPlan } from '../../../src/consent/ceremony/plan.js'
import type { DescriptorMode } from '../../../src/consent/descriptor/types.js'
import {
  generateParticipantKeys,
  type ParticipantKeys,
  publicKeys,
} from '../../../src/consent/keys.js'

/** More labels than any test needs, in their order. */
const LABELS = 'alice bob carol dave erin frank grace heidi ivan judy kim leo mia nina oscar'.split(
  ' ',
)

export const IMAGES = {
  client: `sha256:${'c1'.repeat(32)}`,
  server: `sha256:${'5e'.repeat(32)}`,
} as const

/** A plan, and who can take part in it. */
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
