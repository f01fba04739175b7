// Records of DTLS 1.3 with TLS_AES_128_GCM_SHA256 by hand (RFC 9147 section 4), for peers that say what no library
// would. Without connection IDs.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { hkdfExpandLabel } from '../../src/psk/hkdf.js'
import { RECORD_HEADER, u16 } from './dtls-wire.js'

const TAG = 16
/** 001, no connection ID, a number of 16 bits, a length. */
const FIRST_BYTE = 0x2c
const LONG_NUMBER = 0x08
const LENGTH = 0x04
const EPOCH_BITS = 0x03

export interface RecordNumber13 {
  readonly epoch: number
  readonly sequence: number
}

export interface Opened13 {
  readonly type: number
  readonly content: Buffer
  readonly number: RecordNumber13
}

/** A record as it came: in the clear, or with what an epoch needs to open it. */
export type Frame13 =
  | { readonly encrypted: false; readonly opened: Opened13 }
  | {
      readonly encrypted: true
      readonly bits: number
      readonly header: Buffer
      readonly body: Buffer
    }

/** The records of a datagram. */
export function framesOf(datagram: Buffer): Frame13[] {
  const frames: Frame13[] = []
  for (let rest = datagram; rest.length > 0; ) {
    const first = rest.readUInt8(0)
    if (first >> 5 !== 1) {
      const end = RECORD_HEADER + rest.readUInt16BE(11)
      const number = { epoch: rest.readUInt16BE(3), sequence: rest.readUIntBE(5, 6) }
      const content = rest.subarray(RECORD_HEADER, end)
      frames.push({ encrypted: false, opened: { type: first, content, number } })
      rest = rest.subarray(end)
      continue
    }
    const behind = 1 + (first & LONG_NUMBER ? 2 : 1)
    const header = rest.subarray(0, behind + (first & LENGTH ? 2 : 0))
    const end = first & LENGTH ? header.length + rest.readUInt16BE(behind) : rest.length
    const body = rest.subarray(header.length, end)
    frames.push({ encrypted: true, bits: first & EPOCH_BITS, header, body })
    rest = rest.subarray(end)
  }
  return frames
}

/** One direction's records of one epoch. Numbers are told by their lowest bits: for short sessions only. */
export class Epoch13 {
  readonly epoch: number
  readonly secret: Buffer
  readonly #key: Buffer
  readonly #iv: Buffer
  readonly #mask: Buffer
  #next = 0

  constructor(epoch: number, secret: Buffer) {
    this.epoch = epoch
    this.secret = secret
    this.#key = expand(secret, 'key', 16)
    this.#iv = expand(secret, 'iv', 12)
    this.#mask = expand(secret, 'sn', 16)
  }

  /** With keys that nobody has. */
  static forged(epoch: number): Epoch13 {
    return new Epoch13(epoch, randomBytes(32))
  }

  /** The epoch behind a KeyUpdate (RFC 8446 section 7.2). */
  next(): Epoch13 {
    return new Epoch13(this.epoch + 1, expand(this.secret, 'traffic upd', 32))
  }

  seal(
    type: number,
    content: Uint8Array,
  ): { readonly record: Buffer; readonly number: RecordNumber13 } {
    const sequence = this.#next
    this.#next += 1
    const length = content.length + 1 + TAG
    const first = FIRST_BYTE | (this.epoch & EPOCH_BITS)
    const header = Buffer.concat([Buffer.of(first), u16(sequence), u16(length)])
    const cipher = createCipheriv('aes-128-gcm', this.#key, this.#nonce(sequence))
    cipher.setAAD(header)
    const sealed = [cipher.update(content), cipher.update(Buffer.of(type)), cipher.final()]
    const body = Buffer.concat([...sealed, cipher.getAuthTag()])
    const mask = this.#maskOf(body)
    for (const at of [0, 1])
      header.writeUInt8(header.readUInt8(1 + at) ^ mask.readUInt8(at), 1 + at)
    return { record: Buffer.concat([header, body]), number: { epoch: this.epoch, sequence } }
  }

  /** undefined: not of this epoch, or not authentic. */
  open(frame: Frame13): Opened13 | undefined {
    if (!frame.encrypted || frame.bits !== (this.epoch & EPOCH_BITS)) return undefined
    const header = Buffer.from(frame.header)
    const mask = this.#maskOf(frame.body)
    const bytes = header.readUInt8(0) & LONG_NUMBER ? 2 : 1
    for (let at = 0; at < bytes; at += 1) {
      header.writeUInt8(header.readUInt8(1 + at) ^ mask.readUInt8(at), 1 + at)
    }
    const sequence = header.readUIntBE(1, bytes)
    const cipher = createDecipheriv('aes-128-gcm', this.#key, this.#nonce(sequence))
    cipher.setAAD(header)
    cipher.setAuthTag(frame.body.subarray(-TAG))
    try {
      const inner = Buffer.concat([cipher.update(frame.body.subarray(0, -TAG)), cipher.final()])
      let end = inner.length
      while (inner[end - 1] === 0) end -= 1
      const number = { epoch: this.epoch, sequence }
      return { type: inner.readUInt8(end - 1), content: inner.subarray(0, end - 1), number }
    } catch {
      return undefined
    }
  }

  #nonce(sequence: number): Buffer {
    const nonce = Buffer.from(this.#iv)
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ sequence) >>> 0, 8)
    return nonce
  }

  /** RFC 9147 section 4.2.3 */
  #maskOf(body: Buffer): Buffer {
    return createCipheriv('aes-128-ecb', this.#mask, null).update(body.subarray(0, 16))
  }
}

/** RFC 9147 section 5.9. */
export function expand(
  secret: Uint8Array,
  label: string,
  length: number,
  context: Uint8Array = Buffer.alloc(0),
): Buffer {
  return hkdfExpandLabel('sha256', secret, 'dtls13', label, context, length)
}

/** What an ACK holds (RFC 9147 section 7). */
export function ackOf(numbers: readonly RecordNumber13[]): Buffer {
  const list = numbers.map(({ epoch, sequence }) => {
    const number = Buffer.alloc(16)
    number.writeUIntBE(epoch, 2, 6)
    number.writeUIntBE(sequence, 10, 6)
    return number
  })
  return Buffer.concat([u16(16 * list.length), ...list])
}
