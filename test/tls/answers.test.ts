// A peer that asks TLS itself for answers, again and again, and does not take them.

import { createCipheriv } from 'node:crypto'
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hkdfExpandLabel } from '../../src/psk/hkdf.js'
import { connect, createServer, type TlsSocket } from '../../src/tls/index.js'
import { u16, u24 } from '../support/dtls-wire.js'
import { waitFor } from '../support/wait.js'
import { freshKey, identity } from './support.js'

const TYPE = { handshake: 22, applicationData: 23 } as const
const KEY_UPDATE = 24
const UPDATE_REQUESTED = 1

/** One end of a connection in memory; what it writes is taken at once, or never. */
class End extends Duplex {
  peer: End | undefined
  clogged = false
  #held: (() => void)[] = []

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.peer?.push(chunk)
    if (this.clogged) this.#held.push(done)
    else done()
  }

  unclog(): void {
    this.clogged = false
    for (const done of this.#held.splice(0)) done()
  }
}

/** Records of TLS 1.3 under the client's traffic keys (RFC 8446 sections 5.2 and 7.2). */
class ClientRecords {
  #secret: Buffer

  constructor(secret: Buffer) {
    this.#secret = secret
  }

  /** A KeyUpdate that asks for one back; what follows has the next keys. */
  keyUpdate(): Buffer {
    const message = Buffer.concat([Buffer.of(KEY_UPDATE), u24(1), Buffer.of(UPDATE_REQUESTED)])
    const record = this.seal(TYPE.handshake, message)
    this.#secret = this.#expand('traffic upd', 32)
    return record
  }

  /** The first record under these keys. */
  seal(type: number, content: Buffer): Buffer {
    const header = Buffer.concat([
      Buffer.of(TYPE.applicationData, 3, 3),
      u16(content.length + 1 + 16),
    ])
    const cipher = createCipheriv('aes-128-gcm', this.#expand('key', 16), this.#expand('iv', 12))
    cipher.setAAD(header)
    const text = Buffer.concat([cipher.update(content), cipher.update(Buffer.of(type))])
    return Buffer.concat([header, text, cipher.final(), cipher.getAuthTag()])
  }

  #expand(label: string, bytes: number): Buffer {
    return hkdfExpandLabel('sha256', this.#secret, 'tls13 ', label, Buffer.alloc(0), bytes)
  }
}

describe('tls/answers', () => {
  it('KeyUpdates whose answers nobody takes are read no further, and read on once they are taken', async () => {
    const key = freshKey()
    const [ours, theirs] = [new End(), new End()]
    ours.peer = theirs
    theirs.peer = ours
    const server = createServer({ psk: { [identity]: key } })
    const opened = once(server, 'secureConnection')
    server.emit('connection', ours)
    const client = connect({
      socket: theirs,
      psk: { identity, key },
      minVersion: 'TLSv1.3',
      ciphers: 'TLS_AES_128_GCM_SHA256',
    })
    onTestFinished(() => void client.destroy())
    let secret = Buffer.alloc(0)
    client.on('keylog', (line: Buffer) => {
      const [label, , value = ''] = line.toString().trim().split(' ')
      if (label === 'CLIENT_TRAFFIC_SECRET_0') secret = Buffer.from(value, 'hex')
    })
    const [socket] = (await opened) as [TlsSocket]
    onTestFinished(() => void socket.destroy())
    const received: Buffer[] = []
    socket.on('data', (chunk: Buffer) => received.push(chunk))
    await waitFor('the client', () => client.authorized)

    ours.clogged = true
    const records = new ClientRecords(secret)
    const updates = Array.from({ length: 20_000 }, () => records.keyUpdate())
    for (let at = 0; at < updates.length; at += 500) {
      ours.push(Buffer.concat(updates.slice(at, at + 500)))
      await new Promise(setImmediate)
    }
    // 64 KB, and the answers to the chunk that went beyond them.
    expect(ours.writableLength).toBeLessThan(128 * 1024)
    expect(ours.isPaused()).toBe(true)
    // The application's wish for more changes nothing about that.
    socket.pause()
    socket.resume()
    await new Promise(setImmediate)
    expect(ours.isPaused()).toBe(true)

    client.removeAllListeners('error')
    client.on('error', () => {})
    ours.unclog()
    ours.push(records.seal(TYPE.applicationData, Buffer.from('still here')))
    await waitFor('what was said behind them', () => received.length > 0)
    expect(Buffer.concat(received).toString()).toBe('still here')
  })
})
