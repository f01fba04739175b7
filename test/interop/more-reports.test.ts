// More public bug reports about DTLS and TLS with pre-shared keys, tried here. docs/INTEROP.md lists them with
// their sources, beside those of reports.test.ts.

import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import {
  dial,
  dialOpen,
  freshKey,
  identity,
  nextMessage,
  roundTrip,
  serve,
} from '../dtls/support.js'
import { DtlsPeer, type PeerOptions } from '../support/dtls-peer.js'
import { DtlsServerPeer } from '../support/dtls-server-peer.js'
import {
  clientHelloBody,
  cookieOf,
  DTLS10,
  DTLS12,
  MESSAGE,
  message,
  record,
  TYPE,
  u16,
} from '../support/dtls-wire.js'
import { waitFor } from '../support/wait.js'
import * as tls from '../tls/support.js'

const CIPHER = 'PSK-AES128-GCM-SHA256'

async function served(options: Partial<Parameters<typeof serve>[0]> = {}) {
  const key = freshKey()
  const { server, port } = await serve(
    { psk: { [identity]: key }, ciphers: CIPHER, ...options },
    (socket) => {
      socket.on('message', (text) => socket.send(text))
      socket.on('error', () => {})
    },
  )
  const stranger = (changed: Partial<PeerOptions> = {}) =>
    DtlsPeer.create({ port, identity: Buffer.from(identity), key, ...changed })
  return { server, port, key, stranger, psk: { identity, key } }
}

/** Sends a message as the peer, and waits for its echo. */
async function echoed(peer: DtlsPeer, text: string): Promise<void> {
  peer.send(peer.protect(TYPE.applicationData, Buffer.from(text)))
  await waitFor('the echo', () =>
    peer.decrypted(TYPE.applicationData).some((each) => each.toString() === text),
  )
}

function cookiesAnswered(peer: DtlsPeer): number {
  return peer.received.filter(
    ({ epoch, fragment }) => epoch === 0 && fragment[0] === MESSAGE.helloVerifyRequest,
  ).length
}

