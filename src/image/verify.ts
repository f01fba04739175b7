// Whether an image is what its source says: it is built again, and compared.

import { McbnError } from '../errors.js'
import { type BuildImageOptions, type BuiltImage, buildImage } from './build.js'
import { compareImages, type Difference } from './compare.js'
import { IMAGE_ROLES, type ImageRole, LABEL } from './config.js'
import { type FoundImage, foundOf, readLayout } from './layout.js'
import { PLATFORMS, type Platform } from './lock.js'

export type VerifyOptions = Omit<BuildImageOptions, 'role'> & { readonly role?: ImageRole }

export interface Verification {
  readonly holds: boolean
  /** What was asked about. */
  readonly digest: string
  /** What the source gives: one image, or one for each role that was tried. */
  readonly built: readonly { readonly role: ImageRole; readonly digest: string }[]
  /** The one that came out the same; absent unless it holds. */
  readonly same: BuiltImage | undefined
  /** By file; empty where only a digest was known. The first is the image, the second what was built. */
  readonly differences: readonly Difference[]
}

/**
 * Builds an image again, from this package and the program's folder.
 *
 * @param image - a layout, or `sha256:` and 64 hex digits: then every role is tried, unless one is given.
 * @throws {McbnError} as `buildImage` and `readLayout`.
 */
export async function verifyImage(image: string, options: VerifyOptions): Promise<Verification> {
  return isDigest(image) ? await verifyDigest(image, options) : await verifyLayout(image, options)
}

/** `sha256:` and 64 hex digits. */
export function isDigest(text: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(text)
}

async function verifyDigest(digest: string, options: VerifyOptions): Promise<Verification> {
  const roles = options.role === undefined ? IMAGE_ROLES : [options.role]
  const built: BuiltImage[] = []
  for (const role of roles) built.push(await buildImage({ ...options, role }))
  const same = built.find((one) => one.digest === digest)
  return {
    digest,
    holds: same !== undefined,
    same,
    built: built.map(({ role, digest: got }) => ({ role, digest: got })),
    differences: [],
  }
}

async function verifyLayout(path: string, options: VerifyOptions): Promise<Verification> {
  const found = await readLayout(path)
  const built = await buildImage({ ...options, ...claimsOf(path, found, options) })
  return {
    digest: found.digest,
    holds: built.digest === found.digest,
    same: built.digest === found.digest ? built : undefined,
    built: [{ role: built.role, digest: built.digest }],
    differences: await compareImages(found, foundOf(built)),
  }
}

/** What the image says about how it was made; a lie gives another image. */
function claimsOf(path: string, { config }: FoundImage, options: VerifyOptions) {
  const role = options.role ?? IMAGE_ROLES.find((one) => one === config.config.Labels?.[LABEL.role])
  const platform = PLATFORMS.find((one) => one === `${config.os}/${config.architecture}`)
  const created = Date.parse(config.created) / 1_000
  if (role === undefined || platform === undefined || !Number.isInteger(created)) {
    throw new McbnError(
      'MCBN_IMAGE_INVALID',
      `${path}: expected an image of mcbn image build, with its role, platform and time`,
    )
  }
  const app = config.config.Labels[LABEL.app]
  if (app !== undefined && options.app === undefined) {
    throw new McbnError(
      'MCBN_IMAGE_INVALID',
      `${path}: has ${app} in it: name its folder with --app`,
    )
  }
  return {
    role,
    platform: options.platform ?? (platform satisfies Platform),
    created: options.created ?? created,
  }
}
