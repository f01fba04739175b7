// Files that hold secrets: who else can read them.

import { rename, rm, stat, writeFile } from 'node:fs/promises'
import { shellWord } from './consent/files.js'
import { warn } from './log.js'

/**
 * A sentence for a file that others than its owner may read; undefined where they may not, for standard
 * input (`-`), and for what cannot be looked at: to read it will say why.
 */
export async function exposureOf(path: string, option: string): Promise<string | undefined> {
  if (path === '-') return undefined
  const mode = await stat(path).then(
    (found) => (found.isFile() ? found.mode : 0),
    () => 0,
  )
  if ((mode & 0o077) === 0) return undefined
  const octal = (mode & 0o777).toString(8).padStart(3, '0')
  return `${option}: others can use this secret file (mode ${octal}); run chmod 600 ${shellWord(path)}`
}

/** Says it on stderr. */
export async function warnIfExposed(path: string, option: string): Promise<void> {
  const sentence = await exposureOf(path, option)
  if (sentence !== undefined) warn(sentence)
}

/** Writes a file for its owner alone, in the place of an older one. @throws the system's error. */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}.new`
  try {
    await writeFile(beside, text, { mode: 0o600, flag: 'wx' })
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true })
    throw error
  }
}
