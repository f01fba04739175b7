// Every way in which a session or a server ends.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { DtlsServer, DtlsSocket } from '../../src/dtls/index.js'
import { connect, createServer } from '../../src/dtls/index.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { TYPE } from '../support/dtls-wire.js'
import { waitFor } from '../support/wait.js'
import {
  collect,
  dial,
  dialOpen,
  echo,
  failureOf,
  freshKey,
  identity,
  LOOPBACK,
  listen,
  openPair,
  roundTrip,
  serve,
  silentPort,
} from './support.js'

describe('dtls/close', () => {
  it.each(['client', 'server'] as const)('close_notify of the %s ends both sides', async (who) => {
    const pair = await openPair()
    const other = who === 'client' ? pair.server : pair.client
    const events: string[] = []
    other.on('error', () => events.push('error'))
    other.on('close', () => events.push('close'))
    const closed = pair[who].close()
    expect(pair[who].readyState).toBe('closed')
    await closed
    await other.closed
    await sleep(5)
    expect(events).toEqual(['close'])
    expect(other.readyState).toBe('closed')
    await waitFor('an empty server', () => pair.listener.stats.sessions === 0)
    expect([...pair.listener.sessions]).toEqual([])
  })

  it('the program hears of a session that opened and closed at once, and what came in it', async () => {
    const key = freshKey()
    const heard: string[] = []
    const { server, port } = await serve({ psk: { [identity]: key } }, (socket) => {
      heard.push('opened')
      socket.on('message', (message) => heard.push(`${message}`))
      socket.on('close', () => heard.push('closed'))
    })
    for (const text of ['', 'one message']) {
      const client = dial({ port, psk: { identity, key } })
      const opened = client.opened.then(() => {
        if (text !== '') client.send(text)
        return client.close()
      })
      await opened
      await waitFor('both ends', () => heard.at(-1) === 'closed' && server.stats.sessions === 0)
      expect(heard.splice(0)).toEqual(['opened', ...(text === '' ? [] : [text]), 'closed'])
    }
  })

  it('what was sent goes out before the close_notify', async () => {
    const { client, server } = await openPair()
    const got = collect(server)
    for (let index = 0; index < 40; index += 1) client.send(`${index}`)
    void client.close()
    await server.closed
    expect(got.map(String)).toEqual(Array.from({ length: 40 }, (_, index) => `${index}`))
  })

  it('a raw peer sees close_notify encrypted, and gets one back for its own (RFC 5246 7.2.1)', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    const peer = await DtlsPeer.create({ port, identity: Buffer.from(identity), key })
    await peer.open()
    peer.sendSealed(TYPE.alert, Buffer.from([1, 0]))
    await waitFor('the answer', () => peer.decrypted(TYPE.alert).length > 0)
    expect([...(peer.decrypted(TYPE.alert)[0] as Buffer)]).toEqual([1, 0])
    await waitFor('its end', () => server.stats.sessions === 0)
  })

  it('closing twice, or after destroy, is closing once', async () => {
    const { client } = await openPair()
    let closes = 0
    client.on('close', () => (closes += 1))
    await Promise.all([client.close(), client.close()])
    client.destroy()
    client.destroy(new Error('too late'))
    await client.close()
    await sleep(5)
    expect(closes).toBe(1)
  })

  it('destroy with an error emits it, then close', async () => {
    const { client } = await openPair()
    const events: unknown[] = []
    const mine = new Error('mine')
    client.on('error', (error) => events.push(error))
    client.on('close', () => events.push('close'))
    client.destroy(mine)
    await client.closed
    await sleep(1)
    expect(events).toEqual([mine, 'close'])
  })

  it('close while opening rejects opened and emits no error', async () => {
    const socket = connect({
      host: LOOPBACK,
      port: await silentPort(),
      psk: { identity, key: freshKey() },
    })
    const opened = failureOf(socket)
    let errors = 0
    socket.on('error', () => (errors += 1))
    await socket.close()
    expect((await opened).code).toBe('MCBN_SOCKET_CLOSED')
    expect(errors).toBe(0)
  })

  it('close while opening tells the server, which need not wait for handshakeTimeout', async () => {
    const key = freshKey()
    // Opens sessions only for Client1: Client2's key is asked for and never found.
    const { server, port, failures } = await serve({
      psk: ({ identityText, signal }) =>
        identityText === identity
          ? key
          : new Promise<never>((_, reject) =>
              signal.addEventListener('abort', () => reject(signal.reason)),
            ),
      handshakeTimeout: 60_000,
      lookupTimeout: 0,
    })
    const client = dial({ port, psk: { identity: 'Client2', key } })
    client.opened.catch(() => {})
    await waitFor('a handshake', () => server.stats.handshakesStarted === 1)
    await sleep(50)
    client.destroy()
    await waitFor('its end', () => failures.length === 1)
    expect(server.stats.sessions).toBe(0)
    expect(failures[0]).toMatchObject({ code: 'MCBN_HANDSHAKE_FAILED', alert: 'user_canceled' })
    expect(failures[0]?.message).toContain('the client gave up')
  })

  it('close at once, before anything was done, and while the name is looked up', async () => {
    for (const host of [LOOPBACK, 'localhost']) {
      const socket = connect({ host, port: 9, psk: { identity, key: freshKey() } })
      await socket.close()
      expect(socket.readyState).toBe('closed')
    }
  })

  it('works from inside every callback', async () => {
    const key = freshKey()
    const inside: string[] = []
    const { server, port } = await serve(
      {
        // A client that is destroyed in mid-handshake says nothing: the server gives up by its deadline.
        handshakeTimeout: 3_000,
        psk: async ({ identityText }) => {
          if (identityText === 'in lookup') inside.push('lookup')
          return key
        },
      },
      (socket) => {
        if (socket.pskIdentity?.toString() === 'in secureConnection') {
          inside.push('secureConnection')
          socket.destroy()
          return
        }
        socket.on('message', () => {
          inside.push('message')
          socket.destroy()
        })
      },
    )
    const [first, second, third] = ['in secureConnection', 'in message', 'in secureConnect'].map(
      (name) => dial({ port, psk: { identity: name, key } }),
    ) as [DtlsSocket, DtlsSocket, DtlsSocket]
    third.on('secureConnect', () => {
      inside.push('secureConnect')
      third.destroy()
    })
    second.on('secureConnect', () => second.sendMany(['one', 'two', 'three']))
    await first.opened
    await Promise.all([first.closed, second.closed, third.closed])
    const inLookup: DtlsSocket = dial({
      port,
      psk: async () => {
        inLookup.destroy()
        return { identity: 'in lookup', key }
      },
    })
    await inLookup.closed
    await waitFor('an empty server', () => server.stats.sessions === 0)
    expect(inside.sort()).toEqual(['message', 'secureConnect', 'secureConnection'])
  })

  it('destroying the other sockets of a batch from a listener takes their messages with them', async () => {
    const key = freshKey()
    const sockets: DtlsSocket[] = []
    let heard = 0
    const { port } = await serve({ psk: { [identity]: key } }, (socket) => {
      sockets.push(socket)
      socket.on('message', () => {
        heard += 1
        for (const each of sockets) each.destroy()
      })
    })
    const open = () => dialOpen({ port, psk: { identity, key } })
    const clients = await Promise.all(Array.from({ length: 10 }, open))
    await waitFor('all of them', () => sockets.length === 10)
    for (const client of clients) client.send('x')
    await Promise.all(clients.map((client) => client.closed))
    expect(heard).toBe(1)
  })

  it('is Symbol.asyncDispose as well, for sockets and servers', async () => {
    const key = freshKey()
    const server = createServer({ psk: { [identity]: key } })
    const port = await listen(server)
    const client = await dialOpen({ port, psk: { identity, key } })
    await client[Symbol.asyncDispose]()
    expect(client.readyState).toBe('closed')
    await server[Symbol.asyncDispose]()
    expect(server.listening).toBe(false)
  })
})

