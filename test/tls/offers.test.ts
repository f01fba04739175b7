// What a TLS 1.3 client may offer (RFC 8446 section 4.2.11): many keys, and identities longer than any other
// version can carry.

import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { importPsk } from '../../src/psk/index.js'
import { connect } from '../../src/tls/index.js'
import { describeWithPeers } from '../support/peers.js'
import { freeTcpPort } from '../support/ports.js'
import { start } from '../support/process.js'
import { offerKeys } from '../support/tls13-hello.js'
import { waitFor } from '../support/wait.js'
import { freshKey, LOOPBACK, serve } from './support.js'

const HANDSHAKE_FAILURE = 40
const unknown = (count: number) =>
  Array.from({ length: count }, (_, at) => ({
    identity: Buffer.from(`stranger-${at}`),
    key: freshKey(),
  }))

describe('tls/offers: many identities in one ClientHello', () => {
  const key = freshKey()
  const known = { identity: Buffer.from('Client1'), key }

  it.each([0, 1, 5, 6, 14, 15])('finds the one that it knows behind %d others', async (before) => {
    const { port } = await serve({ psk: { Client1: key } })
    const offers = [...unknown(before), known, ...unknown(15 - before)]
    expect(await offerKeys(port, offers)).toEqual({ selected: before })
  })

  it('asks its lookup for each in turn until one is known', async () => {
    const asked: string[] = []
    const { port } = await serve({
      psk: async ({ identityText }) => {
        asked.push(identityText)
        return identityText === 'Client1' ? key : null
      },
    })
    expect(await offerKeys(port, [...unknown(6), known])).toEqual({ selected: 6 })
    expect(asked).toEqual([...unknown(6).map(({ identity }) => identity.toString()), 'Client1'])
  })

  it('looks at 16, which bounds what one hello can ask for, and says so', async () => {
    const asked: string[] = []
    const { port, failures } = await serve({
      psk: ({ identityText }) => {
        asked.push(identityText)
        return identityText === 'Client1' ? key : null
      },
    })
    // As with a wrong key: neither the alert nor the time tells that nobody was found.
    expect(await offerKeys(port, [...unknown(16), known])).toHaveProperty('alert')
    await waitFor('the failure', () => failures.length === 1)
    expect(failures[0]).toMatchObject({ code: 'MCBN_PSK_IDENTITY_UNKNOWN' })
    expect(failures[0]?.message).toMatch(/first 16 of the 17 identities.*"stranger-0".*earlier/)
    expect(asked).toHaveLength(16)
  })

  // docs/SECURITY-NOTES.md: one PSK is chosen, and that one's binder is checked, so this is the protocol's.
  it('lets the holder of one key ask for another identity (RFC 8446 section 4.2.11)', async () => {
    const { port } = await serve({ psk: { Client1: key, Client2: freshKey() } })
    const candidate = (name: string) => ({ identity: Buffer.from(name), key: freshKey() })
    expect(await offerKeys(port, [candidate('Client2'), known])).toHaveProperty('alert')
    expect(await offerKeys(port, [candidate('Client3'), known])).toEqual({ selected: 1 })
    // Without a key of the server there is nothing to see.
    const strangers = await Promise.all(
      ['Client2', 'Client3'].map((name) => offerKeys(port, [candidate(name)])),
    )
    expect(strangers[0]).toEqual(strangers[1])
  })

  it('answers a thousand offers, 48 KB of them, with an alert', async () => {
    const { port, failures } = await serve({ psk: { Client1: key }, unknownIdentity: 'alert' })
    expect(await offerKeys(port, unknown(1_000))).not.toEqual({ alert: HANDSHAKE_FAILURE })
    await waitFor('the failure', () => failures.length === 1)
    expect(failures[0]?.message).toMatch(/first 16 of the 1000 identities/)
  })
})

