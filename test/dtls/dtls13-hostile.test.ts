// Floods against DTLS 1.3: strangers without a key, and somebody on the path who writes in both names.

import { describe, expect, it } from 'vitest'
import { record } from '../support/dtls-wire.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { slowdown } from '../support/pace.js'
import { seeded, seededBytes } from '../support/random.js'
import { waitFor } from '../support/wait.js'
import {
  BOTH,
  dial,
  dialOpen,
  echo,
  flood,
  freshKey,
  identity,
  NEWER,
  rawSocket,
  residentBytes,
  roundTrip,
} from './support.js'

const key = freshKey()
const psk = { identity, key }
const TYPE = { alert: 21, handshake: 22, ack: 26 } as const

/** The first datagrams of an honest client: its hello, and the one with the cookie. */
async function hellos(port: number): Promise<readonly Buffer[]> {
  const seen: Buffer[] = []
  const proxy = await LossyProxy.start(port, {
    pass: (datagram, direction) => {
      if (direction === 'to server') seen.push(Buffer.from(datagram))
      return seen.length < 2
    },
  })
  const client = dial({ ...NEWER, port: proxy.port, psk })
  await waitFor('both hellos', () => seen.length >= 2)
  client.destroy()
  return seen.slice(0, 2)
}

/** A record under encryption, as far as its first byte says (RFC 9147 section 4). */
function unified(random: () => number): Buffer {
  const noise = seededBytes(random, 20 + Math.floor(random() * 200))
  noise[0] = 0x20 | Math.floor(random() * 32)
  return noise
}

describe('dtls13/floods', () => {
  it('100,000 datagrams of garbage cost no memory and no session, and a good client connects', async () => {
    const { server, port } = await echo({ ...BOTH, psk: { [identity]: key } })
    const good = await hellos(port)
    const started = server.stats.handshakesStarted
    const random = seeded(5)
    const samples = Array.from({ length: 2_000 }, (_, index) => {
      const hello = good[index % 2] as Buffer
      const damaged = Buffer.from(hello)
      switch (index % 6) {
        case 0:
          return unified(random)
        case 1:
          return hello.subarray(0, Math.floor(random() * hello.length))
        case 2:
          damaged[13 + Math.floor(random() * (hello.length - 13))] = Math.floor(random() * 256)
          return damaged
        case 3: {
          // Half a hello, again and again: the rest never comes.
          damaged.writeUIntBE(hello.length - 25 - 60, 22, 3)
          return damaged.subarray(0, hello.length - 60)
        }
        case 4:
          return record(TYPE.ack, 0, index, seededBytes(random, 18))
        default:
          return record(20 + (index % 8), index % 4, index, seededBytes(random, index % 300))
      }
    })
    const stranger = await rawSocket()
    const count = slowdown > 1 ? 20_000 : 100_000
    await flood(stranger, port, 5_000, (index) => samples[index % samples.length] as Buffer)
    const before = residentBytes()
    await flood(stranger, port, count, (index) => samples[index % samples.length] as Buffer)
    const growth = residentBytes() - before
    // No cookie is for that address (RFC 9147 section 5.1).
    expect(server.stats.handshakesStarted).toBe(started)
    await roundTrip(await dialOpen({ ...NEWER, port, psk }))
    await roundTrip(await dialOpen({ port, psk }))
    expect(server.stats.datagramsReceived).toBeGreaterThan(count / 10)
    if (slowdown === 1) expect(growth).toBeLessThan(64 * 1_048_576)
  })

  it('an open session outlives whatever is written in its name (RFC 9147 section 4.5.2)', async () => {
    const { server, port } = await echo({ ...BOTH, psk: { [identity]: key } })
    const good = await hellos(port)
    const proxy = await LossyProxy.start(port)
    const client = await dialOpen({ ...NEWER, port: proxy.port, psk })
    await roundTrip(client)
    const random = seeded(6)
    const forgeries = [
      () => unified(random),
      () => record(TYPE.alert, 0, 1_000, Buffer.from([2, 40])),
      () => record(TYPE.alert, 0, 1_000, Buffer.from([1, 0])),
      () => record(TYPE.ack, 0, 1_000, Buffer.from([0, 0])),
      () => record(TYPE.handshake, 0, 1_000, seededBytes(random, 60)),
      () => good[0] as Buffer,
      () => good[1] as Buffer,
    ]
    for (let round = 0; round < 40; round += 1) {
      for (let count = 0; count < 50; count += 1) {
        const forged = forgeries[Math.floor(random() * forgeries.length)] as () => Buffer
        proxy.inject(forged(), 'to server')
        proxy.inject(forged(), 'to client')
      }
      if (round % 10 === 5) client.updateKeys()
      await roundTrip(client, `round ${round}`)
    }
    expect(client.readyState).toBe('open')
    expect(client.stats.recordsDropped).toBeGreaterThan(0)
    await waitFor('the new keys', () => client.stats.keyUpdatesSent === 4)
    expect([...server.sessions].map((socket) => socket.getProtocol())).toEqual(['DTLSv1.3'])
  })

  it.each([1, 2, 3])(
    'a handshake opens under alerts, ACKs and retries of somebody on the path (seed %i)',
    async (seed) => {
      const { server, port } = await echo({ ...BOTH, psk: { [identity]: key } })
      const random = seeded(seed)
      let retry: Buffer | undefined
      let retries = 0
      const proxy = await LossyProxy.start(port, {
        pass: (datagram, direction) => {
          if (direction === 'to client') retry ??= Buffer.from(datagram)
          const forged = [
            record(
              TYPE.alert,
              0,
              500,
              Buffer.from([2, [40, 47, 51, 0][Math.floor(random() * 4)] as number]),
            ),
            record(TYPE.ack, 0, 501, Buffer.from([0, 0])),
            unified(random),
          ]
          // A client turns back eight times. Somebody who is always first has the last word.
          if (retry && ++retries <= 3) {
            const other = Buffer.from(retry)
            other[other.length - 1] = Math.floor(random() * 256)
            forged.push(other)
          }
          for (const each of forged) {
            proxy.inject(each, 'to client')
            proxy.inject(each, 'to server')
          }
          return true
        },
      })
      const clients = await Promise.all(
        Array.from({ length: 4 }, () => dialOpen({ ...NEWER, port: proxy.port, psk })),
      )
      await Promise.all(clients.map((client, index) => roundTrip(client, `${index}`)))
      await waitFor('the server too', () => server.stats.handshakesCompleted === clients.length)
    },
  )
})
