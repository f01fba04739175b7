// Signing what was built, and checking who signed.

import type { Statement } from '../../image/provenance.js'
import { signStatement } from '../../image/sign.js'
import { readInput, writeNew } from '../consent/files.js'

/** Most bytes of a key in a file. */
const MOST_KEY_BYTES = 64 * 1024

export async function signBeside(
  statement: Statement,
  keyFile: string,
  target: string,
): Promise<void> {
  const key = await readInput(keyFile, '--sign-key', MOST_KEY_BYTES)
  try {
    const bundle = await signStatement(statement, { key })
    await writeNew(
      `${target}.provenance.sigstore.json`,
      '--out',
      `${JSON.stringify(bundle)}\n`,
      0o644,
    )
  } finally {
    key.fill(0)
  }
}
