// What it takes for a file to be on the disk, and not only in the system's memory.

import { open } from 'node:fs/promises'

/**
 * Writes a new file and waits until the disk has its bytes; its name is there once {@link syncFolder} is done.
 *
 * @throws the system's error, `EEXIST` when the name is taken.
 */
export async function writeNewFile(
  path: string,
  content: string | Uint8Array,
  mode: number,
): Promise<void> {
  const handle = await open(path, 'wx', mode)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A new name, and a rename, are on the disk only when their folder is (open(2) does not promise more). */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
