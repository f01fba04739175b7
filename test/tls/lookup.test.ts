// Keys that JavaScript finds while the handshake waits.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Deferred } from '../../src/deferred.js'
import type { PskQuery } from '../../src/psk/types.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  failureOf,
  freshKey,
  identity,
  LOOPBACK,
  readAll,
  serve,
  VERSIONS,
} from './support.js'

describe.each(VERSIONS)('a server’s lookup on %s', (version) => {
  const only = { minVersion: version, maxVersion: version } as const

  it('is asked once, with all that is known of the client', async () => {
    const key = freshKey()
    const queries: PskQuery[] = []
    const lookup = async (query: PskQuery) => {
      queries.push(query)
      await sleep(20)
      return { key, peer: { name: 'Alice' } }
    }
    const { server, port } = await serve<{ name: string }>({ ...only, psk: lookup })
    const accepted = once(server, 'secureConnection')
    const servername = 'vault.example'
    const client = await dialOpen({ ...only, port, servername, psk: { identity, key } })
    const [socket] = await accepted
    expect(queries).toHaveLength(1)
    expect(queries[0]).toMatchObject({
      identity: Buffer.from(identity),
      identityText: identity,
      protocol: version,
      remoteAddress: LOOPBACK,
      remotePort: client.localPort,
      servername,
    })
    expect(queries[0]?.signal.aborted).toBe(false)
    expect(socket.peer).toEqual({ name: 'Alice' })
    expect(socket.servername).toBe(servername)
  })

  it.each(['at once', 'later'])('may answer %s', async (when) => {
    const key = freshKey()
    const psk = when === 'later' ? () => sleep(5, key) : () => key
    const { port } = await echo({ ...only, psk })
    const client = dial({ ...only, port, psk: { identity, key } })
    client.end('sent before the answer')
    expect((await readAll(client)).toString()).toBe('sent before the answer')
  })

  it('null is an unknown identity, now or later', async () => {
    for (const psk of [() => null, () => sleep(5, null)]) {
      const { failures, port } = await serve({ ...only, psk })
      await failureOf(dial({ ...only, port, psk: { identity, key: freshKey() } }))
      await waitFor('the failure', () => failures.length === 1)
      expect(failures[0]?.code).toBe('MCBN_PSK_IDENTITY_UNKNOWN')
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
      const { failures, port } = await serve({ ...only, psk })
      const error = await failureOf(dial({ ...only, port, psk: { identity, key: freshKey() } }))
      await waitFor('the failure', () => failures.length === 1)
      expect(failures[0]).toMatchObject({ code: 'MCBN_LOOKUP_FAILED', kind: 'lookup', cause: mine })
      expect(error.code).toBe('MCBN_PSK_MISMATCH') // the peer learns nothing
    }
  })

  it.each([42, 'text', new Uint8Array(3), Buffer.alloc(32), {}, { key: 'k' }])(
    'that answers nonsense (%#) fails that handshake',
    async (answer) => {
      const { failures, port } = await serve({ ...only, psk: () => answer as never })
      await failureOf(dial({ ...only, port, psk: { identity, key: freshKey() } }))
      await waitFor('the failure', () => failures.length === 1)
      expect(failures[0]?.code).toBe('MCBN_LOOKUP_FAILED')
    },
  )

  it('that never answers is given up after lookupTimeout, and its signal aborts', async () => {
    let signal: AbortSignal | undefined
    const psk = (query: PskQuery) => {
      signal = query.signal
      return new Promise<null>(() => {})
    }
    const { failures, port } = await serve({ ...only, psk, lookupTimeout: 60 })
    await failureOf(dial({ ...only, port, psk: { identity, key: freshKey() } }))
    await waitFor('the failure', () => failures.length === 1)
    expect(failures[0]?.code).toBe('MCBN_LOOKUP_TIMEOUT')
    expect(signal?.aborted).toBe(true)
  })

  it('is aborted when the client goes away, or the deadline comes, before the answer', async () => {
    const signals: AbortSignal[] = []
    const psk = (query: PskQuery) => {
      signals.push(query.signal)
      return new Promise<null>(() => {})
    }
    const { failures, port } = await serve({
      ...only,
      psk,
      lookupTimeout: 0,
      handshakeTimeout: 300,
    })
    const leaving = dial({ ...only, port, psk: { identity, key: freshKey() } })
    await waitFor('the first question', () => signals.length === 1)
    leaving.destroy()
    await waitFor('its abort', () => signals[0]?.aborted)
    const staying = dial({ ...only, port, psk: { identity, key: freshKey() } })
    staying.on('error', () => {})
    await waitFor('the second abort', () => signals[1]?.aborted)
    await waitFor('two failures', () => failures.length === 2)
    expect(failures[1]?.code).toBe('MCBN_HANDSHAKE_TIMEOUT')
  })

  it('that answers after the handshake has gone changes nothing', async () => {
    const key = freshKey()
    let answers = 0
    const psk = async () => {
      await sleep(60)
      answers += 1
      return key
    }
    const { port } = await echo({ ...only, psk })
    const gone = dial({ ...only, port, psk: { identity, key } })
    await sleep(20)
    gone.destroy()
    await waitFor('the late answer', () => answers === 1)
    await dialOpen({ ...only, port, psk: { identity, key } })
  })

  it('that takes long delays nobody else: 200 handshakes wait side by side', async () => {
    const key = freshKey()
    const gate = new Deferred()
    let asked = 0
    let opened = 0
    const psk = async (query: PskQuery) => {
      asked += 1
      if (query.identityText !== 'swift') await gate.promise
      return key
    }
    const { port } = await echo({ ...only, psk })
    const open = async (name: string): Promise<void> => {
      await dialOpen({ ...only, port, psk: { identity: name, key } })
      opened += 1
    }
    const slow = Array.from({ length: 200 }, (_, index) => open(`slow ${index}`))
    await waitFor('all questions', () => asked === 200)
    await open('swift')
    expect(opened).toBe(1)
    gate.resolve()
    await Promise.all(slow)
    expect(asked).toBe(201)
  })
})

