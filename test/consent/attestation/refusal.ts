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
