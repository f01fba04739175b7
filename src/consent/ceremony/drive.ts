// A ceremony over a transport: fetch what is awaited, do the step, keep the state, send what is new.

import { setTimeout as sleep } from 'node:timers/promises'
import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import type { Ceremony } from './ceremony.js'
import type { CeremonyRound } from './messages.js'
import { invalid } from './refusals.js'
import type { CeremonyTransport } from './transport.js'

/** What driving needs besides the ceremony. */
export interface DriveOptions {
  readonly transport: CeremonyTransport
  /** Called before anything new is sent: what was sent and then forgotten could not be repeated. */
  readonly save: (ceremony: Ceremony) => Promise<void>
  /** Each time something has happened, or somebody is still waited for. */
  readonly onProgress?: (progress: CeremonyProgress) => void
  readonly signal?: AbortSignal
  /** Milliseconds between two looks. @defaultValue 250, then twice as long each time up to 2,000 */
  readonly pollMilliseconds?: number
}

const OPTIONS = {
  transport: undefined,
  save: undefined,
  onProgress: undefined,
  signal: undefined,
  pollMilliseconds: undefined,
} as const satisfies OptionTable<DriveOptions>

/** Where it stands. */
export interface CeremonyProgress {
  readonly round: CeremonyRound | 'finished'
  /** Labels whose messages of this round are not there yet. */
  readonly waitingFor: readonly string[]
}

const POLL_FIRST = 250
const POLL_MOST = 2_000

/**
 * Sends what is to be sent, fetches what is there, and does one step if it can.
 *
 * @returns where it stands now; it has done no step when somebody is waited for.
 * @throws {McbnError} as {@link Ceremony.accept} and {@link Ceremony.advance}; own complaints have been sent
 * by then.
 */
export async function driveStep(
  ceremony: Ceremony,
  options: DriveOptions,
): Promise<CeremonyProgress> {
  refuseUnknown('driveStep', options, OPTIONS)
  const { transport, save } = options
  // Before anything else: an earlier process may have been ended between saving and sending.
  await send(ceremony, transport)
  try {
    await fetchAwaited(ceremony, transport)
    await ceremony.advance()
  } catch (error) {
    await save(ceremony)
    // The complaint, if there is one; that it cannot be sent must not hide what it is about.
    await send(ceremony, transport).catch(() => undefined)
    throw error
  }
  await save(ceremony)
  await send(ceremony, transport)
  return progressOf(ceremony)
}

/** All steps that are left, waiting for the others. Ends when the ceremony is finished. */
export async function driveToEnd(ceremony: Ceremony, options: DriveOptions): Promise<void> {
  const { signal, onProgress, pollMilliseconds = POLL_FIRST } = options
  let pause = pollMilliseconds
  for (let shown = ''; ; ) {
    signal?.throwIfAborted()
    const before = ceremony.round
    const progress = await driveStep(ceremony, options)
    const text = JSON.stringify(progress)
    if (text !== shown) onProgress?.(progress)
    shown = text
    if (ceremony.finished) return
    const moved = ceremony.round !== before
    pause = moved ? pollMilliseconds : Math.min(pause * 2, POLL_MOST)
    if (!moved) await sleep(pause, undefined, signal === undefined ? {} : { signal })
  }
}

/** Where a ceremony stands. */
export function progressOf(ceremony: Ceremony): CeremonyProgress {
  return ceremony.finished
    ? { round: 'finished', waitingFor: [] }
    : { round: ceremony.round, waitingFor: ceremony.awaited().map(({ from }) => from) }
}

async function fetchAwaited(ceremony: Ceremony, transport: CeremonyTransport): Promise<void> {
  for (const { name } of ceremony.awaited()) {
    const bytes = await transport.get(name)
    if (bytes !== undefined) ceremony.accept(name, bytes)
  }
  // Only a participant that would wait forever has to listen to complaints: a step that can be done needs nobody else.
  if (ceremony.awaited().length === 0) return
  for (const name of ceremony.complaints()) {
    const bytes = await transport.get(name)
    if (bytes !== undefined) ceremony.accept(name, bytes)
  }
}

/** Every own message each time: cheap, and right after any crash of either side. */
async function send(ceremony: Ceremony, transport: CeremonyTransport): Promise<void> {
  for (const { name, bytes } of ceremony.outgoing()) {
    const there = await transport.get(name)
    if (there !== undefined && Buffer.compare(there, bytes) === 0) continue
    if (there !== undefined) {
      throw invalid(
        `${name}: expected the own message there, found another one; is the state used twice, or the folder that of another ceremony?`,
      )
    }
    await transport.put(name, bytes)
  }
}

/** The plan that a transport shows, once its hash is the one that all have compared. */
export function demandPlanHash(actual: string, expected: string): void {
  if (actual === expected.toLowerCase()) return
  throw new McbnError(
    'MCBN_CEREMONY_INVALID',
    `plan: expected hash ${expected}, got ${actual}: this is not the plan that was compared`,
  )
}
