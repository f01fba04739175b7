// Messages through a DamagingProxy, and the account of what became of them.

import { expect } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { collect, roundTrip } from '../dtls/support.js'
import { type DamagingProxy, KINDS_OF_DAMAGE } from '../support/damaging-proxy.js'
import { seeded, seededBytes } from '../support/random.js'
import { waitFor } from '../support/wait.js'

/** Under way at a time: less than the reordering and any peer's socket buffer would mind. */
const WINDOW = 16

/**
 * Sends messages to a peer that sends them back through the proxy, which damages the answers on their way to
 * `socket`. What was not damaged comes exactly once, nothing else comes, and the session lives on.
 */
export async function expectUndamaged(
  socket: DtlsSocket,
  proxy: DamagingProxy,
  count = 400,
): Promise<void> {
  await roundTrip(socket, 'open')
  const errors: Error[] = []
  socket.on('error', (error) => errors.push(error))
  const delivered = collect(socket)
  const random = seeded(count)
  const sent: Buffer[] = []
  proxy.begin()
  while (sent.length < count) {
    for (let each = 0; each < WINDOW; each += 1) {
      // Four bytes that tell one from another, then anything.
      const length = Math.floor(random() ** 3 * (socket.maxDatagramSize - 4))
      const message = Buffer.concat([Buffer.alloc(4), seededBytes(random, length)])
      message.writeUInt32BE(sent.length)
      sent.push(message)
      socket.send(message)
    }
    await waitFor(`${sent.length} answers on their way`, () => proxy.records === sent.length)
  }
  proxy.calm()
  const expected = sent.filter((_message, index) => !proxy.lost.has(index))
  proxy.replayAll()
  await waitFor('all that was not damaged', () => delivered.length >= expected.length)
  // Behind everything else: what is delivered twice, or was damaged, has come by then.
  await roundTrip(socket, 'still here')
  delivered.pop()
  expect(delivered.map(toHex).sort()).toEqual(expected.map(toHex).sort())
  expect(errors).toEqual([])
  // Chance has done all of it, and left something.
  expect(Object.keys(proxy.done)).toHaveLength(KINDS_OF_DAMAGE)
  expect(expected.length).toBeGreaterThan(count / 3)
}

const toHex = (message: Buffer): string => message.toString('hex')
