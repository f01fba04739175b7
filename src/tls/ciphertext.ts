// Buffers for records on their way out, and for the plaintext of those that come in.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Plaintext bytes a single call encrypts: one crossing and one system call for sixteen records. */
export const PIECE_BYTES = 256 * 1024
/** Header, explicit nonce, tag and content type of a record come to at most 29 bytes with AEAD. */
const RECORD_OVERHEAD = 64
/** Plaintext bytes of the largest record (RFC 8446 section 5.1). */
export const RECORD_BYTES = 16 * 1024
/** Below this, Node's own pool of small buffers is the cheapest place. */
const SMALL_BYTES = 2048
const SLAB_BYTES = ciphertextRoom(PIECE_BYTES)
/** Slabs kept between writes, for all connections of the thread together: 1 MB. */
const MAX_SPARE = 4

const spare: Buffer[] = []

/** Room for the records of so many bytes of plaintext. */
function ciphertextRoom(plaintextBytes: number): number {
  return plaintextBytes + (Math.floor(plaintextBytes / RECORD_BYTES) + 1) * RECORD_OVERHEAD
}

/** From here on a chunk that came in is worth using again for its own plaintext. */
const IN_PLACE_BYTES = 4096

/** Largest buffer for the plaintext of one chunk; what does not fit comes in the next. */
const MAX_ROOM = 1024 * 1024

/**
 * Where the plaintext of a chunk goes. A chunk of a net.Socket is fresh memory: unless somebody else
 * listens to that stream too, it is overwritten with its own plaintext, because allocating as much again
 * costs more than decrypting.
 */
export function roomFor(chunk: Buffer, transport: Duplex, reusable: boolean): Buffer {
  const owned = chunk.length === chunk.buffer.byteLength && transport.listenerCount('data') === 1
  if (reusable && owned && chunk.length >= IN_PLACE_BYTES) return chunk
  if (chunk.length < RECORD_BYTES) return Buffer.allocUnsafe(chunk.length)
  // A partial record may wait inside OpenSSL: it comes out with the chunk that completes it.
  return Buffer.allocUnsafeSlow(Math.min(chunk.length + RECORD_BYTES, MAX_ROOM))
}

/**
 * Whether a buffer may be used again once the stream's write callback has come: net.Socket has given
 * it to the kernel by then. Other streams may still hold it (a PassThrough hands it on).
 */
export function releasesWrites(transport: Duplex): boolean {
  return Object.getPrototypeOf(transport) === Socket.prototype
}

/** A buffer for the records of so many bytes, at most {@link PIECE_BYTES}. */
export function takeSlab(plaintextBytes: number, reusable: boolean): Buffer {
  if (plaintextBytes < SMALL_BYTES) return Buffer.allocUnsafe(ciphertextRoom(plaintextBytes))
  if (!reusable) return Buffer.allocUnsafeSlow(ciphertextRoom(plaintextBytes))
  return spare.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES)
}

/** Gives back what {@link takeSlab} gave, once nobody reads it any more. */
export function giveSlab(slab: Buffer): void {
  if (slab.length === SLAB_BYTES && spare.length < MAX_SPARE) spare.push(slab)
}

/** The chunks of a corked write in pieces: small ones joined, so that they share records. */
export function piecesOf(chunks: readonly Buffer[]): Buffer[] {
  const pieces: Buffer[] = []
  let group: Buffer[] = []
  let size = 0
  const close = (): void => {
    if (group.length > 0)
      pieces.push(group.length === 1 ? (group[0] as Buffer) : Buffer.concat(group))
    group = []
    size = 0
  }
  for (const chunk of chunks) {
    if (size + chunk.length > PIECE_BYTES) close()
    group.push(chunk)
    size += chunk.length
  }
  close()
  return pieces
}
