// The signer of a statement on the command line: a key in a file, or an identity that a token names.

import type { Command } from 'commander'
import { type SigningIdentity, signStatement } from '../../signatures/sign.js'
import type { Statement } from '../../signatures/statement.js'
import { readInput, writeNew } from '../consent/files.js'
import { UsageError } from '../exit.js'

/** Most bytes of a key or a token. */
export const MOST_KEY_BYTES = 64 * 1024

export interface SignerFlags {
  readonly key?: string
  readonly keyless?: boolean
  readonly identityToken?: string
  readonly fulcio?: string
  readonly rekor?: string
}

export function addSignerOptions(command: Command): Command {
  return command
    .option('--key <file>', 'a private key, PEM: Ed25519, EC or RSA (- is standard input)')
    .option('--keyless', 'by an identity instead of a key')
    .option(
      '--identity-token <file>',
      "the token for --keyless (- is standard input; default: that of the CI's job, or $SIGSTORE_ID_TOKEN)",
    )
    .option('--fulcio <url>', "certificate authority for --keyless (default: Sigstore's)")
    .option('--rekor <url>', "log for --keyless (default: Sigstore's)")
}

/** @throws {UsageError} unless one of key and identity is given. */
export function checkSigner({ key, keyless }: SignerFlags): void {
  if ((key === undefined) !== (keyless !== true)) return
  throw new UsageError('expected one of --key <file> and --keyless')
}

/**
 * Writes the bundle into a new file.
 *
 * @param keyOption - what the command calls the key, for messages.
 */
export async function signInto(
  statement: Statement,
  flags: SignerFlags,
  file: string,
  keyOption = '--key',
): Promise<void> {
  await signing(flags, keyOption, async (identity) => {
    const bundle = await signStatement(statement, identity)
    await writeNew(file, 'signature', `${JSON.stringify(bundle)}\n`, 0o644)
  })
}

async function signing<T>(
  flags: SignerFlags,
  keyOption: string,
  use: (identity: SigningIdentity) => Promise<T>,
): Promise<T> {
  checkSigner(flags)
  const { key: keyFile, identityToken, fulcio, rekor } = flags
  if (keyFile !== undefined) return await withSecret(keyFile, keyOption, (key) => use({ key }))
  const services = {
    ...(fulcio !== undefined && { fulcioUrl: fulcio }),
    ...(rekor !== undefined && { rekorUrl: rekor }),
  }
  if (identityToken === undefined) return await use(services)
  return await withSecret(identityToken, '--identity-token', (token) =>
    use({ ...services, identityToken: token.toString('utf8').trim() }),
  )
}

async function withSecret<T>(
  file: string,
  option: string,
  use: (secret: Buffer) => Promise<T>,
): Promise<T> {
  const secret = await readInput(file, option, MOST_KEY_BYTES)
  try {
    return await use(secret)
  } finally {
    secret.fill(0)
  }
}