describe('tls/offers: long identities', () => {
  it.each([257, 4_000, 16_000, 33_000, 64_000])('opens with %d bytes', async (length) => {
    const identity = Buffer.alloc(length, 'identity-')
    const key = freshKey()
    const opened = new Promise<Buffer | undefined>((resolve) => {
      void serve({ psk: new Map([[identity.toString(), key]]) }, (socket) => {
        resolve(socket.pskIdentity)
        socket.end()
      }).then(({ port }) => {
        connect({ host: LOOPBACK, port, psk: { identity, key } }).resume()
      })
    })
    expect(await opened).toEqual(identity)
  })

  it('opens under an imported identity, which has more than 256 bytes with a long context (RFC 9258)', async () => {
    const imported = importPsk({
      key: freshKey(),
      identity: 'Client1',
      context: Buffer.alloc(300, 'c'),
      targetProtocol: 'TLSv1.3',
      targetKdf: 'sha256',
    })
    const asked: Buffer[] = []
    const { port } = await serve(
      {
        psk: ({ identity }) => {
          asked.push(identity)
          return imported.key
        },
      },
      (socket) => socket.end('hello'),
    )
    const socket = connect({ host: LOOPBACK, port, psk: imported })
    expect(Buffer.concat(await socket.toArray()).toString()).toBe('hello')
    expect(asked).toEqual([imported.identity])
  })

  it('refuses 64,001 bytes, and 257 where TLS 1.2 would have to carry them, in the call', async () => {
    const invalid = expect.objectContaining({ code: 'MCBN_IDENTITY_INVALID' })
    const attempt = (bytes: number, maxVersion: 'TLSv1.2' | 'TLSv1.3') => () =>
      connect({
        host: LOOPBACK,
        port: 9,
        maxVersion,
        psk: { identity: 'i'.repeat(bytes), key: freshKey() },
      })
    expect(attempt(64_001, 'TLSv1.3')).toThrow(invalid)
    expect(attempt(257, 'TLSv1.2')).toThrow(invalid)
    expect(attempt(257, 'TLSv1.2')).toThrow(/at most 256 bytes for a TLSv1.2 client, got 257/)
    await expect(
      serve({ psk: { ['i'.repeat(257)]: freshKey() }, maxVersion: 'TLSv1.2' }),
    ).rejects.toThrow(invalid)
  })

  it('answers a server that speaks TLS 1.2 only with a version alert, not with a cut identity', async () => {
    const { port, failures } = await serve({ psk: {}, maxVersion: 'TLSv1.2' })
    const psk = { identity: 'i'.repeat(300), key: freshKey() }
    const socket = connect({ host: LOOPBACK, port, psk })
    const [error] = await once(socket, 'error')
    expect(error).toMatchObject({ code: 'MCBN_HANDSHAKE_FAILED', alert: 'protocol_version' })
    await waitFor('the failure', () => failures.length === 1)
  })
})

describeWithPeers(['openssl'], 'tls/offers: long identities with openssl', () => {
  const identity = 'long-identity-'.repeat(2_000) // 28,000 bytes
  const key = freshKey()
  const psk = ['-psk', key.toString('hex'), '-psk_identity', identity, '-tls1_3']

  it('s_client to a server', async () => {
    const opened = new Promise<string>((resolve) => {
      void serve({ psk: { [identity]: key } }, (socket) => {
        resolve(String(socket.pskIdentity))
        socket.end()
      }).then(({ port }) => {
        start('openssl', ['s_client', '-connect', `${LOOPBACK}:${port}`, ...psk], { foreign: true })
      })
    })
    expect(await opened).toBe(identity)
  })

  it('a client to s_server', async () => {
    const port = await freeTcpPort()
    const peer = start(
      'openssl',
      ['s_server', '-accept', `${LOOPBACK}:${port}`, '-nocert', '-rev', ...psk],
      { foreign: true },
    )
    await peer.output(/^ACCEPT$/m)
    const socket = connect({ host: LOOPBACK, port, psk: { identity, key } })
    socket.write('abc\n')
    const [chunk] = await once(socket, 'data')
    expect(String(chunk)).toBe('cba\n')
    socket.destroy()
  })
})
