import { setImmediate } from 'node:timers/promises'
import { expect } from 'vitest'
import type { McbnError } from '../../../src/errors.js'

/** Why evidence is refused; undefined: it is not. Any other error fails the test. */
export function refusalBy(verify: () => unknown): string | undefined {
  try {
    verify()
    return undefined
  } catch (error) {
    expect(error).toMatchObject({ code: 'MCBN_EVIDENCE_REFUSED' })
    return (error as McbnError).message
  }
}

/**
 * Where evidence may be altered and is not refused: each byte of `good` (or of every `step` of them one) has a bit
 * flipped, alone. The event loop turns meanwhile: vitest takes a thread for lost that says nothing for a minute.
 */
export async function acceptedFlips(
  good: Buffer,
  refusalOf: (evidence: Buffer) => string | undefined,
  step = 1,
): Promise<readonly number[]> {
  const accepted: number[] = []
  for (let at = 0; at < good.length; at += step) {
    const bytes = Buffer.from(good)
    bytes[at] = (bytes[at] ?? 0) ^ 0x01
    if (refusalOf(bytes) === undefined) accepted.push(at)
    await setImmediate()
  }
  return accepted
}
