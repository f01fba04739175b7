// Entries to the bytes of a layer and back.
//
// Tar is POSIX ustar, with a pax record only where a path is too long for it. Gzip is fflate's: Node's own
// zlib differs between releases and processors (it hashes with whatever instructions it finds), and distributions
// link yet another one. fflate is JavaScript, so one version gives one result everywhere.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { Gzip } from 'fflate'
import { packTar, unpackTar } from 'modern-tar'
import { McbnError } from '../errors.js'
import type { ContentStore } from './store.js'
import { archivePath, completed, type Entry } from './tree.js'

/** A part of a root file system, packed. */
export interface Layer {
  /** What it holds, in words: goes into the image's history. */
  readonly title: string
  /** The compressed bytes, and their digest. */
  readonly blob: Uint8Array
  readonly digest: string
  /** Digest of the tar inside. */
  readonly diffId: string
  /** Bytes of the tar inside. */
  readonly unpackedSize: number
}

/** zlib's usual level: 9 takes twice the time for a thousandth less. */
const LEVEL = 6
/** What is given to the compressor at a time; its output depends on it. */
const CHUNK_BYTES = 1024 * 1024
/** A name in the store says how the bytes were made. */
const COMPRESSOR = `gzip-fflate-0.8.3-level-${LEVEL}`

/** @param created - seconds since 1970: the time of every entry. */
export async function packLayer(
  title: string,
  entries: Iterable<Entry>,
  created: number,
  store: ContentStore,
): Promise<Layer> {
  const tar = await packEntries(completed(entries), created)
  const diffId = sha256(tar)
  const blob = await store.derived(
    `${COMPRESSOR}-${diffId}`,
    () => compress(tar),
    (cached) => {
      // The store is only a convenience: what it gives must still be this tar.
      return sha256(decompress(cached)) === diffId
    },
  )
  return {
    title,
    blob,
    digest: `sha256:${sha256(blob)}`,
    diffId: `sha256:${diffId}`,
    unpackedSize: tar.length,
  }
}

/** One tar of entries that are complete and in order. */
export async function packEntries(entries: readonly Entry[], created: number): Promise<Uint8Array> {
  const mtime = new Date(created * 1_000)
  return await packTar(
    entries.map((entry) => ({
      header: {
        name: entry.type === 'directory' ? `${entry.path}/` : entry.path,
        type: entry.type,
        mode: entry.mode,
        size: entry.type === 'file' ? entry.body.length : 0,
        mtime,
        uid: 0,
        gid: 0,
        uname: '',
        gname: '',
        ...(entry.type === 'symlink' && { linkname: entry.target }),
      },
      ...(entry.type === 'file' && { body: entry.body }),
    })),
  )
}

/** What differs from a plain entry, for comparing images that others have made. */
export interface ArchiveEntry {
  readonly path: string
  readonly type: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Seconds since 1970. */
  readonly mtime: number
  readonly target: string
  readonly body: Uint8Array
}

/**
 * @param wanted - leaves out what it says no to, by the name in the archive.
 * @throws {McbnError} `MCBN_IMAGE_INVALID` if it is not a tar.
 */
export async function unpackEntries(
  tar: Uint8Array,
  what: string,
  wanted: (name: string) => boolean = () => true,
): Promise<ArchiveEntry[]> {
  let parsed: Awaited<ReturnType<typeof unpackTar>>
  try {
    parsed = await unpackTar(tar, { strict: true, filter: ({ name }) => wanted(name) })
  } catch (cause) {
    const { message } = cause as Error
    throw new McbnError('MCBN_IMAGE_INVALID', `${what}: expected a tar archive, got: ${message}`, {
      cause,
    })
  }
  const entries: ArchiveEntry[] = []
  for (const { header, data } of parsed) {
    const path = archivePath(header.name)
    if (path === undefined) continue
    entries.push({
      path,
      type: header.type ?? 'file',
      mode: (header.mode ?? 0) & 0o7777,
      uid: header.uid ?? 0,
      gid: header.gid ?? 0,
      mtime: Math.floor((header.mtime?.getTime() ?? 0) / 1_000),
      target: header.linkname ?? '',
      body: data ?? new Uint8Array(),
    })
  }
  return entries
}

export async function compress(bytes: Uint8Array): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  // mtime 0: gzip's header has a time too (RFC 1952 section 2.3).
  const gzip = new Gzip({ level: LEVEL, mtime: 0 }, (chunk) => chunks.push(chunk))
  for (let at = 0; at === 0 || at < bytes.length; at += CHUNK_BYTES) {
    gzip.push(bytes.subarray(at, at + CHUNK_BYTES), at + CHUNK_BYTES >= bytes.length)
    // Node's binary takes seconds, in which a program has other things to do.
    await setImmediate()
  }
  return Buffer.concat(chunks)
}

/** Any zlib reads the same, and Node's is fast. Layers made elsewhere may be uncompressed. */
export function decompress(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A file of a folder, or undefined where there is none. */
export async function readIfThere(folder: string, name: string): Promise<Buffer | undefined> {
  try {
    return await readFile(join(folder, name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