describe('dtls/abort signal', () => {
  it('aborted before: the socket never opens', async () => {
    const { server, port } = await echo({ psk: {} })
    const options = { port, signal: AbortSignal.abort(), psk: { identity, key: freshKey() } }
    const socket = dial(options)
    const [error] = await once(socket, 'error')
    expect(error.name).toBe('AbortError')
    await socket.closed
    expect(server.stats.datagramsReceived).toBe(0)
  })

  it('during the handshake and after it', async () => {
    const key = freshKey()
    const during = new AbortController()
    const opening = dial({
      port: await silentPort(),
      signal: during.signal,
      psk: { identity, key },
    })
    setTimeout(() => during.abort(), 20)
    expect((await failureOf(opening)).name).toBe('AbortError')

    const after = new AbortController()
    const { port } = await echo({ psk: { [identity]: key } })
    const socket = await dialOpen({ port, signal: after.signal, psk: { identity, key } })
    const failed = once(socket, 'error')
    after.abort()
    expect((await failed)[0].name).toBe('AbortError')
    await socket.closed
  })

  it('after the end does nothing, and keeps nothing alive', async () => {
    const key = freshKey()
    const controller = new AbortController()
    const { port } = await echo({ psk: { [identity]: key } })
    const socket = await dialOpen({ port, signal: controller.signal, psk: { identity, key } })
    await socket.close()
    let errors = 0
    socket.on('error', () => (errors += 1))
    controller.abort()
    await sleep(5)
    expect(errors).toBe(0)
  })
})

