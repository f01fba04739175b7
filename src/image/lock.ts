// image.lock: everything that comes into an image from outside, by its hash. Made by scripts/image-lock.mjs.

import { readFile } from 'node:fs/promises'
import { McbnError } from '../errors.js'

export const PLATFORMS = ['linux/amd64', 'linux/arm64'] as const
export type Platform = (typeof PLATFORMS)[number]

/** The same processor in the words of others. */
export const ARCHITECTURE = {
  'linux/amd64': { debian: 'amd64', node: 'x64', triplet: 'x86_64-linux-gnu' },
  'linux/arm64': { debian: 'arm64', node: 'arm64', triplet: 'aarch64-linux-gnu' },
} as const satisfies Record<Platform, object>

export interface DebianPackage {
  readonly name: string
  readonly version: string
  /** Below a mirror's root. */
  readonly path: string
  readonly sha256: string
}

export interface NpmPackage {
  readonly name: string
  readonly version: string
  /** `sha512-` and base64, as in a package-lock.json. */
  readonly integrity: string
}

export interface ImageLock {
  /** Seconds since 1970: the time in images, unless SOURCE_DATE_EPOCH says another. */
  readonly created: number
  readonly debian: Readonly<Record<Platform, readonly DebianPackage[]>>
  readonly node: Readonly<Record<Platform, NpmPackage>>
  /** What mcbn needs to run, by its path below mcbn's own node_modules. */
  readonly packages: Readonly<Record<string, NpmPackage>>
}

/** The lock of this package. @throws {McbnError} `MCBN_IMAGE_INVALID`. */
export async function readImageLock(packageRoot: string): Promise<ImageLock> {
  const path = `${packageRoot}/image.lock`
  try {
    const lock = JSON.parse(await readFile(path, 'utf8')) as ImageLock & {
      readonly version: number
    }
    if (lock.version === 1) return lock
  } catch (cause) {
    throw new McbnError('MCBN_IMAGE_INVALID', `${path}: expected the lock of mcbn's images`, {
      cause,
    })
  }
  throw new McbnError('MCBN_IMAGE_INVALID', `${path}: expected version 1`)
}

/** The SHA-512 of an integrity, in hex. @throws {McbnError} `MCBN_IMAGE_INVALID` for any other hash. */
export function sha512Of({ name, version, integrity }: NpmPackage): string {
  const [, base64] = /^sha512-([A-Za-z0-9+/]{86}==)$/.exec(integrity ?? '') ?? []
  if (base64 !== undefined) return Buffer.from(base64, 'base64').toString('hex')
  throw new McbnError(
    'MCBN_IMAGE_INVALID',
    `${name}@${version}: expected an integrity of sha512 in the lock file, got ${integrity ?? 'none'}`,
  )
}
