// A stranger who has somehow got the right key presents an identity that is nearly the network's: with a
// NUL, too long, of another epoch. Only the exact identity of this epoch may connect, on every protocol.

import { once } from 'node:events'
import { connect as connectTcp, createServer as createTcp, type Socket } from 'node:net'
import { beforeAll, describe, expect, it } from 'vitest'
import { deriveNetworkKeys } from '../../../src/consent/shares/keys.js'
import type { McbnError } from '../../../src/errors.js'
import { DtlsPeer } from '../../support/dtls-peer.js'
import { presentIdentity } from '../../support/tls-peer.js'
import { waitFor } from '../../support/wait.js'
import { dial, LOOPBACK, listen } from '../../tls/support.js'
import { type TestNetwork, testNetwork } from '../network.js'
import { echoDtls, echoTls } from '../workload/connections.js'
import { consentRig } from '../workload/rig.js'

let network: TestNetwork
let before: TestNetwork
let exact: string
beforeAll(() => {
  before = testNetwork({ fields: { epoch: 1 } })
  network = testNetwork({ keys: before.keys, fields: { epoch: 2 } })
  exact = network.verified.identity
})

/** What a colluding majority could hand out. */
const keysOf = ({ verified, shares }: TestNetwork) => deriveNetworkKeys(verified, shares).keys

/** Nearly the identity; each as bytes, since no string could say some of them. */
const NEARLY: readonly (readonly [string, (identity: string) => Buffer])[] = [
  ['a NUL behind it', (identity) => Buffer.from(`${identity}\0`)],
  ['a NUL and more behind it', (identity) => Buffer.from(`${identity}\0evil`)],
  ['a NUL before it', (identity) => Buffer.from(`\0${identity}`)],
  ['a NUL in it', (identity) => Buffer.from(`${identity.slice(0, 9)}\0${identity.slice(9)}`)],
  ['white space behind it', (identity) => Buffer.from(`${identity} `)],
  ['its end missing', (identity) => Buffer.from(identity.slice(0, -1))],
  ['other cases', (identity) => Buffer.from(identity.toUpperCase())],
  ['NULs up to 256 bytes', (identity) => Buffer.concat([Buffer.from(identity)], 256)],
  ['the identity of the epoch before', () => Buffer.from(before.verified.identity)],
]
const TOO_LONG = (identity: string) => Buffer.concat([Buffer.from(identity)], 257)

async function servers() {
  const rig = await consentRig({ network })
  const server = await rig.join('server')
  const accepted: string[] = []
  const tls = await echoTls(server)
  tls.server.on('secureConnection', (socket) => accepted.push(`${socket.pskIdentity}`))
  const dtls = await echoDtls(server)
  dtls.server.on('secureConnection', (socket) => accepted.push(`${socket.pskIdentity}`))
  return { tls, dtls, accepted }
}

/** Whether a TLS 1.3 client of the library gets in. */
async function tls13(port: number, identity: Buffer, key: Buffer): Promise<boolean> {
  const socket = dial({ port, minVersion: 'TLSv1.3', psk: { identity, key } })
  return await socket.opened.then(
    () => true,
    () => false,
  )
}

async function dtls12(port: number, identity: Buffer, key: Buffer): Promise<DtlsPeer> {
  const peer = await DtlsPeer.create({ port, identity, key })
  await peer.hello()
  peer.send(Buffer.concat(peer.makeLastFlight()))
  return peer
}

