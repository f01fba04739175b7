// mcbn image digest, verify, diff, unpack: looking at images that are there.

import { Command } from 'commander'
import { compareImages, type Difference } from '../../image/compare.js'
import type { ImageRole } from '../../image/config.js'
import { readLayout } from '../../image/layout.js'
import { unpackImage } from '../../image/unpack.js'
import { verifyImage } from '../../image/verify.js'
import { report } from '../consent/report.js'
import { EXIT, type Finish } from '../exit.js'
import { withProgress } from '../progress.js'
import { addRoleOption, addSourceOptions, type SourceFlags, sourceOptions } from './options.js'

interface JsonFlag {
  readonly json?: boolean
}

/** Most differences that people are shown. */
const MOST_SHOWN = 40

export function digestSubcommand(): Command {
  return new Command('digest')
    .description('Print the digest of an image, after checking every file of it.')
    .argument('<layout>', 'an OCI image layout, a folder or a tar')
    .option('--json', 'one JSON object instead of a line')
    .action(async (layout: string, { json }: JsonFlag) => {
      const { digest } = await readLayout(layout)
      report(json, { digest }, [digest])
    })
}

export function verifySubcommand(finish: Finish): Command {
  return addSourceOptions(addRoleOption(new Command('verify')))
    .summary('build an image again, and tell what differs')
    .description(
      'Build again from this package, and from the program in --app. Exit code 0: the image is what this source\n' +
        'says. 1: it is another; for a layout, the files that differ are named.',
    )
    .argument('<image>', 'a digest, sha256:<64 hex digits>, or an OCI image layout')
    .action(async (image: string, flags: SourceFlags & { readonly role?: ImageRole }) => {
      const { role } = flags
      const source = sourceOptions(flags)
      const { same: _, ...found } = await withProgress((onStep) =>
        verifyImage(image, { ...source, ...(role !== undefined && { role }), onStep }),
      )
      const { holds, digest, built, differences } = found
      report(flags.json, found, [
        holds ? `${digest} is what this source says` : `${digest} is not what this source says`,
        ...(holds ? [] : built.map((one) => `  the ${one.role} built here is ${one.digest}`)),
        ...lines(differences, 'the image', 'what was built'),
      ])
      finish(holds ? EXIT.ok : EXIT.failure)
    })
}

export function diffSubcommand(finish: Finish): Command {
  return new Command('diff')
    .summary('tell in which files two images differ')
    .description('Tell in which files two images differ. Exit code 0: in none; 1: in those named.')
    .argument('<first>', 'an OCI image layout, a folder or a tar')
    .argument('<second>', 'another')
    .option('--json', 'one JSON object instead of sentences')
    .action(async (first: string, second: string, { json }: JsonFlag) => {
      const images = await Promise.all([readLayout(first), readLayout(second)])
      const differences = await compareImages(images[0], images[1])
      const [left, right] = images.map(({ digest }) => digest)
      report(json, { first: left, second: right, differences }, lines(differences, first, second))
      finish(differences.length === 0 ? EXIT.ok : EXIT.failure)
    })
}

export function unpackSubcommand(): Command {
  return new Command('unpack')
    .summary("write an image's root file system into a folder")
    .description(
      "Write an image's root file system into a new folder, for runc, bubblewrap or a look.",
    )
    .argument('<layout>', 'an OCI image layout, a folder or a tar')
    .argument('<folder>', 'made')
    .option('--json', 'one JSON object instead of a line')
    .action(async (layout: string, folder: string, { json }: JsonFlag) => {
      const image = await readLayout(layout)
      const files = await unpackImage(image, folder)
      report(json, { digest: image.digest, folder, files }, [
        `${image.digest}: ${files} files in ${folder}`,
      ])
    })
}

function lines(differences: readonly Difference[], first: string, second: string): string[] {
  const words = {
    'only-in-first': `only in ${first}`,
    'only-in-second': `only in ${second}`,
    differs: 'differs',
    configuration: 'configuration',
    packing: 'packing',
  } as const
  const shown = differences
    .slice(0, MOST_SHOWN)
    .flatMap(({ path, kind, details }) => [
      `${path === '' ? '(whole image)' : path}: ${words[kind]}`,
      ...details.map((detail) => `    ${detail}`),
    ])
  const rest = differences.length - MOST_SHOWN
  return rest > 0 ? [...shown, `and ${rest} more; --json has all`] : shown
}
