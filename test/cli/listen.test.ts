// mcbn listen over TLS, with the command's own client, with the library, and with strangers.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { get } from 'node:http'
import { connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as tls from '../../src/tls/index.js'
import { commandFile, repositoryRoot } from '../support/paths.js'
import { nextEvent } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import {
  expectFailure,
  expectSuccess,
  KEY,
  listening,
  mcbn,
  OTHER_KEY,
  PSK,
  startMcbn,
} from './command.js'

const key = Buffer.from(KEY, 'hex')

async function client(
  port: number,
  options: Partial<tls.TlsConnectOptions> = {},
): Promise<tls.TlsSocket> {
  const psk = { identity: 'Client1', key }
  const socket = tls.connect({ host: '127.0.0.1', port, psk, ...options })
  onTestFinished(() => {
    socket.destroy()
  })
  await nextEvent(socket, 'secureConnect')
  return socket
}

async function request(port: number, path: string, method = 'GET') {
  const socket = await client(port)
  const message = get({ createConnection: () => socket, host: 'localhost', path, method })
  const [response] = await once(message, 'response')
  return { status: response.statusCode, body: await text(response), headers: response.headers }
}

describe('cli/listen', () => {
  describe('bad peers', () => {
    it('cost nobody else anything', async () => {
      const { server, url, port } = await listening('tls://127.0.0.1:0', '--echo', '--verbose')
      const strangers: Socket[] = []
      const stranger = async (...bytes: readonly (string | Uint8Array)[]) => {
        const socket = connectTcp(port, '127.0.0.1').on('error', () => undefined)
        strangers.push(socket)
        await once(socket, 'connect')
        for (const chunk of bytes) socket.write(chunk)
        return socket
      }
      ;(await stranger()).destroy()
      ;(await stranger(randomBytes(4000))).resume()
      ;(await stranger('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')).resume()
      ;(await stranger(Buffer.from('1603010200010001fc0303', 'hex'))).resume() // and then silence
      ;(await stranger(Buffer.from('16030100050100000102', 'hex'))).resetAndDestroy()
      const wrong = await mcbn(['connect', url, '--psk', `Client1:${OTHER_KEY}`], { input: 'x' })
      expectFailure(wrong, 1, /MCBN_PSK_MISMATCH/)

      const good = await mcbn(['connect', url, ...PSK], { input: 'still here' })
      expectSuccess(good)
      expect(good.stdout).toBe('still here')
      expect(server.stdout).toBe(`listening on ${url}\n`)
      await server.output(/^\S+Z 127\.0\.0\.1:\d+: .*\(MCBN_PSK_MISMATCH\)/m)
      for (const socket of strangers) socket.destroy()
    })

    it('are told with --verbose in one line each, a flood of them in a few', async () => {
      const { server, url, port } = await listening('tls://127.0.0.1:0', '--echo', '--verbose')
      const stranger = async (): Promise<void> => {
        const socket = connectTcp(port, '127.0.0.1').on('error', () => undefined)
        await once(socket, 'connect')
        socket.end('\n\u001b[2Jnot TLS')
        await once(socket.resume(), 'close')
      }
      for (let round = 0; round < 4; round += 1)
        await Promise.all(Array.from({ length: 50 }, stranger))
      expectSuccess(await mcbn(['connect', url, ...PSK], { input: '' }))
      const lines = server.stderr.trim().split('\n')
      expect(lines.length).toBeGreaterThan(5)
      // So many each second: the slower the machine, the more.
      expect(lines.length).toBeLessThan(200)
      expect(lines.join('\n')).toMatch(/\(\d+ more lines suppressed\)/)
      expect(server.stderr).not.toContain('\u001b')
    })

    it('are told to nobody without --verbose', async () => {
      const { server, url } = await listening('tls://127.0.0.1:0', '--echo')
      expectFailure(await mcbn(['connect', url, '--psk', `Client2:${KEY}`]), 1, /MISMATCH/)
      expect(server.stderr).toBe('')
    })
  })

  it('says in one line why it cannot listen, with exit code 1', async () => {
    const { port } = await listening('tls://127.0.0.1:0', '--echo')
    expectFailure(
      await mcbn(['listen', `tls://127.0.0.1:${port}`, ...PSK]),
      1,
      /EADDRINUSE.*port 0/,
    )
    expectFailure(await mcbn(['listen', 'tls://192.0.2.1:0', ...PSK]), 1, /EADDRNOTAVAIL/)
  })

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'ends in order with exit code 0 at %s',
    async (signal) => {
      const { server, port } = await listening('tls://127.0.0.1:0', '--echo')
      const socket = await client(port)
      const ended = once(socket.resume(), 'end')
      server.process.kill(signal)
      await ended
      expect(socket.truncated).toBe(false)
      expect(await server.exited).toEqual({ code: 0, signal: null })
      expect(server.stderr).toBe('')
    },
  )

  it('says goodbye, and does not wait for a peer that does not answer it', async () => {
    const { server, port } = await listening('tls://127.0.0.1:0', '--echo')
    const socket = await client(port, { allowHalfOpen: true })
    socket.pause()
    server.process.kill('SIGTERM')
    expect(await server.exited).toEqual({ code: 0, signal: null })
  })

  it('listens on IPv6', async () => {
    const { url } = await listening('tls://[::1]:0', '--echo')
    expect(url).toMatch(/^tls:\/\/\[::1\]:\d+$/)
    const child = await mcbn(['connect', url, ...PSK], { input: 'six' })
    expectSuccess(child)
    expect(child.stdout).toBe('six')
  })

  it('says the url as it was typed, with the port that it got', async () => {
    const { url, port } = await listening('tls://localhost:0', '--echo')
    expect(url).toBe(`tls://localhost:${port}`)
    expect(port).toBeGreaterThan(0)
  })

  it('serves several identities, each with its own key', async () => {
    const { url, port } = await listening(
      'tls://127.0.0.1:0',
      '--echo',
      '--psk',
      `Client2:${OTHER_KEY}`,
    )
    const psk = { identity: 'Client2', key: Buffer.from(OTHER_KEY, 'hex') }
    expect((await client(port, { psk })).authorized).toBe(true)
    expectFailure(await mcbn(['connect', url, '--psk', `Client2:${KEY}`]), 1, /MISMATCH/)
  })

  it('gives a hint to TLS 1.2 clients', async () => {
    const { port } = await listening('tls://127.0.0.1:0', '--echo', '--hint', 'which one?')
    const hints: (string | undefined)[] = []
    await client(port, {
      maxVersion: 'TLSv1.2',
      psk: (hint) => {
        hints.push(hint)
        return { identity: 'Client1', key }
      },
    })
    expect(hints).toContain('which one?')
  })

  it('gives up on a silent client after --handshake-timeout milliseconds', async () => {
    const args = ['--echo', '--handshake-timeout', '200', '--verbose']
    const { server, port } = await listening('tls://127.0.0.1:0', ...args)
    const socket = connectTcp(port, '127.0.0.1')
    await nextEvent(socket.resume(), 'close')
    await server.output('MCBN_HANDSHAKE_TIMEOUT')
  })

  describe('--echo', () => {
    it('does not care about stdin: closed, /dev/null, or full', async () => {
      for (const stdin of ['ignore', 'pipe'] as const) {
        const args = [commandFile, 'listen', 'tls://127.0.0.1:0', ...PSK, '--echo']
        const child = spawn(process.execPath, args, {
          cwd: repositoryRoot,
          stdio: [stdin, 'pipe', 'inherit'],
        })
        onTestFinished(() => {
          child.kill('SIGKILL')
        })
        child.stdin?.on('error', () => undefined)
        child.stdin?.write(randomBytes(1024 * 1024))
        const [line] = (await nextEvent(child.stdout as Readable, 'data')) as [Buffer]
        const socket = await client(Number(/:(\d+)\n/.exec(line.toString())?.[1]))
        socket.end('hello')
        expect(await text(socket)).toBe('hello')
      }
    })

    it('sends back what it got before the peer ended its half', async () => {
      const { port } = await listening('tls://127.0.0.1:0', '--echo')
      const socket = await client(port)
      const sent = randomBytes(3 * 1024 * 1024)
      socket.end(sent)
      expect((await buffer(socket)).equals(sent)).toBe(true)
      expect(socket.truncated).toBe(false)
    })
  })

  describe('--http', () => {
    it('answers GET / with 200 and "ok", other paths with 404, other methods with 405', async () => {
      const { port } = await listening('tls://127.0.0.1:0', '--http')
      expect(await request(port, '/')).toMatchObject({ status: 200, body: 'ok\n' })
      expect(await request(port, '/?a=b')).toMatchObject({ status: 200, body: 'ok\n' })
      expect(await request(port, '/', 'HEAD')).toMatchObject({ status: 200, body: '' })
      expect(await request(port, '/other')).toMatchObject({ status: 404 })
      expect(await request(port, '/', 'DELETE')).toMatchObject({
        status: 405,
        headers: { allow: 'GET, HEAD' },
      })
    })

    it('answers a client that writes its request by hand, and keeps a connection on demand', async () => {
      const { url } = await listening('tls://127.0.0.1:0', '--http')
      const once = 'GET / HTTP/1.0\r\n\r\n'
      const closed = await mcbn(['connect', url, ...PSK], { input: once })
      expectSuccess(closed)
      expect(closed.stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nok\n$/)
      const twice = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2)
      const kept = await mcbn(['connect', url, ...PSK], { input: twice })
      expect(kept.stdout.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2)
    })

    it('lives on after requests that are none', async () => {
      const { port } = await listening('tls://127.0.0.1:0', '--http')
      const socket = await client(port)
      socket.write(`${'x'.repeat(100)}\r\n\r\n`)
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 /)
      const aborting = await client(port)
      aborting.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      aborting.destroy()
      expect(await request(port, '/')).toMatchObject({ status: 200 })
    })
  })

  describe('stdin and stdout', () => {
    it('carries bytes both ways, after its one line', async () => {
      const { server, url } = await listening('tls://127.0.0.1:0')
      const child = startMcbn(['connect', url, ...PSK])
      const up = Buffer.concat([Buffer.from([0, 255, 10, 13]), randomBytes(100_000)])
      const down = Buffer.concat([Buffer.from([255, 0, 13, 10]), randomBytes(100_000)])
      child.write(up)
      server.write(down)
      const line = Buffer.from(`listening on ${url}\n`)
      const expected = Buffer.concat([line, up])
      await waitFor('all bytes', () => {
        return (
          server.stdoutBytes.length >= expected.length && child.stdoutBytes.length >= down.length
        )
      })
      expect(server.stdoutBytes.equals(expected)).toBe(true)
      expect(child.stdoutBytes.equals(down)).toBe(true)
    })

    it('keeps stdin for the first good peer', async () => {
      const { server, url } = await listening('tls://127.0.0.1:0')
      server.write('for you')
      expectFailure(await mcbn(['connect', url, '--psk', `Client1:${OTHER_KEY}`]), 1, /MISMATCH/)
      const child = startMcbn(['connect', url, ...PSK])
      await child.output('for you')
    })

    it('sends stdin to the peer that connected last and is still there', async () => {
      const { server, port } = await listening('tls://127.0.0.1:0', '--verbose')
      const got: Record<'first' | 'second', string> = { first: '', second: '' }
      const first = await client(port)
      first.on('data', (chunk: Buffer) => {
        got.first += chunk
      })
      const second = await client(port)
      second.on('data', (chunk: Buffer) => {
        got.second += chunk
      })
      await waitFor('both peers', () => server.stderr.match(/ connected /g)?.length === 2)
      server.write('to the second\n')
      await waitFor('the second peer', () => got.second === 'to the second\n')
      second.end()
      await server.output(/ closed/)
      server.write('to the first\n')
      await waitFor('the first peer', () => got.first === 'to the first\n')
      expect(got.second).toBe('to the second\n')
    })

    it('goes on after the end of stdin', async () => {
      const { server, url, port } = await listening('tls://127.0.0.1:0')
      server.endInput()
      ;(await client(port)).end('one ')
      await server.output('one ')
      ;(await client(port)).end('two')
      await server.output('two')
      expect(server.stdout).toBe(`listening on ${url}\none two`)
    })

    it('holds a peer back while nobody reads stdout', async () => {
      const { server, port } = await listening('tls://127.0.0.1:0')
      let received = 0
      server.process.stdout?.pause().on('data', (chunk: Buffer) => {
        received += chunk.length
      })
      const socket = await client(port)
      const size = 64 * 1024 * 1024
      socket.write(Buffer.alloc(size, 'x'))
      await waitFor('a peer held back', async () => {
        const before = socket.bytesWritten
        await new Promise((resolve) => setTimeout(resolve, 300))
        return socket.bytesWritten === before
      })
      expect(socket.bytesWritten).toBeLessThan(size)
      server.process.stdout?.resume()
      await waitFor('all bytes', () => received === size, 100_000)
    })
  })

  it('works with one TCP socket as stdin and stdout, as inetd starts programs', async () => {
    const { url } = await listening('tls://127.0.0.1:0', '--echo')
    const gate = createTcpServer()
    gate.listen(0, '127.0.0.1')
    await once(gate, 'listening')
    const address = gate.address()
    const near = connectTcp((address as { port: number }).port, '127.0.0.1')
    const [far] = (await once(gate, 'connection')) as [Socket]
    const child = spawn(process.execPath, [commandFile, 'connect', url, ...PSK], {
      cwd: repositoryRoot,
      stdio: [far, far, 'inherit'],
    })
    onTestFinished(() => {
      child.kill('SIGKILL')
      gate.close()
    })
    far.destroy()
    const sent = randomBytes(3 * 65_536) // whole reads: the next one must not block the process
    near.end(sent)
    expect((await buffer(near)).equals(sent)).toBe(true)
    const [code] = await once(child, 'exit')
    expect(code).toBe(0)
  })

  it('works with stdin closed and a file as stdout', async () => {
    const { url } = await listening('tls://127.0.0.1:0', '--echo')
    const descriptor = openSync('/dev/null', 'w')
    const child = spawn(
      'sh',
      ['-c', 'exec "$@" <&-', 'sh', process.execPath, commandFile, 'connect', url, ...PSK],
      { cwd: repositoryRoot, stdio: ['ignore', descriptor, 'pipe'] },
    )
    closeSync(descriptor)
    const errors = text(child.stderr as Readable)
    const [code] = await once(child, 'exit')
    expect(await errors).toBe('')
    expect(code).toBe(0)
  })

  it('tells events as JSON with --json: readiness on stdout, the rest on stderr', async () => {
    const server = startMcbn(['listen', 'tls://127.0.0.1:0', ...PSK, '--echo', '--json'])
    await server.output(/\}\n/)
    const ready = JSON.parse(server.stdout)
    expect(ready).toMatchObject({ event: 'listening', address: '127.0.0.1' })
    expect(ready.url).toBe(`tls://127.0.0.1:${ready.port}`)
    expectSuccess(await mcbn(['connect', ready.url, ...PSK], { input: 'hi' }))
    await mcbn(['connect', ready.url, '--psk', `Client1:${OTHER_KEY}`])
    await server.output(/MCBN_PSK_MISMATCH/)
    const events = server.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(events).toMatchObject([
      { event: 'connected', identity: 'Client1', protocol: 'TLSv1.3' },
      { event: 'closed' },
      { event: 'peer-error', code: 'MCBN_PSK_MISMATCH' },
    ])
  })
})
