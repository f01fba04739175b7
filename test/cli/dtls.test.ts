// mcbn listen and connect over DTLS.

import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as dtls from '../../src/dtls/index.js'
import { temporaryFolder } from '../support/paths.js'
import { freeUdpPort } from '../support/ports.js'
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

/** A DTLS server in this process that does one thing with each session; gives its URL. */
async function serving(onSession: (socket: dtls.DtlsSocket) => void): Promise<string> {
  const server = dtls.createServer({ psk: { Client1: key } }, (socket) => {
    socket.on('error', () => undefined)
    onSession(socket)
  })
  server.on('clientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    await server.close()
  })
  return `dtls://127.0.0.1:${server.address()?.port}`
}

async function client(port: number): Promise<dtls.DtlsSocket> {
  const psk = { identity: 'Client1', key }
  const socket = dtls.connect({ host: '127.0.0.1', port, psk })
  onTestFinished(async () => {
    await socket.close()
  })
  await socket.opened
  return socket
}

describe('cli/dtls', () => {
  describe('a handshake that fails: exit code 1, nothing on stdout, one line that says what to do', () => {
    it('names a wrong key, long before the deadline', async () => {
      const { url } = await listening('dtls://127.0.0.1:0', '--echo')
      const args = ['connect', url, '--psk', `Client1:${OTHER_KEY}`]
      expectFailure(await mcbn(args, { input: 'hello\n' }), 1, /\(MCBN_PSK_MISMATCH\); give both/)
    })

    it('names an unknown identity', async () => {
      const { url } = await listening('dtls://127.0.0.1:0', '--echo')
      const args = ['connect', url, '--psk', `Client2:${KEY}`]
      expectFailure(
        await mcbn(args, { input: 'hello\n' }),
        1,
        /identity "Client2".*MCBN_PSK_MISMATCH/,
      )
    })

    it('names a port where nobody listens', async () => {
      const url = `dtls://127.0.0.1:${await freeUdpPort()}`
      const child = await mcbn(['connect', url, ...PSK, '--handshake-timeout', '3000'])
      expectFailure(child, 1, /MCBN_(CONNECTION_FAILED|HANDSHAKE_TIMEOUT)/)
    })

    it('gives up on a silent server after --handshake-timeout milliseconds', async () => {
      const socket = createSocket('udp4').bind(0, '127.0.0.1')
      await once(socket, 'listening')
      onTestFinished(() => {
        socket.close()
      })
      const url = `dtls://127.0.0.1:${socket.address().port}`
      const child = await mcbn(['connect', url, ...PSK, '--handshake-timeout', '400'])
      expectFailure(child, 1, /MCBN_HANDSHAKE_TIMEOUT/)
    })

    it('names a host that does not exist', async () => {
      const child = await mcbn(['connect', 'dtls://host.invalid:1', ...PSK])
      expectFailure(child, 1, /host\.invalid.*MCBN_CONNECTION_FAILED/)
    })
  })

  it('lives on after garbage, and serves who comes next', async () => {
    const { server, url, port } = await listening('dtls://127.0.0.1:0', '--echo', '--verbose')
    const socket = createSocket('udp4')
    onTestFinished(() => {
      socket.close()
    })
    const send = (bytes: Uint8Array) =>
      new Promise((resolve) => socket.send(bytes, port, '127.0.0.1', resolve))
    await send(Buffer.alloc(0))
    for (let size = 1; size < 1400; size += 100) await send(randomBytes(size))
    const cutHello = '16fefd0000000000000000003001000024000000000000002400'
    for (let length = 1; length <= cutHello.length / 2; length += 1) {
      await send(Buffer.from(cutHello, 'hex').subarray(0, length))
    }
    const child = await mcbn(['connect', url, ...PSK], { input: 'still here\n' })
    expectSuccess(child)
    expect(child.stdout).toBe('still here\n')
    expect(server.stdout).toBe(`listening on ${url}\n`)
  })

  it('sends each line as one datagram, its newline included, the rest at the end', async () => {
    const got: string[] = []
    const url = await serving((socket) => {
      socket.on('message', (message) => got.push(message.toString('latin1')))
    })
    const child = startMcbn(['connect', url, ...PSK])
    child.write('one\ntw')
    await waitFor('the first line', () => got.length === 1)
    child.write('o\n\nthree\r\n\u00ff\u0000rest')
    child.endInput()
    expect((await child.exited).code, child.report()).toBe(0)
    const rest = Buffer.from('\u00ff\u0000rest').toString('latin1')
    expect(got).toEqual(['one\n', 'two\n', '\n', 'three\r\n', rest])
  })

  it('writes datagrams as they are, with nothing between them', async () => {
    const message = Buffer.from([0, 10, 13, 255, 10])
    const url = await serving((socket) => {
      for (let count = 0; count < 3; count += 1) socket.send(message)
    })
    const child = await mcbn(['connect', url, ...PSK], { input: '' })
    expectSuccess(child)
    expect(child.stdoutBytes.equals(Buffer.concat([message, message, message]))).toBe(true)
  })

  it('refuses a line that no datagram can hold, and names the limit', async () => {
    let limit = 0
    const got: number[] = []
    const url = await serving((socket) => {
      limit = socket.maxDatagramSize
      socket.on('message', (message) => got.push(message.length))
    })
    const child = await mcbn(['connect', url, ...PSK], { input: `ok\n${'x'.repeat(20_000)}\nno\n` })
    expectFailure(child, 1, /MCBN_MESSAGE_TOO_LARGE/)
    expect(child.stderr).toContain(`at most ${limit} bytes`)
    expect(got.every((length) => length <= limit)).toBe(true)
  })

  it('carries lines there and back in their order', async () => {
    // Few enough for any receive buffer: nothing on one machine can lose them.
    const lines = Array.from({ length: 40 }, (_, index) => `${index} ${'x'.repeat(index * 20)}\n`)
    const { url } = await listening('dtls://127.0.0.1:0', '--echo')
    const child = await mcbn(['connect', url, ...PSK], { input: lines.join('') })
    expectSuccess(child)
    expect(child.stdout).toBe(lines.join(''))
  })

  it('alters and merges no line of a flood, whatever gets lost', async () => {
    const lines = Array.from(
      { length: 5000 },
      (_, index) => `${index} ${'x'.repeat(index % 900)}\n`,
    )
    const { url } = await listening('dtls://127.0.0.1:0', '--echo')
    const child = await mcbn(['connect', url, ...PSK], { input: lines.join('') })
    expectSuccess(child)
    const back = child.stdout.split(/(?<=\n)/)
    const sent = new Set(lines)
    expect(back.filter((line) => !sent.has(line))).toEqual([])
    expect(back.length).toBeGreaterThan(40)
  })

  it('ends 2 s after the end of stdin, with close_notify, when the peer is silent', async () => {
    let closedAt = 0
    const url = await serving((socket) => {
      socket.once('close', () => {
        closedAt = performance.now()
      })
    })
    const child = startMcbn(['connect', url, ...PSK, '--verbose'])
    await child.output('connected to')
    const began = performance.now()
    child.endInput()
    expect(await child.exited).toEqual({ code: 0, signal: null })
    await waitFor('close_notify', () => closedAt > 0)
    // Not before: a busy machine may make it later.
    expect(closedAt - began).toBeGreaterThan(1900)
  })

  it('ends with 0 when the peer closes, although stdin is open', async () => {
    const url = await serving(async (socket) => {
      socket.send('bye')
      await sleep(100)
      await socket.close()
    })
    const child = startMcbn(['connect', url, ...PSK])
    expect(await child.exited, child.report()).toEqual({ code: 0, signal: null })
    expect(child.stdout).toBe('bye')
    expect(child.stderr).toBe('')
  })

  it('echoes over IPv6 and to several peers', async () => {
    const { url } = await listening('dtls://[::1]:0', '--echo')
    const children = await Promise.all(
      ['a', 'b', 'c'].map((input) => mcbn(['connect', url, ...PSK], { input })),
    )
    for (const child of children) expectSuccess(child)
    expect(children.map(({ stdout }) => stdout)).toEqual(['a', 'b', 'c'])
  })

  it('passes lines between stdin, stdout and the peer', async () => {
    const { server, url, port } = await listening('dtls://127.0.0.1:0')
    server.write('down 1\ndown 2\n')
    const socket = await client(port)
    const got: string[] = []
    socket.on('message', (message) => got.push(message.toString()))
    await waitFor('both lines', () => got.length === 2)
    expect(got).toEqual(['down 1\n', 'down 2\n'])
    socket.send('up')
    await server.output('up')
    expect(server.stdout).toBe(`listening on ${url}\nup`)
  })

  it('goes on listening after a line of stdin that no datagram can hold', async () => {
    const { server, port } = await listening('dtls://127.0.0.1:0')
    const socket = await client(port)
    const got: string[] = []
    socket.on('message', (message) => got.push(message.toString()))
    server.write(`${'x'.repeat(20_000)}\nshort\n`)
    await waitFor('the short line', () => got.length === 1)
    expect(got).toEqual(['short\n'])
    expect(server.stderr).toMatch(/^mcbn: [^\n]*MCBN_MESSAGE_TOO_LARGE[^\n]*\n$/)
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('says goodbye and ends with 0 at %s', async (signal) => {
    const { server, port } = await listening('dtls://127.0.0.1:0', '--echo')
    const socket = await client(port)
    const closed = once(socket, 'close')
    server.process.kill(signal)
    await closed
    expect(await server.exited).toEqual({ code: 0, signal: null })
    expect(server.stderr).toBe('')
  })

  it('says in one line why it cannot listen', async () => {
    const { port } = await listening('dtls://127.0.0.1:0', '--echo')
    expectFailure(await mcbn(['listen', `dtls://127.0.0.1:${port}`, ...PSK]), 1, /EADDRINUSE/)
  })

  it('speaks the suite it is told, and logs the session’s secret on both sides', async () => {
    const folder = temporaryFolder()
    const [here, there] = [join(folder, 'client.log'), join(folder, 'server.log')]
    const { url } = await listening('dtls://127.0.0.1:0', '--echo', '--keylog', there)
    const args = [
      'connect',
      url,
      ...PSK,
      '--ciphers',
      'PSK-AES128-CCM8',
      '--keylog',
      here,
      '--json',
    ]
    const child = await mcbn(args, { input: 'x' })
    const [connected] = child.stderr.split('\n')
    expect(JSON.parse(connected ?? '')).toMatchObject({
      event: 'connected',
      protocol: 'DTLSv1.2',
      cipher: 'PSK-AES128-CCM8',
    })
    const secrets = readFileSync(here, 'utf8')
    expect(secrets).toMatch(/^CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}\n$/)
    expect(readFileSync(there, 'utf8')).toBe(secrets)
  })
})
