// DTLS 1.2 records and handshake messages by hand (RFC 6347 sections 4.1 and 4.2.2), for tests that send
// what no library would.

import { randomBytes } from 'node:crypto'

export const TYPE = {
  changeCipherSpec: 20,
  alert: 21,
  handshake: 22,
  applicationData: 23,
  tls12Cid: 25,
  returnRoutabilityCheck: 27,
} as const
export const MESSAGE = {
  helloRequest: 0,
  clientHello: 1,
  serverHello: 2,
  helloVerifyRequest: 3,
  certificate: 11,
  serverKeyExchange: 12,
  serverHelloDone: 14,
  clientKeyExchange: 16,
  finished: 20,
} as const
export const DTLS10 = 0xfeff
export const DTLS12 = 0xfefd
export const RECORD_HEADER = 13
export const MESSAGE_HEADER = 12
/** TLS_PSK_WITH_AES_128_GCM_SHA256 */
export const SUITE = 0x00a8

export interface WireRecord {
  readonly type: number
  readonly version: number
  readonly epoch: number
  readonly sequence: number
  readonly fragment: Buffer
  readonly whole: Buffer
}

export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255])
}

export function u24(value: number): Buffer {
  return Buffer.from([value >> 16, (value >> 8) & 255, value & 255])
}

export function record(
  type: number,
  epoch: number,
  sequence: number,
  fragment: Uint8Array,
  version: number = DTLS12,
  length: number = fragment.length,
): Buffer {
  const header = Buffer.alloc(RECORD_HEADER)
  header.writeUInt8(type, 0)
  header.writeUInt16BE(version, 1)
  header.writeUInt16BE(epoch, 3)
  header.writeUIntBE(sequence, 5, 6)
  header.writeUInt16BE(length, 11)
  return Buffer.concat([header, fragment])
}

/**
 * The records of a datagram; what follows the last whole one is left out.
 * @param idLength - bytes of the connection ID in tls12_cid records (RFC 9146 section 4).
 */
export function recordsOf(datagram: Buffer, idLength = 0): WireRecord[] {
  const records: WireRecord[] = []
  let at = 0
  for (;;) {
    const id = datagram[at] === TYPE.tls12Cid ? idLength : 0
    const begin = at + RECORD_HEADER + id
    if (begin > datagram.length) break
    const end = begin + datagram.readUInt16BE(begin - 2)
    if (end > datagram.length) break
    records.push({
      type: datagram.readUInt8(at),
      version: datagram.readUInt16BE(at + 1),
      epoch: datagram.readUInt16BE(at + 3),
      sequence: datagram.readUIntBE(at + 5, 6),
      fragment: datagram.subarray(begin, end),
      whole: datagram.subarray(at, end),
    })
    at = end
  }
  return records
}

/** One fragment of a handshake message: by default all of it. */
export function message(
  type: number,
  sequence: number,
  body: Uint8Array,
  part: { readonly offset?: number; readonly length?: number; readonly total?: number } = {},
): Buffer {
  const { offset = 0, length = body.length - offset, total = body.length } = part
  return Buffer.concat([
    Buffer.from([type]),
    u24(total),
    u16(sequence),
    u24(offset),
    u24(length),
    body.subarray(offset, offset + length),
  ])
}

export interface HelloParts {
  readonly random?: Buffer
  readonly cookie?: Buffer
  readonly suites?: readonly number[]
  readonly extensions?: Buffer
}

export function clientHelloBody(parts: HelloParts = {}): Buffer {
  const { random = randomBytes(32), cookie = Buffer.alloc(0), suites = [SUITE] } = parts
  const list = Buffer.concat(suites.map(u16))
  return Buffer.concat([
    u16(DTLS12),
    random,
    Buffer.from([0, cookie.length]),
    cookie,
    u16(list.length),
    list,
    Buffer.from([1, 0]),
    ...(parts.extensions ? [u16(parts.extensions.length), parts.extensions] : []),
  ])
}

/** A datagram with a ClientHello. */
export function clientHello(
  parts: HelloParts = {},
  sequence = 0,
  recordSequence = sequence,
): Buffer {
  const body = clientHelloBody(parts)
  return record(
    TYPE.handshake,
    0,
    recordSequence,
    message(MESSAGE.clientHello, sequence, body),
    DTLS10,
  )
}

/** A datagram with a HelloVerifyRequest, in answer to the hello with this record number; its cookie is the sender's. */
export function verifyRequest(recordSequence: number, sequence = recordSequence): Buffer {
  const body = Buffer.concat([u16(DTLS12), Buffer.of(16), randomBytes(16)])
  return record(
    TYPE.handshake,
    0,
    recordSequence,
    message(MESSAGE.helloVerifyRequest, sequence, body),
    DTLS10,
  )
}

export function alert(level: number, description: number, sequence = 0): Buffer {
  return record(TYPE.alert, 0, sequence, Buffer.from([level, description]))
}

/** The cookie of a datagram with a HelloVerifyRequest. */
export function cookieOf(datagram: Buffer): Buffer | undefined {
  const [first] = recordsOf(datagram)
  if (first?.type !== TYPE.handshake || first.fragment[0] !== MESSAGE.helloVerifyRequest) {
    return undefined
  }
  const body = first.fragment.subarray(MESSAGE_HEADER)
  return body.subarray(3, 3 + body.readUInt8(2))
}