describe('interop/more reports: our server', () => {
  it('repeats its last flight when the client repeats its own (pion#479, RFC 6347 section 4.2.4)', async () => {
    const { stranger } = await served()
    const peer = await (await stranger()).open()
    const finished = () =>
      peer.received.filter(({ epoch, type }) => epoch === 1 && type === TYPE.handshake)
    const before = finished().length
    peer.send(peer.lastFlightAgain())
    await waitFor('another Finished', () => finished().length > before)
    await echoed(peer, 'after it')
  })

  it('a client that has restarted on its old port opens a new session; the old one lasts until then (pion#253, Mbed-TLS#204, bc-csharp#457, otp#4393; RFC 6347 section 4.2.8)', async () => {
    const { server, stranger, port, key } = await served()
    const before = await (await stranger()).open()
    const after = DtlsPeer.on(before.socket, { port, identity: Buffer.from(identity), key })
    await after.hello()
    await echoed(before, 'still the old one')
    after.send(Buffer.concat(after.makeLastFlight()))
    await waitFor('the server’s Finished', () => after.finished)
    await echoed(after, 'the new one')
    await waitFor('the end of the old one', () => server.stats.sessions === 1)
  })

  it('a hello of epoch 1 begins nothing (tinydtls#13, contiki-ng#998)', async () => {
    const { server, stranger } = await served()
    const peer = await stranger()
    const hello = message(MESSAGE.clientHello, 0, clientHelloBody())
    peer.send(record(TYPE.handshake, 1, 0, hello, DTLS10))
    peer.send(record(TYPE.handshake, 0, 1, hello, DTLS10))
    await waitFor('the answer to the second', () => cookiesAnswered(peer) > 0)
    expect(cookiesAnswered(peer)).toBe(1)
    expect(server.stats.dropped['unknownPeer']).toBe(1)
  })

  it('Finished before ChangeCipherSpec, twice, ends nothing (tinydtls#79)', async () => {
    const { stranger } = await served()
    const peer = await stranger()
    await peer.hello()
    const [exchange, cipher, finished] = peer.makeLastFlight() as [Buffer, Buffer, Buffer]
    peer.send(exchange)
    peer.send(finished)
    peer.send(cipher)
    peer.send(cipher)
    peer.send(finished)
    await waitFor('the server’s Finished', () => peer.finished)
    await echoed(peer, 'open')
  })

  it('an encrypted alert before the Finished leaves no handshake that repeats itself (openssl#24006)', async () => {
    const { server, stranger } = await served({ handshakeTimeout: 1_000, retransmitTimeout: 50 })
    const peer = await stranger()
    await peer.hello()
    const [exchange, cipher] = peer.makeLastFlight() as [Buffer, Buffer]
    peer.send(Buffer.concat([exchange, cipher]))
    peer.send(peer.seal(TYPE.alert, Buffer.of(2, 40)))
    await waitFor('the end', () => server.stats.sessions === 0)
    expect(server.stats.handshakesFailed).toBe(1)
  })

  it('takes a hello in fragments, as a stateless server can: the cookie in the first (Mbed-TLS#7549, californium#722)', async () => {
    const { stranger } = await served()
    const peer = await stranger()
    const random = Buffer.alloc(32, 9)
    // RFC 7685: padding.
    const extensions = Buffer.concat([u16(21), u16(500), Buffer.alloc(500)])
    const parts = (sequence: number, from: number, cookie?: Buffer): Buffer[] => {
      const body = clientHelloBody({ random, extensions, ...(cookie && { cookie }) })
      const made: Buffer[] = []
      for (let offset = 0; offset < body.length; offset += 200) {
        const length = Math.min(200, body.length - offset)
        const part = message(MESSAGE.clientHello, sequence, body, { offset, length })
        made.push(record(TYPE.handshake, 0, from + made.length, part, DTLS10))
      }
      return made
    }
    for (const part of parts(0, 0)) peer.send(part)
    const verify = await waitFor('a cookie', () =>
      peer.received.find(({ fragment }) => fragment[0] === MESSAGE.helloVerifyRequest),
    )
    for (const part of parts(1, 10, cookieOf(verify.whole))) peer.send(part)
    await waitFor('the ServerHello', () =>
      peer.received.some(({ fragment }) => fragment[0] === MESSAGE.serverHello),
    )
  })

  it.each([1, 32, 33, 127, 128, 129, 255])(
    'an identity of %i bytes is read whole (libcoap#708, tinydtls#160, openssl#12771)',
    async (length) => {
      const name = Buffer.alloc(length, 'i')
      const key = freshKey()
      const { stranger } = await served({ psk: { [name.toString()]: key } })
      await echoed(await (await stranger({ identity: name, key })).open(), 'open')
    },
  )

  it('one client with a wrong key keeps nobody else out (pion#89)', async () => {
    const { stranger, psk, port } = await served()
    const wrong = await stranger({ key: freshKey() })
    await wrong.hello()
    wrong.send(Buffer.concat(wrong.makeLastFlight()))
    await roundTrip(await dialOpen({ port, psk }))
    await waitFor('an alert', () => wrong.plainAlerts.length > 0)
    expect(wrong.plainAlerts[0]).toEqual([2, 51])
  })

  it('a record whose connection ID was cut away is dropped (wolfssl#11177, RFC 9146 section 3)', async () => {
    const { server, stranger } = await served({ connectionId: 8 })
    const peer = await (await stranger({ connectionId: Buffer.alloc(0) })).open()
    peer.send(peer.seal(TYPE.applicationData, Buffer.from('without it')))
    await echoed(peer, 'with it')
    expect(peer.decrypted(TYPE.applicationData).map(String)).toEqual(['with it'])
    expect(server.stats.dropped['connectionId']).toBe(1)
  })

  it('a hello inside an open session changes nothing (tinydtls#99): there is no renegotiation', async () => {
    const { server, stranger } = await served()
    const peer = await (await stranger()).open()
    peer.send(peer.seal(TYPE.handshake, message(MESSAGE.clientHello, 4, clientHelloBody())))
    await waitFor('no_renegotiation', () =>
      peer.decrypted(TYPE.alert).some((each) => each.equals(Buffer.of(1, 100))),
    )
    await echoed(peer, 'as before')
    expect(server.stats.handshakesStarted).toBe(1)
  })

  it('says nothing to a client that has closed (californium#2235), and keeps no place for it (tinydtls#95)', async () => {
    const { server, stranger } = await served()
    const accepted = once(server, 'secureConnection')
    const peer = await (await stranger()).open()
    const [socket] = await accepted
    peer.send(peer.seal(TYPE.alert, Buffer.of(1, 0)))
    await waitFor('the end', () => server.stats.sessions === 0)
    const before = peer.datagrams
    expect(() => socket.send('too late')).toThrow(/closed/)
    peer.send(record(TYPE.applicationData, 1, 9, Buffer.alloc(40)))
    await waitFor('the drop', () => (server.stats.dropped['unknownPeer'] ?? 0) > 0)
    // The goodbye that answers theirs, at most.
    expect(peer.datagrams - before).toBeLessThanOrEqual(1)
  })

  it('a session that closes does not wait for the other side (tinydtls#95)', async () => {
    const { server, stranger } = await served()
    const accepted = once(server, 'secureConnection')
    await (await stranger()).open()
    const [socket] = await accepted
    void socket.close()
    await once(socket, 'close')
    expect(server.stats.sessions).toBe(0)
  })
})

