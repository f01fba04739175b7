// What a TLS socket tells about itself, and the side services: ALPN, names, exporters, key log, timeouts.

import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { TlsSocket } from '../../src/tls/index.js'
import { connect } from '../../src/tls/index.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  failureOf,
  freshKey,
  identity,
  LOOPBACK,
  openPair,
  serve,
  VERSIONS,
} from './support.js'

describe.each(VERSIONS)('a %s socket', (version) => {
  const only = { minVersion: version, maxVersion: version } as const

  it('exports the same keying material on both ends (RFC 5705, RFC 8446 section 7.5)', async () => {
    const { client, server } = await openPair(only)
    const label = 'EXPORTER-mcbn-test'
    const context = Buffer.from('context')
    for (const [length, use] of [
      [32, undefined],
      [64, context],
      [32, new Uint8Array(0)],
    ] as const) {
      const here = client.exportKeyingMaterial(length, label, use)
      expect(here).toHaveLength(length)
      expect(here.equals(server.exportKeyingMaterial(length, label, use))).toBe(true)
    }
    const one = client.exportKeyingMaterial(32, label, context)
    expect(one.equals(client.exportKeyingMaterial(32, label, Buffer.from('other')))).toBe(false)
  })

  it('exports nothing before it is open or after it is destroyed', async () => {
    const key = freshKey()
    const { port } = await echo({ ...only, psk: { [identity]: key } })
    const client = dial({ ...only, port, psk: { identity, key } })
    const unavailable = expect.objectContaining({ code: 'MCBN_EXPORTER_UNAVAILABLE' })
    expect(() => client.exportKeyingMaterial(32, 'x')).toThrow(unavailable)
    await once(client, 'secureConnect')
    expect(() => client.exportKeyingMaterial(0, 'x')).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
    )
    client.destroy()
    expect(() => client.exportKeyingMaterial(32, 'x')).toThrow(unavailable)
  })

  it.each(['end', 'destroy'] as const)(
    "opened and closed at once, by %s(): the server's program hears of both",
    async (how) => {
      const key = freshKey()
      const heard: string[] = []
      const { port, failures } = await serve({ ...only, psk: { [identity]: key } }, (socket) => {
        heard.push('opened')
        socket.resume().on('close', () => heard.push('closed'))
      })
      // In TLS 1.3 the end can come in one piece with the client's Finished.
      const client = dial({ ...only, port, psk: { identity, key } })
      client.on('secureConnect', () => client[how]())
      await waitFor('the end', () => heard.at(-1) === 'closed')
      expect([heard, failures]).toEqual([['opened', 'closed'], []])
    },
  )

  it('logs its secrets for Wireshark on both ends, the same lines', async () => {
    const key = freshKey()
    const { server, port } = await serve({ ...only, psk: { [identity]: key } })
    const [ours, theirs]: [string[], string[]] = [[], []]
    let origin: TlsSocket | undefined
    server.on('keylog', (line: Buffer, socket: TlsSocket) => {
      theirs.push(line.toString())
      origin = socket
    })
    const accepted = once(server, 'secureConnection')
    const client = dial({ ...only, port, psk: { identity, key } })
    client.on('keylog', (line) => ours.push(line.toString()))
    await once(client, 'secureConnect')
    const [socket] = await accepted
    expect(origin).toBe(socket)
    expect(ours.sort()).toEqual(theirs.sort())
    const first =
      version === 'TLSv1.3'
        ? /^CLIENT_HANDSHAKE_TRAFFIC_SECRET \w{64} \w{64}\n$/
        : /^CLIENT_RANDOM \w{64} \w{96}\n$/
    expect(ours.some((line) => first.test(line))).toBe(true)
  })

  it('agrees on an application protocol, or refuses (RFC 7301 section 3.2)', async () => {
    const key = freshKey()
    const { server, port } = await serve({
      ...only,
      psk: { [identity]: key },
      ALPNProtocols: ['h2', 'mqtt'],
    })
    const to = (...ALPNProtocols: string[]) => ({
      ...only,
      port,
      ALPNProtocols,
      psk: { identity, key },
    })
    const accepted = once(server, 'secureConnection')
    const client = await dialOpen(to('other', 'mqtt', 'h2'))
    expect(client.alpnProtocol).toBe('h2')
    expect((await accepted)[0].alpnProtocol).toBe('h2')
    const error = await failureOf(dial(to('other')))
    expect(error).toMatchObject({ code: 'MCBN_HANDSHAKE_FAILED', alert: 'no_application_protocol' })
    expect((await dialOpen({ ...only, port, psk: { identity, key } })).alpnProtocol).toBeUndefined()
  })

  it('gives the server the name the client asked for (RFC 6066 section 3)', async () => {
    const key = freshKey()
    const { server, port } = await serve({ ...only, psk: { [identity]: key } })
    for (const servername of ['vault.example', undefined]) {
      const accepted = once(server, 'secureConnection')
      await dialOpen({ ...only, port, psk: { identity, key }, ...(servername && { servername }) })
      expect((await accepted)[0].servername).toBe(servername)
    }
  })
})

