// Looks for secrets in files. Runs in the process that has the secrets, and tells yes or no.

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SearchAnswer } from './calls.js'
import { filesBelow, spellingsOf, whereFound } from './finder.js'

/**
 * @param root - a folder; everything below it is read, sockets apart.
 * @param secrets - 16 bytes or more each.
 * @param known - something public that is in these files: proof that the search finds what is there.
 */
export function searchFolder(
  root: string,
  secrets: readonly Uint8Array[],
  known: Uint8Array,
): SearchAnswer {
  const wanted = new Map(secrets.map((secret, at) => [`secret ${at}`, Buffer.from(secret)]))
  const files = filesBelow(root)
  const found = whereFound(files, new Map([...wanted, ['known', Buffer.from(known)]]))
  return {
    secrets: secrets.length,
    found: found.some((line) => line.startsWith('secret ')),
    control: found.some((line) => line.startsWith('known ')),
    spellings: spellingsFound(),
    files: files.length,
    bytes: files.reduce((sum, { bytes }) => sum + bytes.length, 0),
  }
}

/**
 * A secret made for this, written in each spelling to a file, and looked for in the same way. In a folder apart:
 * others search the first one at the same time.
 *
 * @returns how many spellings were found; negative: so many were not.
 */
function spellingsFound(): number {
  const secret = randomBytes(32)
  const folder = mkdtempSync(join(tmpdir(), 'mcbn-control-'))
  try {
    const spellings = [...spellingsOf(secret)]
    for (const [at, [, bytes]] of spellings.entries()) writeFileSync(join(folder, `${at}`), bytes)
    const found = whereFound(filesBelow(folder), new Map([['the control', secret]]))
    const missed = spellings.filter(
      (_, at) => !found.some((line) => line.startsWith(`the control in ${at},`)),
    )
    return missed.length === 0 ? spellings.length : -missed.length
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