describe('interop/more reports: our client', () => {
  async function client() {
    const key = freshKey()
    const peer = await DtlsServerPeer.create(key)
    const socket = dial({ port: peer.port, psk: { identity, key }, ciphers: CIPHER })
    await waitFor('a hello', () => peer.received.length > 0)
    const flight = () => [peer.serverHello(), peer.next(MESSAGE.serverHelloDone, Buffer.alloc(0))]
    const sent = (kind: number) =>
      peer.received.filter(
        ({ type, epoch, fragment }) =>
          type === TYPE.handshake && epoch === 0 && fragment[0] === kind,
      )
    const finish = async () => {
      const finished = await peer.finished()
      peer.send(
        peer.plain(TYPE.changeCipherSpec, Buffer.of(1)),
        peer.seal(TYPE.handshake, finished),
      )
      await socket.opened
    }
    return { peer, socket, flight, sent, finish }
  }

  it.each([1, 32, 33, 255])(
    'gives back a cookie of %i bytes (wolfssl#10608, RFC 6347 section 4.2.1)',
    async (length) => {
      const { peer } = await client()
      const cookie = Buffer.alloc(length, 'c')
      const body = Buffer.concat([u16(DTLS12), Buffer.of(length), cookie])
      peer.send(peer.plain(TYPE.handshake, message(MESSAGE.helloVerifyRequest, 0, body)))
      const sent = Buffer.concat([Buffer.of(length), cookie])
      await waitFor('the cookie', () => peer.received.some(({ whole }) => whole.includes(sent)))
    },
  )

  it.each([0, 1, 2])(
    'a HelloRequest of message_seq %i in the middle of a handshake is ignored (openssl#32363, RFC 5246 section 7.4.1.1)',
    async (sequence) => {
      const { peer, flight, finish } = await client()
      await peer.hello()
      const request = message(MESSAGE.helloRequest, sequence, Buffer.alloc(0))
      peer.send(peer.plain(TYPE.handshake, request))
      peer.send(...flight())
      await finish()
    },
  )

  it('a Finished in the clear begins nothing anew (wolfssl#9205)', async () => {
    const { peer, flight, sent, finish } = await client()
    await peer.hello()
    peer.send(peer.plain(TYPE.handshake, message(MESSAGE.finished, 0, Buffer.alloc(12))))
    peer.send(...flight())
    await finish()
    const randoms = sent(MESSAGE.clientHello).map(({ fragment }) => `${fragment.subarray(14, 46)}`)
    expect(new Set(randoms).size).toBe(1)
  })

  it('answers a flight when all of it is there, in whatever order it came (botan#4036)', async () => {
    const { peer, flight, sent, finish } = await client()
    await peer.hello()
    const [hello, done] = flight() as [Buffer, Buffer]
    peer.send(done)
    const repeated = peer.received.length
    await waitFor('its hello again', () => peer.received.length > repeated)
    expect(sent(MESSAGE.clientKeyExchange)).toHaveLength(0)
    peer.send(hello)
    peer.send(done)
    await finish()
  })

  it('a HelloRequest in the clear at an open session is ignored (tinydtls#93)', async () => {
    const { peer, socket, flight, sent, finish } = await client()
    await peer.hello()
    peer.send(...flight())
    await finish()
    const before = sent(MESSAGE.clientHello).length
    peer.send(peer.plain(TYPE.handshake, message(MESSAGE.helloRequest, 0, Buffer.alloc(0))))
    const came = nextMessage(socket)
    peer.send(peer.seal(TYPE.applicationData, Buffer.from('still here')))
    expect(String(await came)).toBe('still here')
    expect(sent(MESSAGE.clientHello)).toHaveLength(before)
  })
})

describe('interop/more reports: TLS', () => {
  const key = freshKey()

  it('a suite of TLS 1.2 is used where TLS 1.3 is left out; else TLS 1.3 keeps its own (mosquitto#1670)', async () => {
    const { port } = await tls.serve({ psk: { [identity]: key } })
    const ciphers = 'PSK-AES128-CCM8'
    const options = { port, psk: { identity, key }, ciphers }
    const older = await tls.dialOpen({ ...options, maxVersion: 'TLSv1.2' })
    expect([older.getProtocol(), older.getCipher()?.name]).toEqual(['TLSv1.2', ciphers])
    expect((await tls.dialOpen(options)).getProtocol()).toBe('TLSv1.3')
  })

  it('both sides are told the identity on TLS 1.3 too (openssl#8534, #18886, #24823)', async () => {
    const { server, port } = await tls.serve({ psk: { [identity]: key } })
    const accepted = once(server, 'secureConnection')
    const socket = await tls.dialOpen({ port, psk: { identity, key } })
    const [other] = await accepted
    expect(socket.getProtocol()).toBe('TLSv1.3')
    expect([`${socket.pskIdentity}`, `${other.pskIdentity}`]).toEqual([identity, identity])
  })

  it.each([16, 20, 32, 48, 64])(
    'a key of %i bytes opens TLS 1.3 whatever a suite’s hash has (openssl#5378, #7241, #10735)',
    async (length) => {
      const long = Buffer.alloc(length, 7)
      const { port } = await tls.serve({ psk: { [identity]: long } })
      const socket = await tls.dialOpen({ port, psk: { identity, key: long } })
      expect(socket.getProtocol()).toBe('TLSv1.3')
    },
  )
})
