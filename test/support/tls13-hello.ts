// A TLS 1.3 ClientHello made by hand that offers many keys, as no library does, and what the server says to it.

import { createHash, createHmac, generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { hkdfExpandLabel, hkdfExtract } from '../../src/psk/hkdf.js'
import { u16, u24 } from './dtls-wire.js'
import { waitFor } from './wait.js'

const LOOPBACK = '127.0.0.1'
const CLIENT_HELLO = 1
const X25519 = 0x001d
const BINDER_BYTES = 32
const EXTENSION = { groups: 10, psk: 41, versions: 43, modes: 45, keyShare: 51 } as const

export interface Offer {
  readonly identity: Uint8Array
  readonly key: Uint8Array
}

/** The place of the offer that the server chose (RFC 8446 section 4.2.11), or the alert it sent. */
export type Answer = { readonly selected: number } | { readonly alert: number }

export async function offerKeys(port: number, offers: readonly Offer[]): Promise<Answer> {
  const socket = connect(port, LOOPBACK)
  onTestFinished(() => void socket.destroy())
  let received = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
  })
  await once(socket, 'connect')
  for (const part of recordsOf(clientHello(offers))) socket.write(part)
  const whole = () => received.length >= 5 && received.length >= 5 + received.readUInt16BE(3)
  await waitFor('the first record of the server', whole)
  socket.destroy()
  const fragment = received.subarray(5, 5 + received.readUInt16BE(3))
  return received[0] === 21 ? { alert: fragment.readUInt8(1) } : { selected: selectedBy(fragment) }
}

function clientHello(offers: readonly Offer[]): Buffer {
  const share = generateKeyPairSync('x25519').publicKey.export({ format: 'der', type: 'spki' })
  const identities = Buffer.concat(
    offers.map(({ identity }) => Buffer.concat([u16(identity.length), identity, Buffer.alloc(4)])),
  )
  const bindersBytes = offers.length * (1 + BINDER_BYTES)
  const extensions = Buffer.concat([
    extension(EXTENSION.versions, Buffer.of(2, 3, 4)),
    extension(EXTENSION.groups, u16(2), u16(X25519)),
    extension(EXTENSION.keyShare, u16(36), u16(X25519), u16(32), share.subarray(-32)),
    extension(EXTENSION.modes, Buffer.of(1, 1)), // psk_dhe_ke
    // The binders follow, over all that comes before them.
    u16(EXTENSION.psk),
    u16(2 + identities.length + 2 + bindersBytes),
    u16(identities.length),
    identities,
  ])
  const rest = 2 + bindersBytes
  const body = Buffer.concat([
    Buffer.of(3, 3),
    randomBytes(32),
    Buffer.of(0),
    u16(2),
    Buffer.of(0x13, 0x01),
    Buffer.of(1, 0),
    u16(extensions.length + rest),
    extensions,
  ])
  const truncated = Buffer.concat([Buffer.of(CLIENT_HELLO), u24(body.length + rest), body])
  const transcript = createHash('sha256').update(truncated).digest()
  const binders = offers.map(({ key }) =>
    Buffer.concat([Buffer.of(BINDER_BYTES), binder(key, transcript)]),
  )
  return Buffer.concat([truncated, u16(bindersBytes), ...binders])
}

/** RFC 8446 sections 4.2.11.2, 4.4.4 and 7.1. */
function binder(key: Uint8Array, transcript: Buffer): Buffer {
  const label = (secret: Buffer, name: string, context: Buffer) =>
    hkdfExpandLabel('sha256', secret, 'tls13 ', name, context, 32)
  const early = hkdfExtract('sha256', Buffer.alloc(0), Buffer.from(key))
  const binderKey = label(early, 'ext binder', createHash('sha256').digest())
  return createHmac('sha256', label(binderKey, 'finished', Buffer.alloc(0)))
    .update(transcript)
    .digest()
}

function selectedBy(serverHello: Buffer): number {
  // Type, length, version, random, empty session ID, suite, compression, length of the extensions.
  let at = 4 + 2 + 32 + 1 + 2 + 1 + 2
  while (at < serverHello.length) {
    if (serverHello.readUInt16BE(at) === EXTENSION.psk) return serverHello.readUInt16BE(at + 4)
    at += 4 + serverHello.readUInt16BE(at + 2)
  }
  throw new Error('the ServerHello selects no key')
}

function* recordsOf(message: Buffer): Generator<Buffer> {
  for (let at = 0; at < message.length; at += 16_384) {
    const fragment = message.subarray(at, at + 16_384)
    yield Buffer.concat([Buffer.of(22, 3, 1), u16(fragment.length), fragment])
  }
}

function extension(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const data = Buffer.concat(parts)
  return Buffer.concat([u16(type), u16(data.length), data])
}
