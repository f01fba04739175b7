// An image's layers as files in a folder, for tools that start a root file system.

import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { McbnError } from '../errors.js'
import { type ArchiveEntry, decompress, unpackEntries } from './layer.js'
import type { FoundImage } from './layout.js'

/**
 * Writes the file system that the layers make together. The files belong to the caller.
 *
 * @returns how many files.
 * @throws {McbnError} `MCBN_IMAGE_INVALID` if the folder is there, or if a layer holds what an image of
 * mcbn never has: hard links, devices, deletions, a path through a link.
 */
export async function unpackImage(image: FoundImage, folder: string): Promise<number> {
  const root = resolve(folder)
  await mkdir(dirname(root), { recursive: true })
  await mkdir(root).catch((cause: unknown) => {
    throw new McbnError('MCBN_IMAGE_INVALID', `${folder}: expected a path where nothing is yet`, {
      cause,
    })
  })
  const entries = new Map<string, ArchiveEntry>()
  for (const { blob, digest } of image.layers) {
    for (const entry of await unpackEntries(decompress(blob), digest))
      entries.set(entry.path, entry)
  }
  const links = [...entries.values()].filter(({ type }) => type === 'symlink')
  for (const entry of entries.values()) await write(root, entry, links)
  // A folder that nobody may write into must be filled first.
  for (const { type, path, mode } of entries.values()) {
    if (type === 'directory') await chmod(join(root, path), mode)
  }
  return [...entries.values()].filter(({ type }) => type === 'file').length
}

async function write(
  root: string,
  entry: ArchiveEntry,
  links: readonly ArchiveEntry[],
): Promise<void> {
  const { path, type, mode, target, body } = entry
  const through = links.find((link) => path.startsWith(`${link.path}/`))
  const deletion = /(^|\/)\.wh\./.test(path)
  if (through !== undefined || deletion || !['file', 'directory', 'symlink'].includes(type)) {
    throw new McbnError(
      'MCBN_IMAGE_INVALID',
      `${path}: expected files, folders and links of mcbn image build`,
    )
  }
  const at = join(root, path)
  if (type === 'directory') return void (await mkdir(at, { recursive: true }))
  await mkdir(dirname(at), { recursive: true })
  if (type === 'symlink') return await symlink(target, at)
  await writeFile(at, body)
  // What a umask took away.
  await chmod(at, mode)
}
