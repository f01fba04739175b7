// What a capture says about record numbers: none may protect two different records (RFC 6347 section 4.1).

import { recordsOf } from './dtls-wire.js'

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
