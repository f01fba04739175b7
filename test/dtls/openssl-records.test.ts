// Sessions whose records OpenSSL makes (a CBC suite, or `records: 'openssl'`), and ours beside them, against a
// peer that sends what is allowed and rare. Both layers must come to the same.

import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { DtlsServerOptions, DtlsSocket } from '../../src/dtls/index.js'
import type { McbnError } from '../../src/errors.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { DtlsServerPeer } from '../support/dtls-server-peer.js'
import { MESSAGE, message, TYPE, u16 } from '../support/dtls-wire.js'
import { waitFor } from '../support/wait.js'
import { dial, freshKey, identity, serve } from './support.js'

const CIPHER = 'PSK-AES128-GCM-SHA256'
const MAX_FRAGMENT_LENGTH = 1
const warning = (description: number) => Buffer.of(1, description)
const NO_RENEGOTIATION = 100
const USER_CANCELED = 90
const CERTIFICATE_EXPIRED = 45
const UNRECOGNIZED_NAME = 112
const CLOSE_NOTIFY = 0
const CBC = 'PSK-AES128-CBC-SHA'
const LAYERS = ['mcbn', 'openssl', 'cbc'] as const

/** Of a layer of {@link LAYERS}: on CBC suites records are OpenSSL's anyhow. */
function onLayer(layer: (typeof LAYERS)[number]): Partial<DtlsServerOptions> {
  return layer === 'cbc' ? { ciphers: CBC } : { records: layer }
}

async function opened(options: Partial<DtlsServerOptions>, extensions?: Buffer) {
  const key = freshKey()
  const { server, port } = await serve({ psk: { [identity]: key }, ciphers: CIPHER, ...options })
  const cbc = options.ciphers === CBC
  const accepted = once(server, 'secureConnection')
  const settings = { port, identity: Buffer.from(identity), key, cbc }
  const peer = await DtlsPeer.create({ ...settings, ...(extensions && { extensions }) })
  await peer.open()
  const [socket] = (await accepted) as [DtlsSocket]
  const heard: string[] = []
  const ends: (Error | undefined)[] = []
  socket.on('message', (data) => heard.push(data.toString()))
  socket.on('error', (error) => ends.push(error))
  socket.on('close', () => ends.push(undefined))
  return { peer, socket, heard, ends }
}

/** Data goes both ways. */
async function expectAlive({ peer, socket, heard, ends }: Awaited<ReturnType<typeof opened>>) {
  const before = heard.length
  peer.sendSealed(TYPE.applicationData, Buffer.from('still here'))
  await waitFor('the message', () => heard.length > before || ends.length > 0)
  expect(ends).toEqual([])
  expect(heard.at(-1)).toBe('still here')
  expect(socket.send('and here')).toBe(true)
  await waitFor('the answer', () =>
    peer.decrypted(TYPE.applicationData).some((data) => data.toString() === 'and here'),
  )
  expect(ends).toEqual([])
}