describe('a client’s psk function', () => {
  it('on TLS 1.3 is asked once, without a hint', async () => {
    const key = freshKey()
    const hints: (string | undefined)[] = []
    const { port } = await echo({ psk: { [identity]: key }, pskIdentityHint: 'unused' })
    await dialOpen({
      port,
      psk: async (hint) => {
        hints.push(hint)
        return { identity, key }
      },
    })
    expect(hints).toEqual([undefined])
  })

  it('on TLS 1.2 gets the hint (RFC 4279 section 5.2)', async () => {
    const key = freshKey()
    const hints: (string | undefined)[] = []
    const { port } = await echo({
      maxVersion: 'TLSv1.2',
      psk: { [identity]: key },
      pskIdentityHint: 'vault 7',
    })
    const choose = async (hint: string | undefined) => {
      hints.push(hint)
      await sleep(5)
      return { identity: hint === 'vault 7' ? identity : 'somebody', key }
    }
    await dialOpen({ port, maxVersion: 'TLSv1.2', psk: choose })
    expect(hints).toEqual(['vault 7'])
    // A client that could speak 1.3 chose before it knew the hint, and may choose again.
    await dialOpen({ port, psk: choose })
    expect(hints).toEqual(['vault 7', undefined, 'vault 7'])
  })

  it('on TLS 1.2 is asked once when there is no hint', async () => {
    const key = freshKey()
    const hints: (string | undefined)[] = []
    const { port } = await echo({ maxVersion: 'TLSv1.2', psk: { [identity]: key } })
    const psk = (hint: string | undefined) => {
      hints.push(hint)
      return { identity, key }
    }
    await dialOpen({ port, psk })
    await dialOpen({ port, psk, maxVersion: 'TLSv1.2' })
    expect(hints).toEqual([undefined, undefined])
  })

  it.each(VERSIONS)(
    'that fails on %s fails the connection, with its own error as cause',
    async (version) => {
      const mine = new Error('no key ring')
      const { port } = await echo({ psk: { [identity]: freshKey() }, maxVersion: version })
      const functions = [
        () => {
          throw mine
        },
        () => Promise.reject(mine),
      ]
      for (const psk of functions) {
        const error = await failureOf(dial({ port, maxVersion: version, psk }))
        expect(error).toMatchObject({ code: 'MCBN_LOOKUP_FAILED', cause: mine })
      }
      expect(await failureOf(dial({ port, maxVersion: version, psk: () => null }))).toMatchObject({
        code: 'MCBN_LOOKUP_FAILED',
      })
    },
  )

  it('that takes too long fails with MCBN_LOOKUP_TIMEOUT', async () => {
    const { port } = await echo({ psk: { [identity]: freshKey() } })
    const socket = dial({ port, lookupTimeout: 40, psk: () => new Promise(() => {}) })
    expect((await failureOf(socket)).code).toBe('MCBN_LOOKUP_TIMEOUT')
  })
})
