// Datagrams that anybody can send who knows both addresses: they must change nothing (RFC 6347 section 4.1.2.7).

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { alert, MESSAGE, message, record, TYPE } from '../support/dtls-wire.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { seeded, seededBytes } from '../support/random.js'
import { waitFor } from '../support/wait.js'
import { dialOpen, echo, freshKey, identity, roundTrip } from './support.js'

const SUITES = [
  'PSK-AES128-GCM-SHA256',
  'PSK-AES128-CCM',
  'PSK-AES128-CCM8',
  'PSK-CHACHA20-POLY1305',
  'PSK-AES128-CBC-SHA',
  'PSK-AES128-CBC-SHA256',
  'PSK-AES256-CBC-SHA384',
]

/** What a stranger can put into an open session. */
function strangersDatagrams(): Buffer[] {
  const random = seeded(5)
  const datagrams: Buffer[] = [
    Buffer.alloc(0),
    alert(2, 40, 900),
    alert(1, 0, 901),
    alert(2, 0, 902),
  ]
  for (const type of [20, 21, 22, 23, 24, 25, 0, 255]) {
    for (const epoch of [0, 1, 2, 3, 65_535]) {
      for (const length of [
        0, 1, 2, 7, 8, 9, 15, 16, 17, 20, 23, 24, 25, 31, 32, 33, 47, 48, 49, 64,
      ]) {
        datagrams.push(record(type, epoch, 1_000 + length, seededBytes(random, length)))
      }
    }
    // lengths that lie, other versions, the highest sequence numbers
    datagrams.push(record(type, 1, 5, seededBytes(random, 30), 0xfefd, 65_535))
    datagrams.push(record(type, 1, 5, seededBytes(random, 30), 0xfefd, 3))
    datagrams.push(record(type, 1, 5, seededBytes(random, 40), 0xfeff))
    datagrams.push(record(type, 1, 5, seededBytes(random, 40), 0x0303))
    datagrams.push(record(type, 1, 2 ** 48 - 1, seededBytes(random, 40)))
    datagrams.push(record(type, 1, 6, seededBytes(random, 16_384 + 256)))
    datagrams.push(record(type, 1, 7, seededBytes(random, 18_432)))
    datagrams.push(record(type, 1, 8, seededBytes(random, 60_000)))
  }
  const hello = message(MESSAGE.helloRequest, 0, Buffer.alloc(0))
  datagrams.push(record(TYPE.handshake, 0, 950, hello))
  return datagrams
}

describe.each(SUITES)('dtls/open session with %s', (ciphers) => {
  it('is not ended, nor changed, by any record of a stranger', async () => {
    const key = freshKey()
    const { server, port, failures } = await echo({ psk: { [identity]: key }, ciphers })
    const accepted = once(server, 'secureConnection')
    let toClient: (datagram: Buffer) => void = () => {}
    const proxy = await LossyProxy.start(port)
    toClient = (datagram) => proxy.inject(datagram, 'to client')
    const client = await dialOpen({ port: proxy.port, ciphers, psk: { identity, key } })
    const [session] = (await accepted) as [DtlsSocket]
    const heard = [0, 0]
    client.on('message', () => (heard[0] = (heard[0] as number) + 1))
    session.on('message', () => (heard[1] = (heard[1] as number) + 1))
    const errors: Error[] = []
    client.on('error', (error) => errors.push(error))
    for (const [index, datagram] of strangersDatagrams().entries()) {
      proxy.inject(datagram, 'to server')
      toClient(datagram)
      if (index % 32 === 31) await sleep(1)
    }
    await roundTrip(client)
    expect(errors).toEqual([])
    expect(failures).toEqual([])
    expect(heard).toEqual([1, 1])
    expect(server.stats.sessions).toBe(1)
  })
})

