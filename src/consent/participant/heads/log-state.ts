// What was read of a log: how many entries, the hashes of the whole subtrees that they make, and the last head
// among them. Public; an older copy of it only makes the next reading longer.

import { randomBytes } from 'node:crypto'
import { readFile, rename } from 'node:fs/promises'
import { McbnError } from '../../../errors.js'
import type { AuditHead } from '../../audit/log.js'
import { canonicalBytes } from '../../base/canonical.js'
import { writeNewFile } from '../../base/durable-file.js'
import { readJson, Untrusted } from '../../base/untrusted.js'
import { headText, parseHead } from './note.js'

const CODE = 'MCBN_STORE_INVALID'
const MOST_BYTES = 64 * 1024
const HASH = /^[0-9a-f]{64}$/

export interface LogState {
  readonly size: number
  /** The largest subtree first. */
  readonly hashes: readonly Buffer[]
  /** The last head of this participant's among the entries. */
  readonly last?: AuditHead
}

export function emptyLogState(): LogState {
  return { size: 0, hashes: [] }
}

/** @throws {McbnError} `MCBN_STORE_INVALID` for a file that is something else; delete it, and all is read again. */
export async function readLogState(file: string): Promise<LogState | undefined> {
  let bytes: Buffer
  try {
    bytes = await readFile(file)
  } catch (cause) {
    const { code } = Object(cause) as { code?: unknown }
    if (code === 'ENOENT') return undefined
    throw new McbnError(CODE, `${file}: expected what was read of the log, got ${code}`, { cause })
  }
  const read = new Untrusted(readJson(bytes, MOST_BYTES, file, CODE), file, CODE)
  const { size, hashes, last } = read.fields(['size', 'hashes'], ['last'])
  const head = last && parseHead(last.text(/./, 'a head'))
  if (last !== undefined && head === undefined) last.refuse('<lines>:<64 hex digits>')
  return {
    size: size.integer(0, Number.MAX_SAFE_INTEGER),
    hashes: hashes.list(0, 64).map((one) => Buffer.from(one.text(HASH, '64 hex digits'), 'hex')),
    ...(head !== undefined && { last: head }),
  }
}

export async function writeLogState(file: string, { size, hashes, last }: LogState): Promise<void> {
  const state = {
    size,
    hashes: hashes.map((hash) => hash.toString('hex')),
    ...(last !== undefined && { last: headText(last) }),
  }
  const beside = `${file}.${randomBytes(8).toString('hex')}.tmp`
  try {
    await writeNewFile(beside, canonicalBytes(state), 0o600)
    await rename(beside, file)
  } catch (cause) {
    const { code } = Object(cause) as { code?: unknown }
    throw new McbnError(CODE, `${file}: expected to be able to write it, got ${code}`, { cause })
  }
}
