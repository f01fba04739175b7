// The folder that image signatures are put into. Nothing in it is trusted before it is verified.

import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { McbnError } from '../../errors.js'
import { type ImageBundle, type SignedImagesFound, signedImages } from './signed-images.js'
import type { Policy } from './types.js'

/** Bounds of the folder: a policy is put in force as fast as this is verified. */
const MOST_FILES = 256
const MOST_FILE_BYTES = 1024 * 1024

/**
 * Verifies the Sigstore bundles in a folder (files `*.json`) against a policy's `signedImages`.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` for a folder that cannot be read, or has more than 256 bundles; and as
 * `signedImages`.
 */
export async function readSignedImages(policy: Policy, folder: string): Promise<SignedImagesFound> {
  const files = (await namesIn(folder)).filter((name) => name.endsWith('.json')).sort()
  if (files.length > MOST_FILES) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `${folder}: expected at most ${MOST_FILES} bundles, got ${files.length}`,
    )
  }
  const bundles: ImageBundle[] = []
  const unread: { readonly name: string; readonly reason: string }[] = []
  for (const name of files) {
    const text = await textOf(join(folder, name))
    if (text === undefined) unread.push({ name, reason: 'not a file of at most 1 MiB' })
    else bundles.push({ name, text })
  }
  const { approved, passedOver } = await signedImages(policy, bundles)
  return { approved, passedOver: [...unread, ...passedOver] }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new McbnError('MCBN_OPTION_RANGE', `image signatures: cannot be read: ${reason}`, {
      cause,
    })
  }
}

/** One that is gone meanwhile, or cannot be read, approves nothing. */
async function textOf(file: string): Promise<string | undefined> {
  try {
    const found = await stat(file)
    return found.isFile() && found.size <= MOST_FILE_BYTES
      ? await readFile(file, 'utf8')
      : undefined
  } catch {
    return undefined
  }
}