describe('dtls/handshake under fire', () => {
  it.each([
    ['short ones of the next epoch', () => record(TYPE.handshake, 1, 0, Buffer.alloc(9, 7))],
    ['short alerts of the next epoch', () => record(TYPE.alert, 1, 0, Buffer.alloc(2, 2))],
    ['messages of the next epoch', () => record(TYPE.applicationData, 1, 3, Buffer.alloc(60, 2))],
    ['epochs to come', () => record(TYPE.handshake, 2, 0, Buffer.alloc(60, 2))],
    ['garbage', () => Buffer.alloc(40, 0x16)],
    ['zero-length datagrams', () => Buffer.alloc(0)],
    ['zero-length records', () => record(TYPE.handshake, 0, 800, Buffer.alloc(0))],
    ['fatal alerts in the clear', () => alert(2, 40, 801)],
    ['close_notify in the clear', () => alert(1, 0, 802)],
    ['fatal unknown_psk_identity', () => alert(2, 115, 803)],
    ['decrypt_error', () => alert(2, 51, 804)],
    ['ChangeCipherSpec too early', () => record(TYPE.changeCipherSpec, 0, 805, Buffer.from([1]))],
    ['plaintext data', () => record(TYPE.applicationData, 0, 806, Buffer.from('hello'))],
    [
      'a HelloRequest',
      () => record(TYPE.handshake, 0, 807, message(MESSAGE.helloRequest, 0, Buffer.alloc(0))),
    ],
    [
      'a Finished in the clear',
      () => record(TYPE.handshake, 0, 808, message(MESSAGE.finished, 3, Buffer.alloc(12))),
    ],
    [
      'a certificate',
      () => record(TYPE.handshake, 0, 809, message(MESSAGE.certificate, 1, Buffer.alloc(3))),
    ],
    [
      'fragments that lie about the length',
      () =>
        record(
          TYPE.handshake,
          0,
          810,
          message(MESSAGE.clientKeyExchange, 2, Buffer.alloc(8), { total: 0xffffff }),
        ),
    ],
    [
      'fragments beyond their message',
      () =>
        record(
          TYPE.handshake,
          0,
          811,
          message(MESSAGE.clientKeyExchange, 2, Buffer.alloc(8), {
            offset: 4,
            length: 4,
            total: 6,
          }),
        ),
    ],
  ])('goes on through %s, on both sides, beside every datagram', async (_what, make) => {
    const key = freshKey()
    const psk = () => sleep(30, key)
    const { port, failures } = await echo({ psk, retransmitTimeout: 100 })
    const proxy = await LossyProxy.start(port, {
      pass: (_datagram, direction) => {
        // In front of each datagram and behind it, in its direction.
        proxy.inject(make(), direction)
        setImmediate(() => proxy.inject(make(), direction))
        return true
      },
    })
    const options = { port: proxy.port, retransmitTimeout: 100, psk: { identity, key } }
    await roundTrip(await dialOpen(options))
    expect(failures).toEqual([])
  })

  it('a fatal alert while the key is looked up does not end what the client goes on with', async () => {
    const key = freshKey()
    const psk = () => sleep(1_500, key)
    const { port, failures } = await echo({ psk })
    const proxy = await LossyProxy.start(port)
    const socket = dialOpen({ port: proxy.port, psk: { identity, key } })
    for (let round = 0; round < 10; round += 1) {
      await sleep(100)
      proxy.inject(alert(2, 40, 500 + round), 'to server')
    }
    await roundTrip(await socket)
    expect(failures).toEqual([])
  })

  it('a thousand encrypted records before ChangeCipherSpec are not kept', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    const peer = await DtlsPeer.create({ port, identity: Buffer.from(identity), key })
    await peer.hello()
    for (let sequence = 1; sequence <= 1_000; sequence += 1) {
      peer.send(record(TYPE.handshake, 1, 5_000 + sequence, Buffer.alloc(60, sequence)))
      if (sequence % 50 === 0) await sleep(1)
    }
    await waitFor('the floods', () => (server.stats.dropped['flood'] ?? 0) > 500)
    expect(server.stats.sessions).toBe(1)
  })
})
