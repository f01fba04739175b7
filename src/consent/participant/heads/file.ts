// Heads in a file, on another disk or a mounted share: a line for each.

import { open, readFile } from 'node:fs/promises'
import { McbnError } from '../../../errors.js'
import type { AuditHead } from '../../audit/log.js'
import { type HeadPlace, headText, latest, parseHead } from './note.js'

/** What a crash leaves of a line, and an empty one. */
const TORN = /^(\d{1,15}(:[0-9a-f]{0,63})?)?$/

export function fileHeads(path: string): HeadPlace {
  /** Ends a line that was cut off, by a crash or a full disk: empty lines do no harm. */
  let begin = '\n'
  return {
    name: path,
    last: async () => latest(await readHeads(path)),
    note: async (head) => {
      const file = await open(path, 'a', 0o600)
      try {
        const text = `${begin}${headText(head)}\n`
        begin = '\n'
        await file.writeFile(text)
        await file.datasync()
        begin = ''
      } finally {
        await file.close()
      }
    },
  }
}

/**
 * The heads in a file, the first noted first. A line that a crash left without its end is passed over.
 *
 * @throws {McbnError} `MCBN_STORE_INVALID` for a file that has something else, or cannot be read.
 */
export async function readHeads(path: string): Promise<AuditHead[]> {
  try {
    return headsIn(await readFile(path, 'utf8'), path)
  } catch (error) {
    const { code } = Object(error) as { code?: unknown }
    if (code === 'ENOENT') return []
    if (error instanceof McbnError) throw error
    throw invalid(`${path}: expected a file of noted heads, got ${code}`, error)
  }
}

/** @throws {McbnError} `MCBN_STORE_INVALID` for a line that is something else. */
export function headsIn(text: string, name: string): AuditHead[] {
  return text.split('\n').flatMap((line, at) => {
    const head = parseHead(line)
    if (head !== undefined) return [head]
    if (TORN.test(line)) return []
    throw invalid(`${name}: line ${at + 1}: expected <lines>:<64 hex digits>, got something else`)
  })
}

function invalid(message: string, cause?: unknown): McbnError {
  return new McbnError('MCBN_STORE_INVALID', message, cause === undefined ? {} : { cause })
}
