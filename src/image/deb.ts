// A Debian package: an `ar` archive of two compressed tars (deb(5)).

import { gunzipSync } from 'node:zlib'
import xz from 'xz-decompress'
import { McbnError } from '../errors.js'
import { type ArchiveEntry, unpackEntries } from './layer.js'

export interface UnpackedDeb {
  /** The control file: name, version, what it depends on. */
  readonly control: string
  readonly files: readonly ArchiveEntry[]
}

const AR_MAGIC = '!<arch>\n'
const AR_HEADER_BYTES = 60

/** @throws {McbnError} `MCBN_IMAGE_INVALID` if it is no such package. */
export async function unpackDeb(what: string, deb: Uint8Array): Promise<UnpackedDeb> {
  const members = arMembers(what, Buffer.from(deb.buffer, deb.byteOffset, deb.byteLength))
  const [control, data] = await Promise.all(
    ['control', 'data'].map(async (name) => await tarOf(what, members, name)),
  )
  const about = control?.find(({ path }) => path === 'control')
  if (about === undefined || data === undefined) throw bad(what, 'a control file')
  return { control: Buffer.from(about.body).toString('utf8'), files: data }
}

async function tarOf(
  what: string,
  members: ReadonlyMap<string, Buffer>,
  name: string,
): Promise<readonly ArchiveEntry[]> {
  for (const [ending, unpack] of DECOMPRESSORS) {
    const member = members.get(`${name}.tar${ending}`)
    if (member !== undefined)
      return await unpackEntries(await unpack(member), `${what}: ${name}.tar`)
  }
  throw bad(what, `${name}.tar, .gz or .xz`)
}

const DECOMPRESSORS: readonly (readonly [string, (bytes: Buffer) => Promise<Buffer> | Buffer])[] = [
  ['.xz', unxz],
  ['.gz', gunzipSync],
  ['', (bytes) => bytes],
]

async function unxz(bytes: Buffer): Promise<Buffer> {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes)
      controller.close()
    },
  })
  const chunks: Uint8Array[] = []
  const reader = new xz.XzReadableStream(source).getReader()
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    // The decoder uses its memory again.
    chunks.push(Uint8Array.from(read.value))
  }
  return Buffer.concat(chunks)
}

function arMembers(what: string, archive: Buffer): Map<string, Buffer> {
  if (archive.toString('latin1', 0, AR_MAGIC.length) !== AR_MAGIC) throw bad(what, 'an ar archive')
  const members = new Map<string, Buffer>()
  for (let at = AR_MAGIC.length; at + AR_HEADER_BYTES <= archive.length; ) {
    const name = archive
      .toString('latin1', at, at + 16)
      .trim()
      .replace(/\/$/, '')
    const size = Number(archive.toString('latin1', at + 48, at + 58))
    const begin = at + AR_HEADER_BYTES
    if (!Number.isSafeInteger(size) || begin + size > archive.length)
      throw bad(what, 'whole members')
    members.set(name, archive.subarray(begin, begin + size))
    // Members begin at even offsets.
    at = begin + size + (size % 2)
  }
  return members
}

function bad(what: string, expected: string): McbnError {
  return new McbnError('MCBN_IMAGE_INVALID', `${what}: expected a Debian package with ${expected}`)
}
