// What diagnostics_channel is told about sessions, on DTLS and on TLS.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as tls from '../../src/tls/index.js'
import { waitFor } from '../support/wait.js'
import { dial, dialOpen, failureOf, freshKey, identity, LOOPBACK, serve } from './support.js'

type Message = Readonly<Record<string, unknown>>

/** Everything published on the channels, until the test ends. */
function watch(...names: readonly string[]): Record<string, Message[]> {
  const seen: Record<string, Message[]> = {}
  for (const name of names) {
    const messages: Message[] = []
    seen[name] = messages
    const listener = (message: unknown) => messages.push(message as Message)
    subscribe(name, listener)
    onTestFinished(() => void unsubscribe(name, listener))
  }
  return seen
}

/** Buffers in their own words: a key would show in any of them. */
function text(message: Message | undefined): string {
  const { socket: _socket, server: _server, ...facts } = message ?? {}
  return JSON.stringify(facts)
}

describe('dtls/diagnostics_channel', () => {
  it('tells of servers, sessions and their ends, on both sides, without a secret', async () => {
    const sessions = ['client', 'server'].flatMap((side) => [
      `mcbn.dtls.${side}.session.open`,
      `mcbn.dtls.${side}.session.close`,
    ])
    const ends = ['mcbn.dtls.server.listen', 'mcbn.dtls.server.close', 'mcbn.dtls.client.socket']
    const seen = watch(...sessions, ...ends)
    const key = freshKey()
    const { server, port } = await serve({ psk: { [identity]: key } })
    const accepted = once(server, 'secureConnection')
    const client = await dialOpen({ port, psk: { identity, key } })
    const [socket] = await accepted
    await client.close()
    await socket.closed
    await server.close()
    expect(seen['mcbn.dtls.server.listen']).toEqual([
      { server, address: LOOPBACK, port, family: 'IPv4' },
    ])
    expect(seen['mcbn.dtls.client.socket']).toEqual([{ socket: client, host: LOOPBACK, port }])
    const facts = {
      pskIdentity: Buffer.from(identity),
      protocol: 'DTLSv1.2',
      cipher: client.getCipher()?.name,
      remoteAddress: LOOPBACK,
      remotePort: expect.any(Number),
    }
    for (const [side, own] of Object.entries({ client, server: socket })) {
      const opened = seen[`mcbn.dtls.${side}.session.open`] ?? []
      const closed = seen[`mcbn.dtls.${side}.session.close`] ?? []
      expect(opened).toEqual([{ ...facts, socket: own }])
      expect(closed).toEqual([{ ...facts, socket: own, error: undefined }])
      for (const message of [...opened, ...closed]) {
        expect(message['socket']).toBe(own)
        expect(text(message)).not.toContain(JSON.stringify([...key]).slice(1, -1))
        expect(text(message)).not.toContain(key.toString('hex'))
      }
    }
    expect(seen['mcbn.dtls.server.close']).toEqual([{ server }])
  })

  it('tells of handshakes that failed, with the error that the events have', async () => {
    const client = 'mcbn.dtls.client.handshake.error'
    const server = 'mcbn.dtls.server.handshake.error'
    const seen = watch(client, server)
    const { port, failures } = await serve({ psk: { [identity]: freshKey() } })
    const socket = dial({ port, psk: { identity, key: freshKey() } })
    const error = await failureOf(socket)
    await waitFor('both', () => seen[client]?.length === 1 && seen[server]?.length === 1)
    expect(seen[client]?.[0]).toMatchObject({ socket, error })
    expect(seen[server]?.[0]).toMatchObject({ error: failures[0], remoteAddress: LOOPBACK })
    expect(seen[server]?.[0]?.['socket']).toBeUndefined()
  })

  it('does nothing to a session when a subscriber is there no more', async () => {
    const name = 'mcbn.dtls.client.session.open'
    const seen: unknown[] = []
    const listener = (message: unknown) => seen.push(message)
    subscribe(name, listener)
    unsubscribe(name, listener)
    const key = freshKey()
    const { port } = await serve({ psk: { [identity]: key } })
    await dialOpen({ port, psk: { identity, key } })
    expect(seen).toEqual([])
  })
})

describe('tls/diagnostics_channel', () => {
  it('tells of connections, their ends and failed handshakes', async () => {
    const sides = ['mcbn.tls.client', 'mcbn.tls.server']
    const seen = watch(
      ...sides.flatMap((side) =>
        ['session.open', 'session.close', 'handshake.error'].map((what) => `${side}.${what}`),
      ),
    )
    const key = freshKey()
    const server = tls.createServer({ psk: { [identity]: key } }, (socket) => socket.end())
    server.on('tlsClientError', () => {})
    server.listen(0, LOOPBACK)
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const good = tls.connect({ host: LOOPBACK, port, psk: { identity, key } })
    good.resume().end()
    await once(good, 'close')
    const bad = tls.connect({ host: LOOPBACK, port, psk: { identity, key: freshKey() } })
    const [error] = await once(bad, 'error')
    for (const side of sides) {
      const of = (what: string) => seen[`${side}.${what}`] ?? []
      await waitFor(side, () => of('session.close').length + of('handshake.error').length === 2)
      const facts = { pskIdentity: Buffer.from(identity), protocol: 'TLSv1.3' }
      expect(of('session.open')).toMatchObject([facts])
      expect(of('session.close')).toMatchObject([{ ...facts, error: undefined }])
      expect(of('session.close')[0]?.['socket']).toBe(of('session.open')[0]?.['socket'])
      expect(of('handshake.error')).toHaveLength(1)
    }
    expect(seen['mcbn.tls.client.handshake.error']?.[0]).toMatchObject({ socket: bad, error })
  })
})
