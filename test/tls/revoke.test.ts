import net from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { waitFor } from '../support/wait.js'
import { dial, dialOpen, freshKey, identity, LOOPBACK, listen, serve, VERSIONS } from './support.js'

const RECORD_HEADER = 5

/** Passes the client's first flight on, holds back what proves the key until `release` is called. */
async function holdingProxy(
  port: number,
): Promise<{ port: number; held: boolean; release(): void }> {
  const state = { port: 0, held: false, release: () => {} }
  const proxy = net.createServer((client) => {
    const server = net.connect(port, LOOPBACK)
    onTestFinished(() => void server.destroy())
    for (const end of [client, server]) end.on('error', () => {})
    server.on('data', (bytes) => client.write(bytes))
    server.on('close', () => client.destroy())
    let flights = 0
    client.on('data', (bytes) => {
      flights += 1
      if (flights !== 2) {
        server.write(bytes)
        return
      }
      // On TLS 1.2 a ClientKeyExchange goes first: with it the server has looked the key up.
      const handshake = bytes[0] === 22 ? RECORD_HEADER + bytes.readUInt16BE(3) : 0
      server.write(bytes.subarray(0, handshake))
      state.held = true
      state.release = () => server.write(bytes.subarray(handshake))
    })
  })
  state.port = await listen(proxy)
  return state
}

describe.each(VERSIONS)('revoking during a handshake, %s', (version) => {
  const only = { minVersion: version, maxVersion: version }

  it('refuses a client that had its key looked up before and proves it after', async () => {
    const key = freshKey()
    const opened: unknown[] = []
    const { server, port, failures } = await serve(
      { ...only, psk: { [identity]: key } },
      (socket) => opened.push(socket),
    )
    const proxy = await holdingProxy(port)
    const client = dial({ ...only, port: proxy.port, psk: { identity, key } })
    // Not once(): on TLS 1.2 the client has not seen a Finished, and ends with an error.
    const closed = new Promise<void>((resolve) => client.resume().on('close', () => resolve()))
    await waitFor('the client’s Finished', () => proxy.held)
    // Long enough for the ClientKeyExchange to arrive; too short would only make the test weaker.
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(server.revoke(identity)).toBe(0)
    server.setPsk(identity, key)
    proxy.release()
    await closed
    expect(opened).toEqual([])
    expect(failures.map(({ code }) => code)).toEqual(['MCBN_PSK_IDENTITY_UNKNOWN'])
    // A handshake that begins after setPsk() is welcome.
    await dialOpen({ ...only, port, psk: { identity, key } })
    await waitFor('the next connection', () => opened.length === 1)
  })
})
