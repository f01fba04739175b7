// Public bug reports about DTLS with pre-shared keys, each tried here by hand-made bytes. docs/INTEROP.md lists
// them with their sources, beside those that other tests try.

import { describe, expect, it } from 'vitest'
import { dial, freshKey, identity, serve } from '../dtls/support.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { DtlsServerPeer } from '../support/dtls-server-peer.js'
import {
  clientHelloBody,
  cookieOf,
  DTLS12,
  MESSAGE,
  message,
  record,
  TYPE,
  u16,
} from '../support/dtls-wire.js'
import { waitFor } from '../support/wait.js'

const CIPHER = 'PSK-AES128-GCM-SHA256'

async function stranger() {
  const key = freshKey()
  const { server, port } = await serve({ psk: { [identity]: key }, ciphers: CIPHER })
  const peer = await DtlsPeer.create({ port, identity: Buffer.from(identity), key })
  const answer = (type: number, from = 0) =>
    waitFor(`message ${type}`, () =>
      peer.received.slice(from).find((each) => each.epoch === 0 && each.fragment[0] === type),
    )
  return { server, peer, answer }
}

/** A ClientHello with these numbers, in a record of this version. */
function hello(numbers: { record: number; message: number }, cookie?: Buffer, version = DTLS12) {
  const body = clientHelloBody({ random: Buffer.alloc(32, 7), ...(cookie && { cookie }) })
  const made = message(MESSAGE.clientHello, numbers.message, body)
  return record(TYPE.handshake, 0, numbers.record, made, version)
}

describe('interop/reports: our server', () => {
  it('takes hellos in records of DTLS 1.2, as tinydtls sends them (libcoap#160)', async () => {
    const { peer, answer } = await stranger()
    peer.send(hello({ record: 0, message: 0 }))
    const cookie = cookieOf((await answer(MESSAGE.helloVerifyRequest)).whole)
    peer.send(hello({ record: 1, message: 1 }, cookie))
    await answer(MESSAGE.serverHello)
  })

  it('answers every hello whose HelloVerifyRequest was lost (openssl#2439)', async () => {
    const { peer, answer } = await stranger()
    for (let sent = 0; sent < 4; sent += 1) {
      const from = peer.received.length
      peer.send(hello({ record: sent, message: 0 }))
      const verify = await answer(MESSAGE.helloVerifyRequest, from)
      // RFC 6347 section 4.2.1: the number of the hello.
      expect(verify.sequence).toBe(sent)
    }
  })

  it.each([1, 5, 900])(
    'begins its flight with the record number of the hello, %i (tinydtls#84, openssl#32063)',
    async (number) => {
      const { peer, answer } = await stranger()
      peer.send(hello({ record: number - 1, message: 0 }))
      const cookie = cookieOf((await answer(MESSAGE.helloVerifyRequest)).whole)
      peer.send(hello({ record: number, message: 1 }, cookie))
      // Any less, and a client that has seen a HelloVerifyRequest of that number drops it as a replay.
      expect((await answer(MESSAGE.serverHello)).sequence).toBeGreaterThanOrEqual(number)
    },
  )

  it('lives through a hello of message_seq 2, after two cookies (Mbed-TLS#4376)', async () => {
    const { server, peer, answer } = await stranger()
    peer.send(hello({ record: 0, message: 0 }))
    const cookie = cookieOf((await answer(MESSAGE.helloVerifyRequest)).whole)
    peer.send(hello({ record: 2, message: 2 }, cookie))
    peer.send(hello({ record: 3, message: 1 }, cookie))
    await answer(MESSAGE.serverHello)
    expect(server.stats.handshakesCompleted).toBe(0)
  })
})

describe('interop/reports: our client', () => {
  it.each([
    ['under the number of the hello, at once', (number: number) => number, 60_000],
    ['under its own numbers, with the next repeat', undefined, 50],
  ])(
    'follows servers that ask for another cookie each time, %s (pion#276, RFC 6347 section 4.2.1)',
    async (_how, numbered, retransmitTimeout) => {
      const key = freshKey()
      const peer = await DtlsServerPeer.create(key)
      const options = { ciphers: CIPHER, retransmitTimeout, handshakeTimeout: 60_000 }
      const client = dial({ port: peer.port, psk: { identity, key }, ...options })
      let answered = 0
      await waitFor('a third cookie in use', () => {
        const hellos = peer.received.filter(
          ({ epoch, fragment }) => epoch === 0 && fragment[0] === MESSAGE.clientHello,
        )
        for (; answered < hellos.length; answered += 1) {
          const { sequence, fragment } = hellos[answered] as (typeof hellos)[number]
          const cookie = Buffer.alloc(16, answered + 1)
          const body = Buffer.concat([u16(DTLS12), Buffer.of(cookie.length), cookie])
          const verify = message(MESSAGE.helloVerifyRequest, fragment.readUInt16BE(4), body)
          const numberless = peer.plain(TYPE.handshake, verify)
          peer.send(numbered ? record(TYPE.handshake, 0, numbered(sequence), verify) : numberless)
        }
        // message_seq counts the cookies that were followed.
        return hellos.some(({ fragment }) => fragment.readUInt16BE(4) === 2)
      })
      expect(client.stats.retransmits > 0).toBe(!numbered)
    },
  )
})
