// Images on the command line of consent: a digest as it is, or the layout that has it.

import type { Role } from '../../consent/descriptor/types.js'
import { McbnError } from '../../errors.js'
import type { ImageConfig } from '../../image/config.js'

/** Digests of the images that an option names; what is not a digest is taken for a layout, and read. */
export async function digestsOf(
  option: string,
  role: Role,
  images: readonly string[],
): Promise<readonly string[]> {
  return await Promise.all(
    images.map(async (image) => {
      if (image.startsWith('sha256:')) return image
      // The reader of archives is loaded only when it is needed.
      const { readLayout } = await import('../../image/layout.js')
      const { LABEL } = await import('../../image/config.js')
      const { digest, config } = await readLayout(image)
      const labelled = config.config.Labels?.[LABEL.role]
      if (labelled === undefined || labelled === role) return digest
      throw new McbnError(
        'MCBN_OPTION_CONFLICT',
        `${option}: ${image} is an image of a ${labelled}`,
      )
    }),
  )
}

/** An image that was built again and found to be what its source says. */
export interface VerifiedImage {
  readonly digest: string
  readonly role: Role
  readonly program: ImageProgram
}

/** What an attestation reports of a container that was started as its image says. */
export interface ImageProgram {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** What the operator may set. */
  readonly overrides: readonly string[]
}

/**
 * Builds an image again before anybody relies on it.
 *
 * @param text - `<layout>`, or `<layout>=<folder of its program>`.
 * @throws {McbnError} `MCBN_OPTION_CONFLICT` when it is another; what building throws.
 */
export async function verifiedImage(text: string): Promise<VerifiedImage> {
  const { readLayout } = await import('../../image/layout.js')
  const { verifyImage } = await import('../../image/verify.js')
  const [, layout = text, app] = /^(.+?)=(.+)$/.exec(text) ?? []
  const { LABEL } = await import('../../image/config.js')
  const { config } = await readLayout(layout)
  const inside = config.config.Labels?.[LABEL.app]
  if (inside !== undefined && app === undefined) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `--verify-image: ${layout} has ${inside} in it: expected ${layout}=<folder of that program>, got no folder`,
    )
  }
  const { withProgress } = await import('../progress.js')
  const { holds, digest, built, differences } = await withProgress((onStep) =>
    verifyImage(layout, { ...(app !== undefined && { app }), onStep }),
  )
  const [first] = differences
  if (!holds) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `--verify-image: ${layout} is ${digest}, this source gives ${built[0]?.digest}; ` +
        `${differences.length} differences, the first in ${first?.path || 'the packing'}: ` +
        'mcbn image verify tells them all',
    )
  }
  const [role] = built.map((one) => one.role)
  if (role !== 'client' && role !== 'server') {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `--verify-image: ${layout} is not an image of a workload`,
    )
  }
  return { digest, role, program: programOf(config) }
}

export function programOf({ config }: ImageConfig): ImageProgram {
  const override = config.Labels['tee.launch_policy.allow_env_override'] ?? ''
  return {
    args: [...config.Entrypoint, ...(config.Cmd ?? [])],
    env: Object.fromEntries(
      config.Env.map((text) => [
        text.slice(0, text.indexOf('=')),
        text.slice(text.indexOf('=') + 1),
      ]),
    ),
    overrides: override.split(',').filter((name) => name !== ''),
  }
}
