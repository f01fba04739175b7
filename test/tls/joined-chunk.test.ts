import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { expect, it, onTestFinished } from 'vitest'
import { connect, createServer, type TlsSocket } from '../../src/tls/index.js'
import { freshKey, identity, VERSIONS } from './support.js'

/** Two ends of a stream that hands on everything written in one turn as one chunk. */
function joiningPair(): [Duplex, Duplex] {
  const ends: Duplex[] = []
  const make = (other: number): Duplex =>
    new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, callback) {
        ends[other]?.push(Buffer.from(chunk))
        callback()
      },
      writev(items, callback) {
        ends[other]?.push(Buffer.concat(items.map(({ chunk }) => chunk as Buffer)))
        callback()
      },
      final(callback) {
        ends[other]?.push(null)
        callback()
      },
    })
  ends.push(make(1), make(0))
  return ends as [Duplex, Duplex]
}

it.each(VERSIONS)(
  '%s: a chunk may finish the handshake and bring much data along',
  async (version) => {
    const only = { minVersion: version, maxVersion: version }
    const key = freshKey()
    const server = createServer({ ...only, psk: { [identity]: key } })
    const failed = once(server, 'tlsClientError').then(([error]) => {
      throw error
    })
    const opened = once(server, 'secureConnection')
    const [ours, theirs] = joiningPair()
    server.emit('connection', theirs)
    const client = connect({ ...only, socket: ours, psk: { identity, key } })
    onTestFinished(() => void client.destroy())
    client.on('error', () => {})
    const data = randomBytes(1_000_000)
    client.end(data)
    const [socket] = (await Promise.race([opened, failed])) as [TlsSocket]
    const received: Buffer[] = []
    for await (const chunk of socket) received.push(chunk as Buffer)
    expect(Buffer.concat(received).equals(data)).toBe(true)
  },
)
