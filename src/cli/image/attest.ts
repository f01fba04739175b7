// mcbn image attest: one reviewer's signed word that an image was built again, and came out the same. mcbn image
// rule: what a descriptor calls a rule about such words.

import { Command } from 'commander'
import { POLICY_MAX_BYTES, parseImageRule } from '../../consent/policy/parse.js'
import { imageRuleName } from '../../consent/policy/signed-images.js'
import { McbnError } from '../../errors.js'
import type { ImageRole } from '../../image/config.js'
import { rebuiltStatementOf } from '../../image/provenance.js'
import { isDigest, verifyImage } from '../../image/verify.js'
import { readInput } from '../consent/files.js'
import { report } from '../consent/report.js'
import { UsageError } from '../exit.js'
import { withProgress } from '../progress.js'
import { addRoleOption, addSourceOptions, type SourceFlags, sourceOptions } from './options.js'
import { addSignerOptions, checkSigner, type SignerFlags, signInto } from './signer.js'
import { bundleBeside } from './signing.js'

interface AttestFlags extends SourceFlags, SignerFlags {
  readonly role?: ImageRole
  readonly out?: string
}

export function attestSubcommand(): Command {
  const command = new Command('attest')
    .summary('build an image again, and sign that it is the same')
    .description(
      'Build again, as mcbn image verify does, and sign that the image came out the same, byte for byte: a Sigstore\n' +
        'bundle, for the folder of mcbn participant serve --image-signatures. A policy can ask for several reviewers.\n' +
        'An image that differs is not signed (exit code 1). Needs @sigstore/sign and @sigstore/bundle.',
    )
    .argument('<image>', 'a digest, sha256:<64 hex digits>, or an OCI image layout')
  return addSignerOptions(addSourceOptions(addRoleOption(command)))
    .option('--out <file>', 'the bundle (default for a layout: <layout>.rebuilt.sigstore.json)')
    .action(async (image: string, flags: AttestFlags) => {
      const { role, out = isDigest(image) ? undefined : bundleBeside(image, 'rebuilt') } = flags
      if (out === undefined) throw new UsageError('--out: expected a file, for a digest alone')
      // Before minutes of building.
      checkSigner(flags)
      const source = sourceOptions(flags)
      const { digest, same } = await withProgress((onStep) =>
        verifyImage(image, { ...source, ...(role !== undefined && { role }), onStep }),
      )
      if (same === undefined) {
        throw new McbnError(
          'MCBN_IMAGE_INVALID',
          `${digest}: expected what this source says, got another image; mcbn image verify names what differs`,
        )
      }
      const statement = rebuiltStatementOf(same)
      await signInto(statement, flags, out)
      const { name } = statement.subject[0] as (typeof statement.subject)[number]
      report(flags.json, { digest, subject: name, written: out }, [
        `${digest}: built again as ${name}, the same; signed, in ${out}`,
      ])
    })
}

export function ruleSubcommand(): Command {
  return new Command('rule')
    .summary("print a descriptor's name for a rule about signed images")
    .description(
      "Print the name that a rule of a policy's signedImages has in a descriptor. Give it to mcbn ceremony plan in the\n" +
        'place of a digest (--server-image): then all participants agree that images may be approved by such signatures,\n' +
        "also those that are built later. What is approved is each participant's policy to say.",
    )
    .argument('<file>', 'the rule, JSON (- is standard input)')
    .option('--json', 'one JSON object instead of a line')
    .action(async (file: string, { json }: { readonly json?: boolean }) => {
      const rule = parseImageRule(await readInput(file, 'rule', POLICY_MAX_BYTES))
      const name = imageRuleName(rule)
      report(json, { name, rule }, [name])
    })
}