describe('attack 24: an identity with NUL, of 257 bytes, of another epoch', () => {
  it('while the exact one of this epoch connects, on all three protocols', async () => {
    const { tls, dtls, accepted } = await servers()
    const keys = keysOf(network)
    const identity = Buffer.from(exact)
    expect(await tls13(tls.port, identity, keys.tls13 as Buffer)).toBe(true)
    const raw = await presentIdentity({ port: tls.port, identity, key: keys.tls12 as Buffer })
    expect(raw.opened).toBe(true)
    const peer = await dtls12(dtls.port, identity, keys.dtls12 as Buffer)
    await waitFor("the server's Finished", () => peer.finished)
    await waitFor('the third', () => accepted.length === 3)
    expect(accepted).toEqual([exact, exact, exact])
  })

  it('does not connect over TLS 1.3', async () => {
    const { tls, accepted } = await servers()
    for (const [what, nearly] of NEARLY) {
      const key = keysOf(network).tls13 as Buffer
      expect(await tls13(tls.port, nearly(exact), key), what).toBe(false)
    }
    await waitFor('all failures', () => tls.failures.length === NEARLY.length)
    const seen = new Set(tls.failures.map(({ code }) => code))
    expect([...seen]).toEqual(['MCBN_PSK_IDENTITY_UNKNOWN'])
    expect(accepted).toEqual([])
  })

  it('does not connect over TLS 1.2', async () => {
    const { tls, accepted } = await servers()
    const key = keysOf(network).tls12 as Buffer
    for (const [what, nearly] of [...NEARLY, ['257 bytes', TOO_LONG] as const]) {
      const identity = nearly(exact)
      const { opened } = await presentIdentity({ port: tls.port, identity, key })
      expect(opened, what).toBe(false)
    }
    await waitFor('all failures', () => tls.failures.length === NEARLY.length + 1)
    const codes = tls.failures.map(({ code }) => code)
    expect(codes.slice(0, -1)).toEqual(NEARLY.map(() => 'MCBN_PSK_IDENTITY_UNKNOWN'))
    expect(tls.failures.at(-1)?.kind).toBe('peer')
    expect(accepted).toEqual([])
  })

  it('does not connect over DTLS 1.2', async () => {
    const { dtls, accepted } = await servers()
    const key = keysOf(network).dtls12 as Buffer
    const peers: DtlsPeer[] = []
    for (const [, nearly] of NEARLY) peers.push(await dtls12(dtls.port, nearly(exact), key))
    peers.push(await dtls12(dtls.port, TOO_LONG(exact), key))
    // A stranger is told nothing; a peer with the key still is.
    const good = await dtls12(dtls.port, Buffer.from(exact), key)
    await waitFor("the server's Finished", () => good.finished)
    expect(peers.map((peer) => peer.finished)).toEqual(peers.map(() => false))
    await waitFor('the one', () => accepted.length > 0)
    expect(accepted).toEqual([exact])
  })

  it('of 257 bytes or none in a TLS 1.3 ClientHello ends that connection, and no other', async () => {
    const { tls, accepted } = await servers()
    const key = keysOf(network).tls13 as Buffer
    const longest = Buffer.concat([Buffer.from(exact)], 256)
    const hello = await clientHello(longest, key)
    for (const identity of [TOO_LONG(exact), Buffer.alloc(0)]) {
      const socket = connectTcp(tls.port, LOOPBACK)
      const ended = once(socket, 'close')
      socket.on('error', () => {})
      socket.resume()
      socket.write(withIdentity(hello, longest, identity))
      await ended
    }
    await waitFor('both failures', () => tls.failures.length === 2)
    expect(tls.failures.map(({ kind }: McbnError) => kind)).toEqual(['peer', 'peer'])
    expect(await tls13(tls.port, Buffer.from(exact), key)).toBe(true)
    await waitFor('the one', () => accepted.length > 0)
    expect(accepted).toEqual([exact])
  })

  it("of the epoch before does not connect with that epoch's key either", async () => {
    const { tls, dtls, accepted } = await servers()
    const old = keysOf(before)
    const identity = Buffer.from(before.verified.identity)
    expect(await tls13(tls.port, identity, old.tls13 as Buffer)).toBe(false)
    expect(await tls13(tls.port, Buffer.from(exact), old.tls13 as Buffer)).toBe(false)
    const raw = await presentIdentity({ port: tls.port, identity, key: old.tls12 as Buffer })
    expect(raw.opened).toBe(false)
    const peer = await dtls12(dtls.port, identity, old.dtls12 as Buffer)
    const good = await dtls12(dtls.port, Buffer.from(exact), keysOf(network).dtls12 as Buffer)
    await waitFor("the server's Finished", () => good.finished)
    expect(peer.finished).toBe(false)
    await waitFor('the one', () => accepted.length > 0)
    expect(accepted).toEqual([exact])
  })
})

/** The first record that a client sends, TLS 1.3 only. */
async function clientHello(identity: Buffer, key: Buffer): Promise<Buffer> {
  const sink = createTcp()
  const port = await listen(sink)
  const hello = once(sink, 'connection').then(([socket]) => once(socket as Socket, 'data'))
  dial({ port, minVersion: 'TLSv1.3', psk: { identity, key } })
  return (await hello)[0] as Buffer
}

/**
 * Another identity in a ClientHello, whose last extension is pre_shared_key (RFC 8446 section 4.2.11):
 * every length around it is made right again, so that nothing but the identity is wrong.
 */
function withIdentity(hello: Buffer, from: Buffer, to: Buffer): Buffer {
  const at = hello.indexOf(from)
  const out = Buffer.concat([hello.subarray(0, at), to, hello.subarray(at + from.length)])
  const by = to.length - from.length
  const grow = (offset: number) => out.writeUInt16BE(out.readUInt16BE(offset) + by, offset)
  // identity, identities, the extension; record and handshake message
  for (const offset of [at - 2, at - 4, at - 6, 3, 7]) grow(offset)
  const session = 5 + 4 + 2 + 32
  const suites = session + 1 + out.readUInt8(session)
  grow(suites + 2 + out.readUInt16BE(suites) + 2)
  return out
}
