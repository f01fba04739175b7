// The file that `openssl s_client/s_server -psk_session` takes: the only way to give these programs a
// TLS 1.3 key bound to SHA-384. It is a PEM of OpenSSL's SSL_SESSION (d2i_SSL_SESSION(3)).

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Writes a session whose master key is the PSK and whose suite is TLS_AES_256_GCM_SHA384. */
export function sha384Session(folder: string, keyHex: string): string {
  const now = Math.floor(Date.now() / 1000)
  const body = sequence(
    integer(1), // SSL_SESSION_ASN1_VERSION
    integer(0x0304), // TLS 1.3
    octets(Buffer.from([0x13, 0x02])), // TLS_AES_256_GCM_SHA384
    octets(Buffer.alloc(0)), // session id
    octets(Buffer.from(keyHex, 'hex')),
    tagged(1, integer(now)), // start time
    tagged(2, integer(7_200)), // timeout in seconds
    tagged(4, octets(Buffer.alloc(0))), // session id context
  )
  const pem = `-----BEGIN SSL SESSION PARAMETERS-----\n${body.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END SSL SESSION PARAMETERS-----\n`
  const file = join(folder, 'session.pem')
  writeFileSync(file, pem)
  return file
}

const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, Buffer.concat(parts))
const octets = (bytes: Buffer): Buffer => der(0x04, bytes)
const tagged = (tag: number, part: Buffer): Buffer => der(0xa0 | tag, part)

function integer(value: number): Buffer {
  const hex = value.toString(16)
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')
  const negative = (bytes[0] ?? 0) >= 0x80
  return der(0x02, negative ? Buffer.concat([Buffer.of(0), bytes]) : bytes)
}

/** Tag, length of up to 127 bytes or in the two-byte long form, contents (X.690 section 8.1). */
function der(tag: number, contents: Buffer): Buffer {
  const { length } = contents
  const head = length < 128 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), contents])
}
