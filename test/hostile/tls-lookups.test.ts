// What a stranger without a key can have a TLS server look up: it connects, names an identity and leaves.

import { once } from 'node:events'
import { connect as connectTcp, createServer as createTcp, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { LookupPlaces } from '../../src/keys/lookup-places.js'
import { connect } from '../../src/tls/index.js'
import { waitFor } from '../support/wait.js'
import { dial, freshKey, identity, LOOPBACK, listen, serve, VERSIONS } from '../tls/support.js'

const key = freshKey()

/** The bytes of a client that a server which does not answer has got: a ClientHello. */
async function helloOf(name: string): Promise<Buffer> {
  const sink = createTcp()
  const port = await listen(sink)
  const hello = once(sink, 'connection').then(([socket]) => once(socket as Socket, 'data'))
  const client = dial({ port, psk: { identity: name, key: freshKey() }, minVersion: 'TLSv1.3' })
  const [bytes] = await hello
  client.destroy()
  return bytes as Buffer
}

describe('hostile/tls lookups', () => {
  it.each(VERSIONS)(
    'count until they settle, though their connections are gone (an honest client on %s)',
    async (version) => {
      let asked = 0
      let left = 0
      const waiting: (() => void)[] = []
      const { server, port } = await serve({
        psk: ({ identityText, signal }) => {
          if (identityText === identity) return key
          asked += 1
          signal.addEventListener('abort', () => (left += 1))
          return new Promise<null>((resolve) => waiting.push(() => resolve(null)))
        },
      })
      server.maxConnections = 8
      const hello = await helloOf('stranger')
      for (let count = 0; count < 40; count += 1) {
        const accepted = once(server, 'connection')
        const stranger = connectTcp(port, LOOPBACK)
        stranger.on('error', () => {})
        const [served] = (await accepted) as [Socket]
        stranger.write(hello)
        await waitFor('the hello', () => served.bytesRead === hello.length)
        const closed = new Promise((resolve) => served.once('close', resolve))
        stranger.resetAndDestroy()
        await closed
      }
      // One host has half of the places, though it is not there any more.
      expect(asked).toBe(4)
      await waitFor('their signals', () => left === 4)

      const only = { minVersion: version, maxVersion: version } as const
      const transport = connectTcp({ host: LOOPBACK, port, localAddress: '127.0.0.3' })
      const other = connect({ ...only, socket: transport, psk: { identity, key } })
      onTestFinished(() => void other.destroy())
      await other.opened
      // A client of the stranger's host waits its turn.
      const same = dial({ ...only, port, psk: { identity, key } })
      const opened = once(same, 'secureConnect')
      for (const settle of waiting.splice(0)) settle()
      await opened
      expect(asked).toBe(4)
    },
  )

  it('take turns by host, an IPv6 network of 64 bits being one', () => {
    const places = new LookupPlaces(() => 4)
    const begun: string[] = []
    const settled: (() => void)[] = []
    const take = (address: string) =>
      places.take(address, (done) => {
        begun.push(address)
        settled.push(done)
        return () => {}
      })
    for (const address of ['2001:db8::1', '2001:db8:0:0:5::1', '2001:db8::2', '2001:db8::3'])
      take(address)
    expect(begun).toEqual(['2001:db8::1', '2001:db8:0:0:5::1'])
    take('2001:db8:0:1::1')
    const cancel = take('::ffff:192.0.2.1')
    expect(begun).toHaveLength(4)
    cancel()
    // One that is told to stop while it waits never begins.
    take('192.0.2.9')()
    take('192.0.2.8')
    settled[0]?.()
    expect(begun.slice(4)).toEqual(['192.0.2.8'])
    for (const done of settled.slice(1, 5)) done()
    expect(begun.slice(5)).toEqual(['2001:db8::2', '2001:db8::3'])
  })

  it('that answer at once call any number of others that wait', () => {
    const places = new LookupPlaces(() => 1)
    let first = (): void => {}
    places.take('192.0.2.1', (done) => {
      first = done
      return () => {}
    })
    let begun = 0
    for (let count = 0; count < 20_000; count += 1) {
      places.take('192.0.2.2', (done) => {
        begun += 1
        done()
        return () => {}
      })
    }
    expect(begun).toBe(0)
    first()
    expect(begun).toBe(20_000)
  })
})
