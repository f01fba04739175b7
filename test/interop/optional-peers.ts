// Peers beyond those that every check must have: tested where they are installed, and a machine that lacks
// one is told, in CI too.

import { describe } from 'vitest'
import { findProgram } from '../support/peers.js'

/** `describe` that runs only where every program is there, and says loudly when it does not. */
export function describeWithOptionalPeers(
  names: readonly string[],
  title: string,
  body: () => void,
): void {
  const missing = names.filter((name) => findProgram(name) === undefined)
  if (missing.length > 0) {
    console.warn(`\n!!! SKIPPED ${title}: not on the PATH: ${missing.join(', ')}\n`)
  }
  describe.skipIf(missing.length > 0)(title, body)
}
