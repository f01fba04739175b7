// A TLS 1.2 client of a few lines that presents whatever identity it is told to, also one that no library
// would send: it knows the key and TLS_PSK_WITH_AES_128_GCM_SHA256 (RFC 5487, RFC 5288), and nothing else.

import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { masterSecret, prf } from './dtls-gcm.js'
import { SUITE, TYPE, u16, u24 } from './dtls-wire.js'
import { waitFor } from './wait.js'

const LOOPBACK = '127.0.0.1'
const TLS12 = 0x0303
const RECORD_HEADER = 5
const MESSAGE = {
  clientHello: 1,
  serverHelloDone: 14,
  clientKeyExchange: 16,
  finished: 20,
} as const

export interface TlsPeerOptions {
  readonly port: number
  readonly identity: Uint8Array
  readonly key: Uint8Array
}

interface TlsRecord {
  readonly type: number
  readonly fragment: Buffer
}

/** How a handshake of {@link presentIdentity} ended. */
export interface TlsPeerResult {
  /** Whether the server has said Finished, which takes the same key. */
  readonly opened: boolean
  /** Alerts in the clear: [level, description]. */
  readonly alerts: readonly (readonly [number, number])[]
}

/** One handshake, by hand, until the server's Finished, its alert, or the end of the connection. */
export async function presentIdentity(options: TlsPeerOptions): Promise<TlsPeerResult> {
  const { port, identity, key } = options
  const socket = connect(port, LOOPBACK)
  onTestFinished(() => void socket.destroy())
  const { records, ended } = recordsOf(socket)
  await once(socket, 'connect')
  const random = randomBytes(32)
  const hello = message(
    MESSAGE.clientHello,
    Buffer.concat([u16(TLS12), random, Buffer.of(0), u16(2), u16(SUITE), Buffer.of(1, 0)]),
  )
  socket.write(record(TYPE.handshake, hello))
  const serverFlight = (): Buffer =>
    Buffer.concat(
      records.filter(({ type }) => type === TYPE.handshake).map(({ fragment }) => fragment),
    )
  await waitFor('ServerHelloDone', () => serverFlight().subarray(-4)[0] === MESSAGE.serverHelloDone)
  const flight = serverFlight()
  const master = masterSecret(key, random, flight.subarray(6, 38))
  const exchange = message(
    MESSAGE.clientKeyExchange,
    Buffer.concat([u16(identity.length), identity]),
  )
  const transcript = Buffer.concat([hello, flight, exchange])
  const hash = createHash('sha256').update(transcript).digest()
  const finished = message(MESSAGE.finished, prf(master, 'client finished', hash, 12))
  const keys = prf(
    master,
    'key expansion',
    Buffer.concat([flight.subarray(6, 38), random]),
    16 * 2 + 4 * 2,
  )
  socket.write(
    Buffer.concat([
      record(TYPE.handshake, exchange),
      record(TYPE.changeCipherSpec, Buffer.of(1)),
      record(TYPE.handshake, seal(keys, TYPE.handshake, finished)),
    ]),
  )
  // Only a peer with the same master secret gets as far as its own ChangeCipherSpec.
  const opened = (): boolean => records.some(({ type }) => type === TYPE.changeCipherSpec)
  await waitFor('the end of the handshake', () => opened() || ended())
  const alerts = records
    .filter(({ type, fragment }) => type === TYPE.alert && fragment.length === 2)
    .map(({ fragment }) => [fragment[0] ?? -1, fragment[1] ?? -1] as const)
  socket.destroy()
  return { opened: opened(), alerts }
}

function recordsOf(socket: Socket): { readonly records: TlsRecord[]; ended(): boolean } {
  const records: TlsRecord[] = []
  let pending = Buffer.alloc(0)
  let over = false
  socket.on('error', () => {})
  socket.on('close', () => {
    over = true
  })
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    for (;;) {
      const end = RECORD_HEADER + (pending.length >= 5 ? pending.readUInt16BE(3) : 0)
      if (pending.length < RECORD_HEADER || pending.length < end) return
      records.push({ type: pending.readUInt8(0), fragment: pending.subarray(RECORD_HEADER, end) })
      pending = pending.subarray(end)
    }
  })
  return { records, ended: () => over }
}

function record(type: number, fragment: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(type), u16(TLS12), u16(fragment.length), fragment])
}

function message(type: number, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(type), u24(body.length), body])
}

/** The first record of epoch 1: sequence number zero, as nonce and in the additional data. */
function seal(keys: Buffer, type: number, plaintext: Uint8Array): Buffer {
  const sequence = Buffer.alloc(8)
  const nonce = Buffer.concat([keys.subarray(32, 36), sequence])
  const cipher = createCipheriv('aes-128-gcm', keys.subarray(0, 16), nonce)
  cipher.setAAD(Buffer.concat([sequence, Buffer.of(type), u16(TLS12), u16(plaintext.length)]))
  const sealed = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return Buffer.concat([sequence, sealed, cipher.getAuthTag()])
}
