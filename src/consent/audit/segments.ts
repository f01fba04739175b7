// The files of an audit. `audit.jsonl` is the first; each that follows is named by its first line's number,
// `audit.000000001025.jsonl`, and begins with a checkpoint. Only the last is written to. Those before may be
// packed or moved elsewhere: nothing reads them but who verifies the whole.

import { createReadStream } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { LINE_MAX_BYTES } from './chain.js'

/** One file. */
export interface Segment {
  readonly path: string
  /** The number of its first line, as its name says. */
  readonly first: number
  /** Read no further; absent: to the end. */
  readonly bytes?: number
}

const DIGITS = 12
const CHUNK_BYTES = 64 * 1024

/** Where the segment is that begins with line `first`. @param path - of the first segment. */
export function segmentPath(path: string, first: number): string {
  if (first === 1) return path
  const extension = extname(path)
  const name = `${basename(path, extension)}.${String(first).padStart(DIGITS, '0')}${extension}`
  return join(dirname(path), name)
}

/** The segments that there are, the first lines first; none where there is no audit. */
export async function segmentsOf(path: string): Promise<Segment[]> {
  const extension = extname(path)
  const stem = `${basename(path, extension)}.`
  // A path that is no file in a folder, e.g. a pipe, has no other segments.
  const names = await readdir(dirname(path)).catch(() => [])
  const found: Segment[] = []
  for (const name of names) {
    if (name === basename(path)) found.push({ path, first: 1 })
    if (!name.startsWith(stem) || !name.endsWith(extension)) continue
    const digits = name.slice(stem.length, name.length - extension.length)
    if (!/^\d{12}$/.test(digits) || Number(digits) <= 1) continue
    found.push({ path: join(dirname(path), name), first: Number(digits) })
  }
  return found.sort((one, other) => one.first - other.first)
}

/** All bytes, in order. */
export async function* bytesOf(segments: readonly Segment[]): AsyncGenerator<Buffer> {
  for (const { path, bytes } of segments) {
    if (bytes === 0) continue
    const end = bytes === undefined ? {} : { end: bytes - 1 }
    yield* createReadStream(path, { highWaterMark: CHUNK_BYTES, ...end })
  }
}

/** The last whole lines, read from the end: oldest first, without newlines. */
export async function tailOf(segments: readonly Segment[], most: number): Promise<Buffer[]> {
  let lines: Buffer[] = []
  for (const segment of segments.toReversed()) {
    if (lines.length >= most) break
    lines = [...(await tailOfOne(segment, most - lines.length)), ...lines]
  }
  return lines
}

async function tailOfOne({ path, bytes }: Segment, most: number): Promise<Buffer[]> {
  const handle = await open(path, 'r')
  try {
    let at = bytes ?? (await handle.stat()).size
    let read = Buffer.alloc(0)
    let newlines = 0
    // One newline more than lines: it ends the line before them.
    while (at > 0 && newlines <= most && read.length <= (most + 1) * LINE_MAX_BYTES) {
      const length = Math.min(CHUNK_BYTES, at)
      const chunk = Buffer.alloc(length)
      const { bytesRead } = await handle.read(chunk, 0, length, at - length)
      if (bytesRead < length) break
      at -= length
      newlines += newlinesIn(chunk)
      read = Buffer.concat([chunk, read])
    }
    const lines = split(read)
    // What was cut on its left is no whole line.
    if (at > 0) lines.shift()
    return lines.slice(-most)
  } finally {
    await handle.close()
  }
}

export function newlinesIn(chunk: Buffer): number {
  let newlines = 0
  for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) newlines += 1
  return newlines
}

function split(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = []
  let start = 0
  for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
    lines.push(bytes.subarray(start, end))
    start = end + 1
  }
  return lines
}
