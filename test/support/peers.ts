// Programs that tests talk to. Anyone who lacks one locally sees loudly what was left out; in CI, where
// .ci/run installs them all, a missing one is a failure: a skipped interop test proves nothing.

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe } from 'vitest'

const reported = new Set<string>()

/** The full path of a program on the PATH, or undefined. */
export function findProgram(name: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const file = join(folder, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // not in this folder
    }
  }
  return undefined
}

/**
 * True when every program is on the PATH. Use it as
 * `describe.skipIf(!requirePeer('gnutls-serv'))('gnutls', () => ...)`.
 * @throws {Error} when one is missing and the environment says `CI=true`.
 */
export function requirePeer(...names: readonly string[]): boolean {
  const missing = names.filter((name) => findProgram(name) === undefined)
  if (missing.length === 0) return true
  const message = `not on the PATH: ${missing.join(', ')}`
  if (process.env['CI'] === 'true') throw new Error(`${message}; CI tests against all peers`)
  if (!reported.has(message)) console.warn(`\n!!! SKIPPED: ${message}; see CONTRIBUTING.md\n`)
  reported.add(message)
  return false
}

/** `describe` that runs only where every program is there; see {@link requirePeer}. */
export function describeWithPeers(names: readonly string[], title: string, body: () => void): void {
  describe.skipIf(!requirePeer(...names))(title, body)
}
