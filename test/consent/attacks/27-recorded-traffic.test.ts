// Frank records everything, and years later enough participants collude: they have all keys of the network.
// With forward secrecy a key only proves who was there; what was said is gone with the ephemeral keys.

import { createDecipheriv, createHash, createHmac, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { deriveNetworkKeys } from '../../../src/consent/shares/keys.js'
import type { Network } from '../../../src/consent/workload/index.js'
import { temporaryFolder } from '../../support/paths.js'
import { pcapOf } from '../../support/pcap.js'
import { describeWithPeers } from '../../support/peers.js'
import { run } from '../../support/process.js'
import { type Tap, tapTcp, tapUdp } from '../../support/tap.js'
import { waitFor } from '../../support/wait.js'
import { LOOPBACK } from '../../tls/support.js'
import { echoDtls, echoTls, rejection, talk, talkDtls } from '../workload/connections.js'
import { consentRig } from '../workload/rig.js'

const VERSIONS = ['TLSv1.3', 'TLSv1.2'] as const

/** Suites of (D)TLS 1.2 whose keys a leaked PSK does not give away. */
const EPHEMERAL = /^(ECDHE|DHE)-PSK-/

async function joined() {
  const rig = await consentRig()
  const [client, server] = await Promise.all([rig.join('client'), rig.join('server')])
  const { keys } = deriveNetworkKeys(rig.network.verified, rig.network.shares)
  return { client, server, keys }
}

/** A conversation over TLS, recorded. */
async function recordTls(
  { client, server }: { readonly client: Network; readonly server: Network },
  version: (typeof VERSIONS)[number],
  said: string,
  ciphers?: string,
): Promise<{ readonly tap: Tap; readonly cipher: string; readonly keyLog: string }> {
  const { port } = await echoTls(server)
  const tap = await tapTcp(port)
  const options = { maxVersion: version, ...(ciphers !== undefined && { ciphers }) }
  const socket = client.tls.connect({ host: LOOPBACK, port: tap.port, ...options })
  let keyLog = ''
  socket.on('keylog', (line) => {
    keyLog += line
  })
  await socket.opened
  const cipher = `${socket.getCipher()?.name}`
  expect(socket.getProtocol()).toBe(version)
  expect(await talk(socket, said)).toBe(said)
  const closed = once(socket, 'close')
  socket.destroy()
  await closed
  return { tap, cipher, keyLog }
}

async function recordDtls(
  { client, server }: { readonly client: Network; readonly server: Network },
  said: string,
  ciphers?: string,
): Promise<{ readonly tap: Tap; readonly cipher: string }> {
  const { port } = await echoDtls(server)
  const tap = await tapUdp(port)
  const options = ciphers !== undefined ? { ciphers } : {}
  const socket = client.dtls.connect({ host: LOOPBACK, port: tap.port, ...options })
  await socket.opened
  const cipher = `${socket.getCipher()?.name}`
  expect(await talkDtls(socket, said)).toBe(said)
  socket.destroy()
  return { tap, cipher }
}

describe('attack 27: recorded traffic and later collusion', () => {
  it('finds an ephemeral key exchange in what sockets of a network agree on by default', async () => {
    const networks = await joined()
    const tls12 = await recordTls(networks, 'TLSv1.2', 'hello')
    expect(tls12.cipher).toMatch(EPHEMERAL)
    const dtls12 = await recordDtls(networks, 'hello')
    expect(dtls12.cipher).toMatch(EPHEMERAL)
    const tls13 = await recordTls(networks, 'TLSv1.3', 'hello')
    expect(tls13.cipher).toMatch(/^TLS_/)
  })

  it('cannot be prepared by stripping the offer down to plain PSK: both ends notice, and nothing is said', async () => {
    const { client, server } = await joined()
    const { port, failures } = await echoTls(server)
    let stripped = false
    const tap = await tapTcp(port, ({ from, bytes }) => {
      if (from !== 'client' || stripped) return bytes
      stripped = true
      return withPlainPskOnly(bytes)
    })
    const socket = client.tls.connect({ host: LOOPBACK, port: tap.port, maxVersion: 'TLSv1.2' })
    socket.on('error', () => {})
    socket.write('said too early')
    await rejection(socket.opened)
    await waitFor("the server's failure", () => failures.length > 0)
    // The server did choose what was left; the Finished of the client is where it ended.
    const [answer] = messagesOf(tap.bytes('server'))
    expect(suiteOf(answer as Buffer)).toBe(PLAIN_PSK)
    const types = new Set(recordsOf(tap.bytes('client')).map(({ type }) => type))
    expect(types.has(23)).toBe(false)
  })

  it('finds psk_dhe_ke alone offered over TLS 1.3, and a key share in the answer (RFC 8446 section 4.2.9)', async () => {
    const { tap } = await recordTls(await joined(), 'TLSv1.3', 'hello')
    const [hello] = messagesOf(tap.bytes('client'))
    const [answer] = messagesOf(tap.bytes('server'))
    expect(extension(hello as Buffer, 45)).toEqual(Buffer.of(1, 1))
    // Group, length, key: X25519 with OpenSSL 3.0; X25519MLKEM768, which holds against quantum computers
    // as well, with 3.5.
    const share = extension(answer as Buffer, 51) as Buffer
    const group = share.readUInt16BE(0)
    expect({ 29: 32, 4588: 1120 }[group], `group ${group}`).toBe(share.readUInt16BE(2))
    expect(share).toHaveLength(4 + share.readUInt16BE(2))
    expect(extension(answer as Buffer, 41)).toEqual(Buffer.of(0, 0))
  })

  it('cannot be decrypted with the key of the network, though the key proves right, over TLS 1.3', async () => {
    const networks = await joined()
    const { tap, keyLog } = await recordTls(networks, 'TLSv1.3', 'hello')
    const key = networks.keys.tls13 as Buffer
    const [hello, answer] = [tap.bytes('client'), tap.bytes('server')].map(
      (bytes) => messagesOf(bytes)[0] as Buffer,
    )
    // The colluders do have the right key: the recorded binder is what it makes (RFC 8446 section 4.2.11.2).
    const early = extract(Buffer.alloc(32), key)
    const binderKey = derive(early, 'ext binder', sha256())
    const truncated = (hello as Buffer).subarray(0, -35)
    expect(finished(binderKey, sha256(truncated))).toEqual((hello as Buffer).subarray(-32))
    // All they lack is the ephemeral secret. Without it there is only what psk_ke would have used: zeros.
    const handshake = extract(derive(early, 'derived', sha256()), Buffer.alloc(32))
    const transcript = sha256(hello as Buffer, answer as Buffer)
    const traffic = derive(handshake, 's hs traffic', transcript)
    expect(opens(tap.bytes('server'), traffic)).toBe(false)
    // The workload's own secret does open it: it is not this test that cannot decrypt.
    const own = /^SERVER_HANDSHAKE_TRAFFIC_SECRET \w+ (\w+)$/m.exec(keyLog)?.[1]
    expect(opens(tap.bytes('server'), Buffer.from(`${own}`, 'hex'))).toBe(true)
  })
})

describeWithPeers(['tshark'], 'attack 27: a recording in the hands of tshark with the key', () => {
  /** What tshark can read of a recording when it has the key of the network. */
  async function readable(
    { tap }: { readonly tap: Tap },
    transport: 'tcp' | 'udp',
    key: Buffer,
  ): Promise<string> {
    const file = join(temporaryFolder(), 'recording.pcap')
    writeFileSync(file, pcapOf(tap.passed, transport, 4433))
    const layer = transport === 'tcp' ? 'tls' : 'dtls'
    const tshark = await run(
      'tshark',
      ['-r', file, '-o', `${layer}.psk:${key.toString('hex')}`]
        .concat(['-d', `${transport}.port==4433,${layer}`])
        .concat(['-Y', 'data', '-T', 'fields', '-e', 'data.data']),
      { foreign: true },
    )
    expect(tshark.exit.code, tshark.report()).toBe(0)
    return tshark.stdout
      .split('\n')
      .map((line) => Buffer.from(line, 'hex').toString())
      .join('')
  }

  it('is read where a workload has insisted on plain PSK: tshark and the key are good enough', async () => {
    const networks = await joined()
    const said = `said once ${randomUUID()}`
    const plain = 'PSK-AES128-GCM-SHA256'
    const tls = await recordTls(networks, 'TLSv1.2', said, plain)
    expect(await readable(tls, 'tcp', networks.keys.tls12 as Buffer)).toContain(said)
    const dtls = await recordDtls(networks, said, plain)
    expect(await readable(dtls, 'udp', networks.keys.dtls12 as Buffer)).toContain(said)
  })

  it('is not read by default, over any of the three protocols', async () => {
    const networks = await joined()
    const { keys } = networks
    const said = `said once ${randomUUID()}`
    const tls13 = await recordTls(networks, 'TLSv1.3', said)
    expect(await readable(tls13, 'tcp', keys.tls13 as Buffer)).not.toContain(said)
    const tls12 = await recordTls(networks, 'TLSv1.2', said)
    expect(await readable(tls12, 'tcp', keys.tls12 as Buffer)).not.toContain(said)
    const dtls12 = await recordDtls(networks, said)
    expect(await readable(dtls12, 'udp', keys.dtls12 as Buffer)).not.toContain(said)
  })
})

/** Handshake messages in the clear, headers included. Each of these has its own record. */
function messagesOf(stream: Buffer): Buffer[] {
  return recordsOf(stream)
    .filter(({ type }) => type === 22)
    .map(({ fragment }) => fragment)
}

interface Record13 {
  readonly type: number
  readonly header: Buffer
  readonly fragment: Buffer
}

function recordsOf(stream: Buffer): Record13[] {
  const records: Record13[] = []
  for (let at = 0; at < stream.length; ) {
    const end = at + 5 + stream.readUInt16BE(at + 3)
    records.push({
      type: stream.readUInt8(at),
      header: stream.subarray(at, at + 5),
      fragment: stream.subarray(at + 5, end),
    })
    at = end
  }
  return records
}

/** TLS_PSK_WITH_AES_128_GCM_SHA256. */
const PLAIN_PSK = 0x00a8

/** A ClientHello in its record, each suite replaced by the one. */
function withPlainPskOnly(hello: Buffer): Buffer {
  const out = Buffer.from(hello)
  const session = 5 + 4 + 2 + 32
  const suites = session + 1 + out.readUInt8(session)
  const end = suites + 2 + out.readUInt16BE(suites)
  for (let at = suites + 2; at < end; at += 2) out.writeUInt16BE(PLAIN_PSK, at)
  return out
}

/** The suite of a ServerHello. */
function suiteOf(hello: Buffer): number {
  const session = 4 + 2 + 32
  return hello.readUInt16BE(session + 1 + hello.readUInt8(session))
}

/** The content of an extension of a ClientHello or ServerHello. */
function extension(message: Buffer, wanted: number): Buffer | undefined {
  const client = message[0] === 1
  let at = 4 + 2 + 32
  at += 1 + message.readUInt8(at)
  at += client ? 2 + message.readUInt16BE(at) : 2
  at += client ? 1 + message.readUInt8(at) : 1
  for (at += 2; at < message.length; ) {
    const length = message.readUInt16BE(at + 2)
    if (message.readUInt16BE(at) === wanted) return message.subarray(at + 4, at + 4 + length)
    at += 4 + length
  }
  return undefined
}

// RFC 8446 section 7.1, for SHA-256.

const sha256 = (...parts: readonly Buffer[]): Buffer =>
  createHash('sha256').update(Buffer.concat(parts)).digest()

const extract = (salt: Buffer, secret: Buffer): Buffer =>
  createHmac('sha256', salt).update(secret).digest()

function derive(secret: Buffer, label: string, context: Buffer, length = 32): Buffer {
  const name = Buffer.from(`tls13 ${label}`)
  const info = Buffer.concat([
    Buffer.of(0, length, name.length),
    name,
    Buffer.of(context.length),
    context,
    Buffer.of(1),
  ])
  return createHmac('sha256', secret).update(info).digest().subarray(0, length)
}

function finished(base: Buffer, hash: Buffer): Buffer {
  return createHmac('sha256', derive(base, 'finished', Buffer.alloc(0)))
    .update(hash)
    .digest()
}

/** Whether a traffic secret opens the first encrypted record of a server: its EncryptedExtensions. */
function opens(stream: Buffer, traffic: Buffer): boolean {
  const first = recordsOf(stream).find(({ type }) => type === 23)
  if (first === undefined) throw new Error('the recording has no encrypted record')
  const iv = derive(traffic, 'iv', Buffer.alloc(0), 12)
  const key = derive(traffic, 'key', Buffer.alloc(0), 16)
  const decipher = createDecipheriv('aes-128-gcm', key, iv)
  decipher.setAAD(first.header)
  decipher.setAuthTag(first.fragment.subarray(-16))
  decipher.update(first.fragment.subarray(0, -16))
  try {
    decipher.final()
    return true
  } catch {
    return false
  }
}
