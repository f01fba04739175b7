// What a capture says about record numbers: none may protect two different records (RFC 6347 section 4.1).

import { createCipheriv } from 'node:crypto'
import { recordsOf } from './dtls-wire.js'
import { expand } from './dtls13-records.js'

/**
 * Of the datagrams that one side of a session sent, the numbers of epoch 1 that belong to two records. The same
 * bytes may be sent again: a last flight.
 *
 * @param idLength - bytes of the connection IDs in these records.
 */
export function numbersUsedTwice(
  sent: Iterable<{ readonly bytes: Buffer }>,
  idLength = 0,
): number[] {
  const records = new Map<number, string>()
  const twice: number[] = []
  for (const { bytes } of sent) {
    for (const { epoch, sequence, whole } of recordsOf(bytes, idLength)) {
      if (epoch !== 1) continue
      const record = whole.toString('latin1')
      const known = records.get(sequence)
      if (known !== undefined && known !== record) twice.push(sequence)
      records.set(sequence, record)
    }
  }
  return twice
}

/**
 * The same of DTLS 1.3 with TLS_AES_128_GCM_SHA256, in epoch 3: the 16 bits of its numbers that records tell. Nothing is
 * ever sent again under its number.
 *
 * @param secret - the side's traffic secret of epoch 3, from a key log.
 */
export function numbersUsedTwice13(
  sent: Iterable<{ readonly bytes: Buffer }>,
  secret: Buffer,
  idLength = 0,
): number[] {
  const key = expand(secret, 'sn', 16)
  const seen = new Set<number>()
  const twice: number[] = []
  for (const { bytes } of sent) {
    for (let rest = bytes; rest.length > 0; ) {
      const first = rest[0] as number
      if (first >> 5 !== 1) {
        rest = rest.subarray(13 + rest.readUInt16BE(11))
        continue
      }
      const at = 1 + (first & 16 ? idLength : 0)
      const header = at + (first & 4 ? 4 : 2)
      if ((first & 3) === 3) {
        const mask = createCipheriv('aes-128-ecb', key, null).update(
          rest.subarray(header, header + 16),
        )
        const number = rest.readUInt16BE(at) ^ mask.readUInt16BE(0)
        if (seen.has(number)) twice.push(number)
        seen.add(number)
      }
      rest =
        first & 4 ? rest.subarray(header + rest.readUInt16BE(at + 2)) : rest.subarray(rest.length)
    }
  }
  return twice
}
