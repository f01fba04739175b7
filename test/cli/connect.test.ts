// mcbn connect over TLS, against servers of the library in the test's own process.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as tls from '../../src/tls/index.js'
import { temporaryFolder } from '../support/paths.js'
import { freeTcpPort } from '../support/ports.js'
import { expectFailure, expectSuccess, KEY, mcbn, OTHER_KEY, PSK, startMcbn } from './command.js'

const key = Buffer.from(KEY, 'hex')

/** A TLS-PSK server that does one thing with each connection; gives the URL to connect to. */
async function serving(
  onConnection: (socket: tls.TlsSocket) => void,
  options: Partial<tls.TlsServerOptions> = {},
): Promise<string> {
  const server = tls.createServer({ psk: { Client1: key }, ...options }, (socket) => {
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  server.on('tlsClientError', () => undefined)
  return await urlOf(server)
}

async function urlOf(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
  })
  return `tls://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const echo = (socket: tls.TlsSocket) => socket.pipe(socket)

describe('cli/connect', () => {
  describe('a handshake that fails: exit code 1, nothing on stdout, one line that says what to do', () => {
    it.each(['TLSv1.3', 'TLSv1.2'] as const)('names a wrong key (%s)', async (version) => {
      const url = await serving(echo)
      const args = ['connect', url, '--psk', `Client1:${OTHER_KEY}`, '--max-version', version]
      expectFailure(await mcbn(args, { input: 'hello\n' }), 1, /\(MCBN_PSK_MISMATCH\); give both/)
    })

    it.each(['TLSv1.3', 'TLSv1.2'] as const)('names an unknown identity (%s)', async (version) => {
      const url = await serving(echo)
      const args = ['connect', url, '--psk', `Client2:${KEY}`, '--max-version', version]
      expectFailure(
        await mcbn(args, { input: 'hello\n' }),
        1,
        /identity "Client2".*MCBN_PSK_MISMATCH/,
      )
    })

    it('names a port where nobody listens', async () => {
      const url = `tls://127.0.0.1:${await freeTcpPort()}`
      expectFailure(await mcbn(['connect', url, ...PSK]), 1, /ECONNREFUSED.*MCBN_CONNECTION_FAILED/)
    })

    it('names a host that does not exist', async () => {
      const child = await mcbn(['connect', 'tls://host.invalid:1', ...PSK])
      expectFailure(child, 1, /host\.invalid.*MCBN_CONNECTION_FAILED/)
    })

    it('gives up on a silent server after --handshake-timeout milliseconds', async () => {
      const url = await urlOf(createTcpServer((socket) => socket.on('error', () => undefined)))
      const child = await mcbn(['connect', url, ...PSK, '--handshake-timeout', '300'])
      expectFailure(child, 1, /300 ms.*MCBN_HANDSHAKE_TIMEOUT/)
    })

    it('refuses a server that speaks something else', async () => {
      const url = await urlOf(createTcpServer((socket) => socket.end('220 hello, SMTP here\r\n')))
      expectFailure(await mcbn(['connect', url, ...PSK]), 1, /MCBN_PROTOCOL_ERROR/)
    })

    it('refuses a server that hangs up', async () => {
      const url = await urlOf(createTcpServer((socket) => socket.end()))
      const child = await mcbn(['connect', url, ...PSK])
      expectFailure(child, 1, /MCBN_(HANDSHAKE_FAILED|CONNECTION_FAILED)/)
    })

    it('says it as one JSON object with --json', async () => {
      const url = await serving(echo)
      const args = ['connect', url, '--psk', `Client1:${OTHER_KEY}`, '--json']
      const child = await mcbn(args, { input: 'hello\n' })
      expect(child.exit.code).toBe(1)
      expect(child.stdout).toBe('')
      expect(child.stderr.trim().split('\n')).toHaveLength(1)
      expect(JSON.parse(child.stderr)).toMatchObject({
        event: 'error',
        code: 'MCBN_PSK_MISMATCH',
        kind: 'peer',
      })
    })
  })

  describe('bytes as they are', () => {
    it('carries every byte value there and back, unaltered', async () => {
      const input = Buffer.concat([
        Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
        randomBytes(5000),
      ])
      const child = await mcbn(['connect', await serving(echo), ...PSK], { input })
      expectSuccess(child)
      expect(child.stdoutBytes.equals(input)).toBe(true)
    })

    it('carries 32 MB there and back, and waits for all of it', async () => {
      const input = randomBytes(32 * 1024 * 1024)
      const child = await mcbn(['connect', await serving(echo), ...PSK], { input })
      expectSuccess(child)
      expect(child.stdoutBytes.equals(input)).toBe(true)
    })

    it('waits for a peer that reads slowly: silence does not count while bytes are unsent', async () => {
      const size = 32 * 1024 * 1024
      const received = new Promise<number>((resolve) => {
        void serving((socket) => {
          let count = 0
          socket.pause()
          setTimeout(() => socket.resume(), 3000)
          socket.on('data', (chunk: Buffer) => {
            count += chunk.length
          })
          socket.on('end', () => resolve(count))
        }).then(async (url) => {
          const child = await mcbn(['connect', url, ...PSK], { input: randomBytes(size) })
          expectSuccess(child)
        })
      })
      expect(await received).toBe(size)
    })

    it('hands on at once what arrives, and sends at once what is typed', async () => {
      const child = startMcbn(['connect', await serving(echo), ...PSK])
      child.write('first')
      await child.output('first')
      child.write(' second')
      await child.output('first second')
    })

    it('sends what was typed before the handshake was done', async () => {
      let answered = false
      const url = await serving(echo, {
        psk: async () => {
          await sleep(500)
          answered = true
          return key
        },
      })
      const child = await mcbn(['connect', url, ...PSK], { input: 'early' })
      expectSuccess(child)
      expect(answered).toBe(true)
      expect(child.stdout).toBe('early')
    })
  })

  describe('the end', () => {
    it('comes 2 s after the end of stdin when the peer is silent, with close_notify', async () => {
      let ended = 0
      const url = await serving((socket) => {
        socket.resume().once('end', () => {
          ended = socket.truncated ? -1 : performance.now()
        })
      })
      const child = startMcbn(['connect', url, ...PSK, '--verbose'])
      await child.output('connected to')
      const began = performance.now()
      child.endInput()
      const exit = await child.exited
      expect(exit).toEqual({ code: 0, signal: null })
      // Not before: a busy machine may make it later.
      expect(ended - began).toBeGreaterThan(1900)
    })

    it('is put off by whatever the peer still says', async () => {
      const url = await serving(async (socket) => {
        for (const word of ['one ', 'two ', 'three']) {
          socket.write(word)
          await sleep(1200)
        }
      })
      const child = await mcbn(['connect', url, ...PSK], { input: '' })
      expectSuccess(child)
      expect(child.stdout).toBe('one two three')
    })

    it('comes when the peer closes, although stdin is open', async () => {
      const child = startMcbn(['connect', await serving((socket) => socket.end('bye')), ...PSK])
      const exit = await child.exited
      expect(exit, child.report()).toEqual({ code: 0, signal: null })
      expect(child.stdout).toBe('bye')
      expect(child.stderr).toBe('')
    })

    it('warns when the peer closed without close_notify: its last words may be missing', async () => {
      const url = await serving((socket) => {
        socket.write('half a sent', () => setTimeout(() => socket.destroy(), 200))
      })
      const child = startMcbn(['connect', url, ...PSK])
      expect(await child.exited).toEqual({ code: 0, signal: null })
      expect(child.stdout).toBe('half a sent')
      expect(child.stderr).toMatch(/^mcbn: warning: .*close_notify.*\n$/)
    })

    it('comes quietly when nobody reads stdout any more', async () => {
      const url = await serving((socket) => {
        const timer = setInterval(() => socket.write('more\n'), 10)
        socket.once('close', () => clearInterval(timer))
      })
      const child = startMcbn(['connect', url, ...PSK])
      await child.output('more')
      child.process.stdout?.destroy()
      expect((await child.exited).code).toBe(0)
      expect(child.stderr).toBe('')
    })

    it('follows SIGINT, after a goodbye to the peer', async () => {
      let truncated: boolean | undefined
      const url = await serving((socket) => {
        socket.resume().once('end', () => {
          truncated = socket.truncated
        })
      })
      const child = startMcbn(['connect', url, ...PSK, '--verbose'])
      await child.output('connected to')
      child.process.kill('SIGINT')
      expect(await child.exited).toEqual({ code: 130, signal: null })
      expect(truncated).toBe(false)
    })

    it('is a failure when an established connection breaks', async () => {
      const url = await serving((socket) => {
        socket.write('so far')
        // A reset, as from a machine that was restarted.
        const below = (socket as unknown as { transport: { resetAndDestroy(): void } }).transport
        setTimeout(() => below.resetAndDestroy(), 300)
      })
      const child = startMcbn(['connect', url, ...PSK])
      expect((await child.exited).code).toBe(1)
      expect(child.stdout).toBe('so far')
      expect(child.stderr).toMatch(/^mcbn: [^\n]*\(MCBN_CONNECTION_LOST\)[^\n]*\n$/)
    })
  })

  describe('what it was asked for', () => {
    it('speaks the version, suite, ALPN protocol and server name of its flags', async () => {
      const url = await serving(
        (socket) => {
          const { name } = socket.getCipher() ?? {}
          const facts = [socket.getProtocol(), name, socket.alpnProtocol, socket.servername]
          socket.end(`${facts.join(' ')} ${socket.pskIdentity}`)
        },
        { ALPNProtocols: ['b', 'c'] },
      )
      const child = await mcbn([
        ...['connect', url, ...PSK, '--max-version', 'TLSv1.2', '--servername', 'example.org'],
        ...['--ciphers', 'PSK-AES128-CCM8', '--alpn', 'a,b'],
      ])
      expectSuccess(child)
      expect(child.stdout).toBe('TLSv1.2 PSK-AES128-CCM8 b example.org Client1')
    })

    it('takes keys marked hex: and ascii:, and keys from a file', async () => {
      const url = await serving((socket) => socket.end(socket.pskIdentity), {
        psk: { raw: key, text: Buffer.from(KEY, 'latin1'), 'with:colon': key },
      })
      const file = join(temporaryFolder(), 'keys.txt')
      writeFileSync(file, `other:${OTHER_KEY}\nwith:colon:hex:${KEY}\n`, { mode: 0o600 })
      for (const [args, identity] of [
        [['--psk', `raw:hex:${KEY}`], 'raw'],
        [['--psk', `text:ascii:${KEY}`], 'text'],
        [['--psk-file', file, '--identity', 'with:colon'], 'with:colon'],
      ] as const) {
        const child = await mcbn(['connect', url, ...args])
        expectSuccess(child)
        expect(child.stdout).toBe(identity)
      }
    })

    it('appends secrets to --keylog, and to SSLKEYLOGFILE without it, for its owner only', async () => {
      const url = await serving((socket) => socket.end())
      const folder = temporaryFolder()
      const [byFlag, byEnvironment] = [join(folder, 'flag.log'), join(folder, 'env.log')]
      writeFileSync(byEnvironment, '# before\n', { mode: 0o644 })
      const env = { SSLKEYLOGFILE: byEnvironment }
      expectSuccess(await mcbn(['connect', url, ...PSK, '--keylog', byFlag], { env }))
      expectSuccess(await mcbn(['connect', url, ...PSK], { env }))
      const lines = /^([A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]+\n){4,}$/
      expect(readFileSync(byFlag, 'utf8')).toMatch(lines)
      expect(statSync(byFlag).mode & 0o777).toBe(0o600)
      const [before, ...after] = readFileSync(byEnvironment, 'utf8').split(/(?<=\n)/)
      expect(before).toBe('# before\n')
      expect(after.join('')).toMatch(lines)
    })

    it('passes over an SSLKEYLOGFILE that cannot be written', async () => {
      const url = await serving((socket) => socket.end('ok'))
      const env = { SSLKEYLOGFILE: '/nonexistent/keys.log' }
      const child = await mcbn(['connect', url, ...PSK], { env })
      expectSuccess(child)
      expect(child.stdout).toBe('ok')
    })

    it('tells events as JSON on stderr with --json, data alone on stdout', async () => {
      const child = await mcbn(['connect', await serving((s) => s.end('data')), ...PSK, '--json'])
      expect(child.stdout).toBe('data')
      const events = child.stderr
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      expect(events).toMatchObject([
        { event: 'connected', protocol: 'TLSv1.3', identity: 'Client1' },
        { event: 'closed', by: 'peer' },
      ])
    })
  })
})
