// mcbn image build: the layout, and beside it what is in it and how it was made.

import { Command } from 'commander'
import { type BuiltImage, buildImage } from '../../image/build.js'
import type { ImageRole } from '../../image/config.js'
import { writeArchive, writeLayout } from '../../image/layout.js'
import { statementOf } from '../../image/provenance.js'
import { sbomOf } from '../../image/sbom.js'
import { writeNew } from '../consent/files.js'
import { report } from '../consent/report.js'
import { UsageError } from '../exit.js'
import { withProgress } from '../progress.js'
import {
  addRoleOption,
  addSourceOptions,
  roleOf,
  type SourceFlags,
  sourceOptions,
} from './options.js'
import { signInto } from './signer.js'
import { bundleBeside } from './signing.js'

interface BuildFlags extends SourceFlags {
  readonly role?: ImageRole
  readonly out?: string
  readonly archive?: string
  readonly signKey?: string
}

export function buildSubcommand(): Command {
  return addSourceOptions(addRoleOption(new Command('build')))
    .summary('build an image')
    .description(
      'Build an image. Beside it: <out>.sbom.json, what is in it (CycloneDX), and <out>.provenance.json, how it\n' +
        'was made (in-toto, SLSA).',
    )
    .argument('[role]', 'client, server or participant')
    .option('--out <layout>', 'write an OCI image layout, a new folder')
    .option('--archive <file>', 'write the layout as one tar')
    .option(
      '--sign-key <file>',
      'sign the provenance with this private key (PEM): <out>.provenance.sigstore.json',
    )
    .action(async (argument: string | undefined, flags: BuildFlags) => {
      const role = roleOf(argument, flags.role)
      const { out, archive } = flags
      const target = out ?? archive
      if (target === undefined) throw new UsageError('build: expected --out or --archive')
      const source = sourceOptions(flags)
      const image = await withProgress((onStep) => buildImage({ ...source, role, onStep }))
      if (out !== undefined) await writeLayout(image, out)
      if (archive !== undefined) await writeArchive(image, archive)
      await describe(image, target.replace(/\/$/, ''), flags.signKey)
      tell(image, target, flags)
    })
}

async function describe(image: BuiltImage, target: string, key: string | undefined): Promise<void> {
  const statement = statementOf(image)
  await writeNew(
    `${target}.sbom.json`,
    '--out',
    `${JSON.stringify(sbomOf(image), null, 2)}\n`,
    0o644,
  )
  await writeNew(
    `${target}.provenance.json`,
    '--out',
    `${JSON.stringify(statement, null, 2)}\n`,
    0o644,
  )
  if (key !== undefined) {
    await signInto(statement, { key }, bundleBeside(target, 'provenance'), '--sign-key')
  }
}

function tell(
  { digest, role, platform, layers, materials }: BuiltImage,
  target: string,
  flags: BuildFlags,
): void {
  const sizes = layers.map(({ title, blob, unpackedSize }) => ({
    title,
    size: blob.length,
    unpackedSize,
  }))
  const size = sizes.reduce((sum, layer) => sum + layer.size, 0)
  const { addon } = materials
  const from = addon === undefined ? undefined : { path: addon.path, sha256: addon.sha256 }
  report(
    flags.json,
    { digest, role, platform, written: target, size, layers: sizes, addon: from },
    [
      `${digest}`,
      `  ${role}, ${platform}, ${megabytes(size)} in ${target}`,
      ...sizes.map((layer) => `  ${megabytes(layer.size).padStart(8)} ${layer.title}`),
      ...(from === undefined ? [] : [`  addon ${from.path}`, `        sha256 ${from.sha256}`]),
    ],
  )
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
