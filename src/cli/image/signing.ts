// mcbn image sign, verify-signature: who says how an image was made.

import { Command } from 'commander'
import { McbnError } from '../../errors.js'
import { readLayout } from '../../image/layout.js'
import { expectAbout, parseStatement, type Statement } from '../../image/provenance.js'
import { type SigningIdentity, signStatement } from '../../image/sign.js'
import { openBundle, openKeylessBundle } from '../../image/signature.js'
import { readInput, writeNew } from '../consent/files.js'
import { report } from '../consent/report.js'
import { EXIT, type Finish, UsageError } from '../exit.js'

/** Most bytes of a key, a token, or what one signs. */
const MOST_KEY_BYTES = 64 * 1024
const MOST_BUNDLE_BYTES = 16 * 1024 * 1024
const DIGEST = /^sha256:[0-9a-f]{64}$/

interface SignFlags {
  readonly key?: string
  readonly keyless?: boolean
  readonly identityToken?: string
  readonly fulcio?: string
  readonly rekor?: string
  readonly json?: boolean
}

interface CheckFlags {
  readonly bundle?: string
  readonly key?: string
  readonly identity?: string
  readonly issuer?: string
  readonly trustedRoot?: string
  readonly json?: boolean
}

export function signSubcommand(): Command {
  return new Command('sign')
    .summary("sign an image's provenance")
    .description(
      'Sign <layout>.provenance.json, which mcbn image build wrote, into a Sigstore bundle:\n' +
        '<layout>.provenance.sigstore.json. By a private key, or keyless: by the identity that an OpenID Connect token\n' +
        'names, which a public log then records for everybody to see. Needs @sigstore/sign and @sigstore/bundle.',
    )
    .argument('<layout>', 'an OCI image layout, a folder or a tar')
    .option('--key <file>', 'a private key, PEM: Ed25519, EC or RSA (- is standard input)')
    .option('--keyless', 'by an identity instead of a key')
    .option(
      '--identity-token <file>',
      "the token for --keyless (- is standard input; default: that of the CI's job, or $SIGSTORE_ID_TOKEN)",
    )
    .option('--fulcio <url>', "certificate authority for --keyless (default: Sigstore's)")
    .option('--rekor <url>', "log for --keyless (default: Sigstore's)")
    .option('--json', 'one JSON object instead of a line')
    .action(async (layout: string, flags: SignFlags) => {
      const name = besides(layout)
      const { digest } = await readLayout(layout)
      const text = await readInput(`${name}.provenance.json`, 'provenance', MOST_BUNDLE_BYTES)
      const statement = parseStatement(text.toString('utf8'))
      expectAbout(statement, digest)
      const written = await signing(flags, (identity) => signInto(statement, identity, name))
      report(flags.json, { digest, written }, [`${digest}: signed, in ${written}`])
    })
}

export function verifySignatureSubcommand(finish: Finish): Command {
  return new Command('verify-signature')
    .summary("check who signed an image's provenance")
    .description(
      'Check <image>.provenance.sigstore.json, and that it is about this image. Nothing is fetched. Exit code 0: it\n' +
        'is. 1: it is not. A signature says who built the image: mcbn image verify builds it again.',
    )
    .argument('<image>', 'an OCI image layout, or a digest, sha256:<64 hex digits>, with --bundle')
    .option('--bundle <file>', 'the signature, if not beside the layout')
    .option('--key <file>', "the signer's public key, PEM")
    .option('--identity <name>', "the signer's identity, the whole of it: an address, or a URI")
    .option('--issuer <url>', 'the OpenID Connect issuer that vouched for --identity')
    .option(
      '--trusted-root <file>',
      "Sigstore's trusted_root.json, for --identity: the authorities and logs that count",
    )
    .option('--json', 'one JSON object instead of a line')
    .action(async (image: string, flags: CheckFlags) => {
      const { bundle: file = DIGEST.test(image) ? undefined : bundleBeside(besides(image)) } = flags
      if (file === undefined) throw new UsageError('--bundle: expected a file, for a digest alone')
      const open = checking(flags)
      const digest = DIGEST.test(image) ? image : (await readLayout(image)).digest
      const bundle = await readInput(file, '--bundle', MOST_BUNDLE_BYTES)
      const by = flags.key ?? `${flags.identity}, vouched for by ${flags.issuer}`
      try {
        const statement = await open(bundle.toString('utf8'))
        expectAbout(statement, digest)
        report(flags.json, { digest, holds: true, by, statement }, [`${digest}: signed by ${by}`])
      } catch (error) {
        if (!(error instanceof McbnError) || error.code !== 'MCBN_IMAGE_INVALID') throw error
        const { message: reason } = error
        report(flags.json, { digest, holds: false, by, reason }, [
          `${digest}: not signed by ${by}: ${reason}`,
        ])
        finish(EXIT.failure)
      }
    })
}

/** Beside what was built, for `mcbn image build --sign-key`. */
export async function signBeside(
  statement: Statement,
  keyFile: string,
  target: string,
): Promise<void> {
  await withSecret(keyFile, '--sign-key', (key) => signInto(statement, { key }, target))
}

async function signInto(
  statement: Statement,
  identity: SigningIdentity,
  target: string,
): Promise<string> {
  const bundle = await signStatement(statement, identity)
  const written = bundleBeside(target)
  await writeNew(written, 'signature', `${JSON.stringify(bundle)}\n`, 0o644)
  return written
}

async function signing<T>(
  { key: keyFile, keyless, identityToken, fulcio, rekor }: SignFlags,
  use: (identity: SigningIdentity) => Promise<T>,
): Promise<T> {
  if ((keyFile === undefined) === (keyless !== true)) {
    throw new UsageError('expected one of --key <file> and --keyless')
  }
  if (keyFile !== undefined) return await withSecret(keyFile, '--key', (key) => use({ key }))
  const services = {
    ...(fulcio !== undefined && { fulcioUrl: fulcio }),
    ...(rekor !== undefined && { rekorUrl: rekor }),
  }
  if (identityToken === undefined) return await use(services)
  return await withSecret(identityToken, '--identity-token', (token) =>
    use({ ...services, identityToken: token.toString('utf8').trim() }),
  )
}

function checking(flags: CheckFlags): (bundle: string) => Promise<Statement> {
  const { key, identity, issuer, trustedRoot } = flags
  if ((key === undefined) === (identity === undefined)) {
    throw new UsageError('expected one of --key <file> and --identity <name>')
  }
  if (key !== undefined) {
    return async (bundle) => openBundle(bundle, await readInput(key, '--key', MOST_KEY_BYTES))
  }
  if (identity === undefined || issuer === undefined || trustedRoot === undefined) {
    throw new UsageError('--identity: expected --issuer and --trusted-root with it')
  }
  return async (bundle) => {
    const root = await readInput(trustedRoot, '--trusted-root', MOST_BUNDLE_BYTES)
    return await openKeylessBundle(bundle, {
      identity,
      issuer,
      trustedRoot: root.toString('utf8'),
    })
  }
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

function besides(layout: string): string {
  return layout.replace(/\/+$/, '')
}

function bundleBeside(target: string): string {
  return `${target}.provenance.sigstore.json`
}
