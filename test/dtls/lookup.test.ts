// Keys that JavaScript finds while the handshake waits.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Deferred } from '../../src/deferred.js'
import type { PskQuery } from '../../src/psk/types.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  failureNumber,
  failureOf,
  freshKey,
  identity,
  LOOPBACK,
  roundTrip,
  serve,
} from './support.js'

const never = (): Promise<never> => new Promise(() => {})

describe('dtls/lookup of a server', () => {
  it('is asked once, with all that is known of the client', async () => {
    const key = freshKey()
    const queries: PskQuery[] = []
    const psk = async (query: PskQuery) => {
      queries.push(query)
      await sleep(20)
      return { key, peer: { name: 'Alice' } }
    }
    const { server, port } = await serve<{ name: string }>({ psk })
    const accepted = once(server, 'secureConnection')
    const servername = 'vault.example'
    await dialOpen({ port, servername, psk: { identity, key } })
    const [socket] = await accepted
    expect(queries).toHaveLength(1)
    expect(queries[0]).toMatchObject({
      identity: Buffer.from(identity),
      identityText: identity,
      protocol: 'DTLSv1.2',
      remoteAddress: LOOPBACK,
      remotePort: socket.remotePort,
      servername,
    })
    expect(queries[0]?.signal.aborted).toBe(false)
    expect(socket.peer).toEqual({ name: 'Alice' })
    expect(socket.servername).toBe(servername)
  })

  it('has no servername when the client sent none', async () => {
    const key = freshKey()
    const queries: PskQuery[] = []
    const psk = (query: PskQuery) => {
      queries.push(query)
      return key
    }
    const { port } = await serve({ psk })
    await dialOpen({ port, psk: { identity, key } })
    expect(queries[0]).not.toHaveProperty('servername')
  })

  it.each([
    ['at once', (key: Buffer) => key],
    ['as an entry', (key: Buffer) => ({ key })],
    ['by a promise', (key: Buffer) => sleep(5, key)],
    ['by a promise that is done already', (key: Buffer) => Promise.resolve(key)],
    ['by a thenable of another library', (key: Buffer) => thenable(key)],
  ])('may answer %s', async (_how, answer) => {
    const key = freshKey()
    const { port } = await echo({ psk: () => answer(key) as never })
    await roundTrip(await dialOpen({ port, psk: { identity, key } }))
  })

  it('null or undefined is an unknown identity, now or later', async () => {
    const answers = [() => null, () => undefined, () => sleep(5, null), () => sleep(5, undefined)]
    for (const psk of answers) {
      const { failures, port } = await serve({ psk: psk as () => null })
      const error = await failureOf(dial({ port, psk: { identity, key: freshKey() } }))
      expect(error.code).toBe('MCBN_PSK_MISMATCH')
      expect((await failureNumber(failures, 1)).code).toBe('MCBN_PSK_IDENTITY_UNKNOWN')
    }
  })

  it('that throws or rejects fails one handshake, with its own error as cause', async () => {
    const mine = new Error('database on fire')
    const lookups = [
      () => {
        throw mine
      },
      () => Promise.reject(mine),
      () => sleep(5).then(() => Promise.reject(mine)),
    ]
    for (const psk of lookups) {
      const { failures, port } = await serve({ psk })
      const error = await failureOf(dial({ port, psk: { identity, key: freshKey() } }))
      expect(await failureNumber(failures, 1)).toMatchObject({
        code: 'MCBN_LOOKUP_FAILED',
        kind: 'lookup',
        cause: mine,
      })
      expect(error.code).toBe('MCBN_PSK_MISMATCH') // the peer learns nothing
    }
  })

  it.each([
    42,
    true,
    'text',
    Symbol('key'),
    new Uint8Array(3),
    new Uint8Array(513),
    new Uint16Array(32),
    new ArrayBuffer(32),
    Buffer.alloc(32),
    [],
    {},
    { key: 'k' },
    { key: null },
    () => Buffer.alloc(32, 1),
  ])('that answers nonsense (%#) fails that handshake, at once and later', async (answer) => {
    for (const psk of [() => answer, () => sleep(2, answer)]) {
      const { failures, port } = await serve({ psk: psk as never })
      await failureOf(dial({ port, psk: { identity, key: freshKey() } }))
      expect((await failureNumber(failures, 1)).code).toBe('MCBN_LOOKUP_FAILED')
    }
  })

  it('that throws for one client keeps serving others', async () => {
    const key = freshKey()
    const psk = ({ identityText }: PskQuery) => {
      if (identityText === 'bad') throw new Error('no')
      return key
    }
    const { port } = await echo({ psk })
    const [bad, good] = [
      dial({ port, psk: { identity: 'bad', key } }),
      dial({ port, psk: { identity, key } }),
    ]
    await failureOf(bad)
    await roundTrip(await good.opened)
  })

  it('that never answers is given up after lookupTimeout, and its signal aborts', async () => {
    let signal: AbortSignal | undefined
    const psk = (query: PskQuery) => {
      signal = query.signal
      return never()
    }
    const { failures, port } = await serve({ psk, lookupTimeout: 60 })
    await failureOf(dial({ port, psk: { identity, key: freshKey() } }))
    expect((await failureNumber(failures, 1)).code).toBe('MCBN_LOOKUP_TIMEOUT')
    expect(signal?.aborted).toBe(true)
  })

  it('is aborted when the deadline of the handshake comes first', async () => {
    const signals: AbortSignal[] = []
    const psk = (query: PskQuery) => {
      signals.push(query.signal)
      return never()
    }
    const { failures, port } = await serve({ psk, lookupTimeout: 0, handshakeTimeout: 250 })
    const gone = dial({ port, psk: { identity, key: freshKey() } })
    await waitFor('the question', () => signals.length === 1)
    gone.destroy()
    await waitFor('its abort', () => signals[0]?.aborted)
    expect((await failureNumber(failures, 1)).code).toBe('MCBN_HANDSHAKE_TIMEOUT')
  })

  it('is aborted when the client says that it has given up', async () => {
    const signals: AbortSignal[] = []
    const psk = (query: PskQuery) => {
      signals.push(query.signal)
      return never()
    }
    const { failures, port } = await serve({ psk, lookupTimeout: 0, handshakeTimeout: 60_000 })
    const peer = await DtlsPeer.create({ port, identity: Buffer.from(identity), key: freshKey() })
    await peer.hello()
    peer.send(Buffer.concat(peer.makeLastFlight()))
    await waitFor('the question', () => signals.length === 1)
    peer.send(peer.plain(21, Buffer.from([2, 90]))) // user_canceled, fatal
    await waitFor('its abort', () => signals[0]?.aborted)
    expect(await failureNumber(failures, 1)).toMatchObject({ alert: 'user_canceled' })
  })

  it('is aborted when the server closes', async () => {
    const signals: AbortSignal[] = []
    const psk = (query: PskQuery) => {
      signals.push(query.signal)
      return never()
    }
    const { server, port } = await serve({ psk })
    dial({ port, psk: { identity, key: freshKey() } })
    await waitFor('the question', () => signals.length === 1)
    await server.close()
    expect(signals[0]?.aborted).toBe(true)
  })

  it('that answers after the handshake has gone changes nothing', async () => {
    const key = freshKey()
    let answers = 0
    const psk = async () => {
      await sleep(400)
      answers += 1
      return key
    }
    const { failures, port, server } = await echo({ psk, handshakeTimeout: 150 })
    const gone = dial({ port, psk: { identity, key } })
    expect((await failureNumber(failures, 1)).code).toBe('MCBN_HANDSHAKE_TIMEOUT')
    gone.destroy()
    await waitFor('the late answer', () => answers === 1)
    await sleep(20)
    expect(server.stats).toMatchObject({ sessions: 0, handshakesCompleted: 0 })
    expect(failures).toHaveLength(1)
  })

  it('is asked once however often the client repeats itself (RFC 6347 section 4.2.4)', async () => {
    const key = freshKey()
    let asked = 0
    const psk = () => {
      asked += 1
      return sleep(600, key)
    }
    const { port } = await echo({ psk })
    const proxy = await LossyProxy.start(port, { duplicate: 1, seed: 4 })
    // Ten retransmissions of the flight within the lookup, and each arrives twice.
    const client = await dialOpen({
      port: proxy.port,
      retransmitTimeout: 20,
      psk: { identity, key },
    })
    expect(client.stats.retransmits).toBeGreaterThan(2)
    await roundTrip(client)
    expect(asked).toBe(1)
  })

  it('gets identities as bytes, NUL included: no other identity’s key can be had by them', async () => {
    const key = freshKey()
    const seen: Buffer[] = []
    const raw = Buffer.from('Client1\0evil')
    const psk = (query: PskQuery) => {
      seen.push(query.identity)
      return query.identity.equals(raw) ? key : null
    }
    const { server, port } = await echo({ psk })
    const accepted = once(server, 'secureConnection')
    const peer = await DtlsPeer.create({ port, identity: raw, key })
    await peer.open()
    expect((await accepted)[0].pskIdentity).toEqual(raw)
    expect(seen).toEqual([raw])
  })

  it.each([
    ['256 bytes pass', 256, true],
    ['257 bytes do not', 257, false],
    ['none do not', 0, false],
  ])('identities of raw clients: %s', async (_what, length, passes) => {
    const key = freshKey()
    let asked = 0
    const psk = () => {
      asked += 1
      return key
    }
    const { server, port, failures } = await echo({ psk })
    const peer = await DtlsPeer.create({ port, identity: Buffer.alloc(length, 'i'), key })
    if (passes) {
      await peer.open()
      expect(server.stats.handshakesCompleted).toBe(1)
    } else {
      await peer.hello()
      peer.send(Buffer.concat(peer.makeLastFlight()))
      expect((await failureNumber(failures, 1)).kind).toBe('peer')
      expect(server.stats.sessions).toBe(0)
    }
    expect(asked).toBe(passes ? 1 : 0)
  })

  it('that takes long delays nobody else: 200 handshakes wait side by side', async () => {
    const key = freshKey()
    const gate = new Deferred()
    const asked: string[] = []
    let opened = 0
    const psk = async ({ identityText }: PskQuery) => {
      asked.push(`${identityText}`)
      if (identityText !== 'swift') await gate.promise
      return key
    }
    const { port } = await echo({ psk })
    const open = async (name: string): Promise<void> => {
      await dialOpen({ port, psk: { identity: name, key } })
      opened += 1
    }
    const slow = Array.from({ length: 200 }, (_, index) => open(`slow ${index}`))
    await waitFor('all questions', () => asked.length === 200)
    await open('swift')
    expect(opened).toBe(1)
    gate.resolve()
    await Promise.all(slow)
    expect(new Set(asked).size).toBe(201)
    expect(asked).toHaveLength(201)
  })
})

/** What libraries older than promises give. */
function thenable(value: unknown): object {
  // biome-ignore lint/suspicious/noThenProperty: it is the point
  return { then: (resolve: (value: unknown) => void) => void setTimeout(() => resolve(value), 2) }
}
