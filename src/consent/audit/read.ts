// Reading an audit line by line and in bounded memory, checking as it goes.

import { McbnError } from '../../errors.js'
import {
  type AuditHead,
  type AuditLine,
  broken,
  checkLine,
  claimedBefore,
  EMPTY_CHAIN,
  LINE_MAX_BYTES,
} from './chain.js'
import { bytesOf, segmentsOf } from './segments.js'

/** A path (of the first segment: those that follow it are read too), or the bytes in any pieces, e.g. a stream. */
export type AuditSource = string | AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/** One thing found while walking: a line that belongs, or what is left behind the last newline. */
export type Step =
  | { readonly line: AuditLine; readonly head: AuditHead }
  | { readonly torn: Buffer; readonly head: AuditHead }

/** Where a reading begins; `claimed`: behind what the first line says is before it, which proves nothing of it. */
export type WalkFrom = AuditHead | 'claimed'

/**
 * Walks the lines that follow `from`.
 *
 * @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line`, at the first line that does not belong.
 */
export async function* walk(
  source: AuditSource,
  from: WalkFrom = EMPTY_CHAIN,
): AsyncGenerator<Step> {
  let head = from === 'claimed' ? EMPTY_CHAIN : from
  let unknown = from === 'claimed'
  let pieces: Buffer[] = []
  let length = 0
  for await (const chunk of chunksOf(source)) {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      length += end - start
      if (length >= LINE_MAX_BYTES) throw tooLong(head)
      const json = Buffer.concat([...pieces, chunk.subarray(start, end)])
      if (unknown) head = claimedBefore(json)
      unknown = false
      const next = checkLine(head, json)
      yield next
      head = next.head
      start = end + 1
      pieces = []
      length = 0
    }
    length += chunk.length - start
    if (length >= LINE_MAX_BYTES) throw tooLong(head)
    if (start < chunk.length) pieces.push(Buffer.from(chunk.subarray(start)))
  }
  if (length > 0) yield { torn: Buffer.concat(pieces), head }
}

function tooLong(head: AuditHead): McbnError {
  return broken(head.lines + 1, `expected at most ${LINE_MAX_BYTES} bytes, got more`)
}

async function* chunksOf(source: AuditSource): AsyncGenerator<Buffer> {
  try {
    const chunks = typeof source === 'string' ? await pieces(source) : source
    for await (const chunk of chunks as AsyncIterable<Uint8Array>) {
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    }
  } catch (error) {
    if (error instanceof McbnError) throw error
    throw new McbnError('MCBN_AUDIT_BROKEN', `audit: cannot be read: ${reason(error)}`, {
      cause: error,
    })
  }
}

async function pieces(path: string): Promise<AsyncIterable<Uint8Array>> {
  const segments = await segmentsOf(path)
  return bytesOf(segments.length > 0 ? segments : [{ path, first: 1 }])
}

/** What the system says, without a path that the caller may not want to show. */
export function reason(error: unknown): string {
  const { code } = Object(error) as { code?: unknown }
  return typeof code === 'string' ? code : 'unknown error'
}