describe('a socket', () => {
  it('answers like the net.Socket below it', async () => {
    const { client, server } = await openPair()
    expect(client.remoteAddress).toBe(LOOPBACK)
    expect(client.remoteFamily).toBe('IPv4')
    expect(client.localPort).toBe(server.remotePort)
    expect(client.remotePort).toBe(server.localPort)
    expect(client.address()).toMatchObject({ address: LOOPBACK, port: client.localPort })
    expect(client.readyState).toBe('open')
    expect(client.connecting).toBe(false)
    for (const chained of [
      client.setNoDelay(),
      client.setKeepAlive(true),
      client.unref(),
      client.ref(),
    ]) {
      expect(chained).toBe(client)
    }
  })

  it('says opening and connect on the way', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    const client = dial({ port, psk: { identity, key } })
    expect([client.readyState, client.connecting, client.getProtocol()]).toEqual([
      'opening',
      true,
      null,
    ])
    await once(client, 'connect')
    expect(client.authorized).toBe(false)
    await client.opened
    expect(client.authorized).toBe(true)
  })

  it('has a promise for the handshake, and one for its failure', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    const client = dial({ port, psk: { identity, key } })
    await client.opened
    await client.opened
    const wrong = dial({ port, psk: { identity, key: freshKey() } })
    await expect(wrong.opened).rejects.toMatchObject({ code: 'MCBN_PSK_MISMATCH' })
    await expect(wrong.opened).rejects.toMatchObject({ code: 'MCBN_PSK_MISMATCH' })
  })

  it('emits timeout after silence, each time anew, and never after setTimeout(0)', async () => {
    const { client, server } = await openPair()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    let timeouts = 0
    client.on('timeout', () => {
      timeouts += 1
    })
    client.setTimeout(1_000)
    expect(client.timeout).toBe(1_000)
    const hear = async () => {
      const heard = once(client, 'data')
      server.write('x')
      await heard
    }
    for (let silence = 0; silence < 3; silence += 1) {
      vi.advanceTimersByTime(999)
      await hear()
    }
    expect(timeouts).toBe(0)
    vi.advanceTimersByTime(1_000)
    await hear()
    vi.advanceTimersByTime(1_000)
    expect(timeouts).toBe(2)
    await hear()
    client.setTimeout(0)
    vi.advanceTimersByTime(10_000)
    expect(timeouts).toBe(2)
  })

  it('shows no key when inspected or turned into JSON', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    const client = dial({ port, psk: { identity, key } })
    for (const thing of [server, client]) {
      const shown = inspect(thing, { depth: 12, showHidden: true })
      expect(shown).not.toContain(key.toString('hex'))
      expect(shown).not.toContain(key.toString('hex').match(/../g)?.slice(0, 16).join(' '))
    }
    await client.opened
  })

  it('reads a name from a record whose keys belong to nobody', async () => {
    const key = freshKey()
    const { port } = await serve({ psk: { constructor: key } })
    await dialOpen({ port, psk: { identity: 'constructor', key } })
    await failureOf(dial({ port, psk: { identity: 'toString', key } }))
    await failureOf(dial({ port, psk: { identity: '__proto__', key } }))
  })

  it('works in several worker threads at once', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    const workerData = { identity, key, port, host: LOOPBACK }
    const workers = Array.from({ length: 3 }, async () => {
      const url = JSON.stringify(new URL('./worker-client.ts', import.meta.url).href)
      const start = `import('tsx/esm/api').then(({ tsImport }) => tsImport(${url}, ${url}))`
      const worker = new Worker(start, { workerData, eval: true })
      // Both at once: of a worker that ends while this thread is busy, 'message' and 'exit' come in one go.
      const [[text]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
      return text
    })
    expect(await Promise.all(workers)).toEqual(Array(3).fill('from a worker'))
  })

  it('over a socket that is still connecting waits for it', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    const socket = connect({ socket: connectTcp(port, LOOPBACK), psk: { identity, key } })
    await once(socket, 'secureConnect')
    socket.destroy()
  })

  it('of a closed server stays open; close waits for it', async () => {
    const { client, server, listener } = await openPair()
    let closed = false
    listener.close(() => {
      closed = true
    })
    client.write('still open')
    await once(server, 'data')
    expect(closed).toBe(false)
    client.resume().end()
    await waitFor('the server to close', () => closed)
  })
})