describe.each(LAYERS)('dtls/open sessions, records %s: rare but allowed', (records) => {
  it('an empty application record is nothing (RFC 5246 section 6.2.1)', async () => {
    const session = await opened(onLayer(records))
    for (let i = 0; i < 5; i += 1) session.peer.sendSealed(TYPE.applicationData, Buffer.alloc(0))
    await expectAlive(session)
  })

  it('a warning alert ends nothing, nor do as many as come with data between (RFC 5246 section 7.2)', async () => {
    const session = await opened(onLayer(records))
    for (let i = 0; i < 4; i += 1) {
      for (const description of [USER_CANCELED, CERTIFICATE_EXPIRED, UNRECOGNIZED_NAME]) {
        session.peer.sendSealed(TYPE.alert, warning(description))
      }
      await expectAlive(session)
    }
    session.peer.sendSealed(TYPE.alert, warning(CLOSE_NOTIFY))
    await waitFor('the end', () => session.ends.length > 0)
    expect(session.ends).toEqual([undefined])
    expect(session.socket.closeReason).toBe('peer')
  })

  // OpenSSL gives up over these, and nothing in its interface keeps it from that.
  it.each([
    ['a no_renegotiation that nobody asked for', NO_RENEGOTIATION, 1, 'no_renegotiation'],
    ['a hundred warnings in a row', USER_CANCELED, 100, 'user_canceled'],
  ])('%s: the session lives on, or ends by name', async (_what, description, times, name) => {
    const session = await opened(onLayer(records))
    for (let i = 0; i < times; i += 1) session.peer.sendSealed(TYPE.alert, warning(description))
    if (records === 'mcbn') return expectAlive(session)
    await waitFor('the end', () => session.ends.length > 0)
    const { code, message, alert } = session.ends[0] as McbnError
    expect({ code, alert }).toEqual({ code: 'MCBN_PROTOCOL_ERROR', alert: name })
    expect(message).toMatch(new RegExp(`over the warning ${name} from the peer \\(.+\\)`))
  })

  it('a repeated Finished ends nothing, however often (RFC 6347 section 4.2.4)', async () => {
    const session = await opened(onLayer(records))
    for (let i = 0; i < 20; i += 1) session.peer.send(session.peer.lastFlightAgain())
    await expectAlive(session)
    for (let i = 0; i < 20; i += 1) session.peer.send(session.peer.lastFlightAgain())
    await expectAlive(session)
  })

  it('a ClientHello inside begins nothing', async () => {
    const session = await opened(onLayer(records))
    await expectAlive(session)
    const hello = message(MESSAGE.clientHello, 9, Buffer.alloc(60, 1))
    session.peer.sendSealed(TYPE.handshake, hello)
    await expectAlive(session)
  })

  it('a fatal alert ends it, by name', async () => {
    const { peer, ends } = await opened(onLayer(records))
    peer.sendSealed(TYPE.alert, Buffer.of(2, 80))
    await waitFor('the end', () => ends.length > 0)
    expect(ends[0]).toMatchObject({ code: 'MCBN_CONNECTION_LOST', alert: 'internal_error' })
  })

  it.each([
    [1, 512],
    [2, 1_024],
  ])(
    'keeps to max_fragment_length %i, %i bytes, both ways (RFC 6066 section 4)',
    async (code, bytes) => {
      const extension = Buffer.concat([u16(MAX_FRAGMENT_LENGTH), u16(1), Buffer.of(code)])
      const session = await opened(onLayer(records), extension)
      const { socket, peer, heard } = session
      expect(socket.maxDatagramSize).toBe(bytes)
      expect(() => socket.send(Buffer.alloc(bytes + 1))).toThrow(
        expect.objectContaining({ code: 'MCBN_MESSAGE_TOO_LARGE' }),
      )
      expect(socket.send(Buffer.alloc(bytes, 0x61))).toBe(true)
      const data = await waitFor('the record', () => peer.decrypted(TYPE.applicationData)[0])
      expect(data.length).toBe(bytes)
      peer.sendSealed(TYPE.applicationData, Buffer.alloc(bytes, 0x62))
      await waitFor('the longest message', () => heard.length === 1)
      await expectAlive(session)
    },
  )
})

describe('dtls/open sessions: a record longer than was agreed', () => {
  it('is dropped and counted', async () => {
    const extension = Buffer.concat([u16(MAX_FRAGMENT_LENGTH), u16(1), Buffer.of(1)])
    const session = await opened({}, extension)
    session.peer.sendSealed(TYPE.applicationData, Buffer.alloc(513))
    await expectAlive(session)
    expect(session.heard).toEqual(['still here'])
    expect(session.socket.stats.recordsDroppedBy.oversized).toBe(1)
  })
})

describe.each(['mcbn', 'openssl'] as const)('dtls/open clients, records %s', (records) => {
  it.each([0, 1, 7])('a HelloRequest with message_seq %i leaves it alive', async (sequence) => {
    const key = freshKey()
    const peer = await DtlsServerPeer.create(key)
    const client = dial({ port: peer.port, psk: { identity, key }, ciphers: CIPHER, records })
    await peer.hello()
    peer.send(peer.serverHello(), peer.next(MESSAGE.serverHelloDone, Buffer.alloc(0)))
    const finished = await peer.finished()
    peer.send(peer.plain(TYPE.changeCipherSpec, Buffer.of(1)), peer.seal(TYPE.handshake, finished))
    await client.opened
    const heard: string[] = []
    client.on('message', (data) => heard.push(data.toString()))
    peer.send(peer.seal(TYPE.handshake, message(MESSAGE.helloRequest, sequence, Buffer.alloc(0))))
    peer.send(peer.seal(TYPE.applicationData, Buffer.from('one')))
    await waitFor('the message', () => heard.length === 1)
    client.send('two')
    await waitFor('the answer', () =>
      peer.decrypted(TYPE.applicationData).some((data) => data.toString() === 'two'),
    )
  })
})
