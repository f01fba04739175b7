// mcbn image sign, verify-signature: who says how an image was made, or that it was made again.

import { Command, Option } from 'commander'
import { McbnError } from '../../errors.js'
import { readLayout } from '../../image/layout.js'
import { openBundle, openKeylessBundle } from '../../signatures/bundle.js'
import {
  expectAbout,
  PREDICATES,
  parseStatement,
  type Statement,
  type StatementKind,
} from '../../signatures/statement.js'
import { readInput } from '../consent/files.js'
import { report } from '../consent/report.js'
import { EXIT, type Finish, UsageError } from '../exit.js'
import { addSignerOptions, MOST_KEY_BYTES, type SignerFlags, signInto } from './signer.js'

const MOST_BUNDLE_BYTES = 16 * 1024 * 1024
const DIGEST = /^sha256:[0-9a-f]{64}$/

interface SignFlags extends SignerFlags {
  readonly json?: boolean
}

interface CheckFlags {
  readonly statement: StatementKind
  readonly bundle?: string
  readonly key?: string
  readonly identity?: string
  readonly issuer?: string
  readonly trustedRoot?: string
  readonly json?: boolean
}

export function signSubcommand(): Command {
  const command = new Command('sign')
    .summary("sign an image's provenance")
    .description(
      'Sign <layout>.provenance.json, which mcbn image build wrote, into a Sigstore bundle:\n' +
        '<layout>.provenance.sigstore.json. By a private key, or keyless: by the identity that an OpenID Connect token\n' +
        'names, which a public log then records for everybody to see. Needs @sigstore/sign and @sigstore/bundle.',
    )
    .argument('<layout>', 'an OCI image layout, a folder or a tar')
  return addSignerOptions(command)
    .option('--json', 'one JSON object instead of a line')
    .action(async (layout: string, flags: SignFlags) => {
      const name = besides(layout)
      const { digest } = await readLayout(layout)
      const text = await readInput(`${name}.provenance.json`, 'provenance', MOST_BUNDLE_BYTES)
      const statement = parseStatement(text.toString('utf8'), 'provenance')
      expectAbout(statement, digest)
      const written = bundleBeside(layout, 'provenance')
      await signInto(statement, flags, written)
      report(flags.json, { digest, written }, [`${digest}: signed, in ${written}`])
    })
}

export function verifySignatureSubcommand(finish: Finish): Command {
  return new Command('verify-signature')
    .summary("check who signed an image's provenance, or that it was built again")
    .description(
      'Check <image>.provenance.sigstore.json, and that it is about this image. Nothing is fetched. Exit code 0: it\n' +
        'is. 1: it is not. A signature says who built the image: mcbn image verify builds it again.',
    )
    .argument('<image>', 'an OCI image layout, or a digest, sha256:<64 hex digits>, with --bundle')
    .addOption(
      new Option('--statement <kind>', 'what was signed')
        .choices(Object.keys(PREDICATES))
        .default('provenance'),
    )
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
      const beside = DIGEST.test(image) ? undefined : bundleBeside(image, flags.statement)
      const { bundle: file = beside } = flags
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

function checking(flags: CheckFlags): (bundle: string) => Promise<Statement> {
  const { key, identity, issuer, trustedRoot, statement } = flags
  if ((key === undefined) === (identity === undefined)) {
    throw new UsageError('expected one of --key <file> and --identity <name>')
  }
  if (key !== undefined) {
    return async (bundle) =>
      openBundle(bundle, await readInput(key, '--key', MOST_KEY_BYTES), statement)
  }
  if (identity === undefined || issuer === undefined || trustedRoot === undefined) {
    throw new UsageError('--identity: expected --issuer and --trusted-root with it')
  }
  return async (bundle) => {
    const root = await readInput(trustedRoot, '--trusted-root', MOST_BUNDLE_BYTES)
    const by = { identity, issuer, trustedRoot: root.toString('utf8') }
    return await openKeylessBundle(bundle, by, statement)
  }
}

function besides(layout: string): string {
  return layout.replace(/\/+$/, '')
}

/** Where a signature is that belongs to a layout. */
export function bundleBeside(layout: string, kind: StatementKind): string {
  return `${besides(layout)}.${kind}.sigstore.json`
}