describe('dtls/server.close()', () => {
  it('ends open sessions with close_notify, and half-open ones', async () => {
    const key = freshKey()
    const { server, port } = await serve({
      psk: ({ identityText }) => (identityText === identity ? key : new Promise<null>(() => {})),
    })
    const open = await Promise.all(
      Array.from({ length: 5 }, () => dialOpen({ port, psk: { identity, key } })),
    )
    const half = dial({ port, handshakeTimeout: 800, psk: { identity: 'slow', key } })
    await waitFor('all', () => server.stats.sessions === 6)
    let closes = 0
    server.on('close', () => (closes += 1))
    await Promise.all([server.close(), server.close()])
    await Promise.all(open.map((socket) => socket.closed))
    expect((await failureOf(half)).kind).toBe('transport')
    expect(closes).toBe(1)
    expect(server.address()).toBeNull()
    expect(server.stats.handshakesCompleted).toBe(5) // the last figures stay
  })

  it('frees the port at once', async () => {
    const first = createServer({ psk: {} })
    const port = await listen(first)
    await first.close()
    await listen(createServer({ psk: {} }), LOOPBACK, port)
  })

  it('before listen, while it begins, and from inside its callbacks', async () => {
    await createServer({ psk: {} }).close()
    const starting = createServer({ psk: {} })
    let listening = false
    starting.listen(0, LOOPBACK, () => (listening = true))
    await starting.close()
    await sleep(10)
    expect(listening).toBe(false)

    const key = freshKey()
    for (const inside of ['lookup', 'secureConnection', 'message', 'clientError'] as const) {
      let done = false
      const close = (): void => {
        done = true
        void server.close()
      }
      const server = createServer(
        {
          psk: ({ identityText }) => {
            if (inside === 'lookup') close()
            return identityText === identity ? key : null
          },
        },
        (socket) => {
          socket.on('message', close)
          if (inside === 'secureConnection') close()
        },
      )
      server.on('clientError', close)
      const port = await listen(server)
      const name = inside === 'clientError' ? 'nobody' : identity
      const client = dial({ port, handshakeTimeout: 300, psk: { identity: name, key } })
      client.on('secureConnect', () => client.send('x'))
      await client.closed
      expect(done).toBe(true)
      await server.close()
    }
  })

  it('listens once: a second listen is refused, a failed one may be repeated', async () => {
    const server = createServer({ psk: {} })
    const port = await listen(server)
    expect(() => server.listen(0)).toThrow(expect.objectContaining({ code: 'MCBN_SOCKET_CLOSED' }))
    const other = createServer({ psk: {} })
    other.listen(port, LOOPBACK)
    const [error] = await once(other, 'error')
    expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', port })
    await listen(other)
  })

  it('an error of a session without a listener becomes clientError, once', async () => {
    const key = freshKey()
    const { server, port, failures } = await serve({ psk: { [identity]: key } })
    await dialOpen({ port, psk: { identity, key } })
    await waitFor('the session', () => [...server.sessions].length === 1)
    server.revoke(identity)
    await waitFor('the error', () => failures.length === 1)
    expect(failures[0]?.code).toBe('MCBN_CONNECTION_LOST')
    await roundTripAfterRevocation(server, port, key)
  })
})

async function roundTripAfterRevocation(
  server: DtlsServer,
  port: number,
  key: Buffer,
): Promise<void> {
  server.setPsk(identity, key)
  server.on('secureConnection', (socket) => socket.on('message', (message) => socket.send(message)))
  await roundTrip(await dialOpen({ port, psk: { identity, key } }))
}
