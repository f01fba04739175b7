// tshark decrypts what was captured on loopback with mcbn's key log, and only with it.

import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commandFile, temporaryFolder } from '../support/paths.js'
import { requirePeer } from '../support/peers.js'
import { run, start } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import {
  connectTo,
  type EchoServer,
  IDENTITY,
  KEY,
  LOOPBACK,
  serveEcho,
  type Version,
} from './support.js'

/** Capturing needs root or CAP_NET_RAW: a developer may lack it, CI may not. */
function mayCapture(): boolean {
  if (!requirePeer('tshark', 'dumpcap')) return false
  const { status, stderr } = spawnSync('dumpcap', ['-i', 'lo', '-L'], { encoding: 'utf8' })
  if (status === 0) return true
  if (process.env['CI'] === 'true') throw new Error(`dumpcap may not capture on lo: ${stderr}`)
  console.warn('\n!!! SKIPPED: dumpcap may not capture on lo; run as root or setcap it\n')
  return false
}

interface Capture {
  readonly file: string
  stop(): Promise<void>
}

/** Captures a port's packets. A marked datagram that is in the file shows that it has begun, or has all. */
async function capture(port: number): Promise<Capture> {
  const file = join(temporaryFolder(), 'capture.pcapng')
  const dumpcap = start('dumpcap', ['-q', '-i', 'lo', '-f', `port ${port}`, '-w', file], {
    foreign: true,
  })
  const mark = async (): Promise<void> => {
    const marker = randomUUID()
    const socket = createSocket('udp4')
    try {
      await waitFor('the marker in the capture', async () => {
        socket.send(marker, port, LOOPBACK)
        await new Promise((resolve) => setTimeout(resolve, 100))
        return existsSync(file) && readFileSync(file).includes(marker)
      })
    } catch (cause) {
      throw new Error(dumpcap.report(), { cause })
    } finally {
      socket.close()
    }
  }
  await mark()
  return {
    file,
    stop: async () => {
      await mark()
      await dumpcap.stop()
    },
  }
}

/** The application data that tshark can read, as `protocol text` lines. */
async function decrypted(capture: Capture, port: number, keyLog: string): Promise<string[]> {
  const tshark = await run(
    'tshark',
    ['-r', capture.file, '-o', `tls.keylog_file:${keyLog}`]
      .concat(['-d', `tcp.port==${port},tls`, '-d', `udp.port==${port},dtls`])
      .concat(['-Y', 'data', '-T', 'fields', '-e', '_ws.col.Protocol', '-e', 'data.data']),
    { foreign: true },
  )
  expect(tshark.exit.code, tshark.report()).toBe(0)
  const lines = tshark.stdout.split('\n').filter((line) => /^D?TLS/.test(line))
  return lines.map((line) => {
    const [protocol, data = ''] = line.split('\t')
    return `${protocol} ${Buffer.from(data, 'hex')}`
  })
}

function writeLog(lines: readonly string[]): string {
  const file = join(temporaryFolder(), 'keylog.txt')
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''))
  return file
}

async function expectSecret(
  captured: Capture,
  server: EchoServer,
  version: Version,
  keyLog: string,
  secret: string,
): Promise<void> {
  // The client's line and its echo.
  const expected = `${version} ${secret}`
  expect(await decrypted(captured, server.port, keyLog)).toEqual([expected, expected])
  expect(readFileSync(captured.file).includes(secret)).toBe(false)
}

describe.skipIf(!mayCapture())('interop/tshark', () => {
  it.each([
    ['TLSv1.3', 'tls', 'TLS_AES_128_GCM_SHA256'],
    ['TLSv1.2', 'tls', 'PSK-AES128-GCM-SHA256'],
    ['DTLSv1.2', 'dtls', 'PSK-AES128-GCM-SHA256'],
  ] as const)(
    'decrypts %s with the key log of either side (%s %s)',
    async (version, transport, cipher) => {
      const secret = `nobody without the key log reads ${randomUUID()}`
      const server = await serveEcho(transport)
      const captured = await capture(server.port)
      const only = version === 'TLSv1.2' ? { maxVersion: version } : {}
      const client = await connectTo(transport, server.port, { ciphers: cipher, ...only })
      expect(client.facts).toMatchObject({ protocol: version, cipher })
      client.send(secret)
      await client.receives(secret)
      await client.close()
      await captured.stop()
      await expectSecret(captured, server, version, writeLog(client.keylog), secret)
      expect([...server.keylog].sort()).toEqual([...client.keylog].sort())
    },
  )

  it.each([
    ['DTLSv1.2', 'dtls', '--keylog'],
    ['TLSv1.3', 'tls', 'SSLKEYLOGFILE'],
  ] as const)('decrypts %s of mcbn connect %s:// with its %s', async (version, transport, how) => {
    const secret = `a line of stdin ${randomUUID()}\n`
    const server = await serveEcho(transport, {
      ciphers: 'TLS_AES_128_GCM_SHA256:PSK-AES128-GCM-SHA256',
    })
    const captured = await capture(server.port)
    const keyLog = join(temporaryFolder(), 'keylog.txt')
    const flags = how === '--keylog' ? [how, keyLog] : []
    const url = `${transport}://${LOOPBACK}:${server.port}`
    const args = ['connect', url, '--psk', `${IDENTITY}:${KEY}`, ...flags]
    const command = await run(process.execPath, [commandFile, ...args], {
      input: secret,
      env: { SSLKEYLOGFILE: how === 'SSLKEYLOGFILE' ? keyLog : undefined },
    })
    expect(command.exit.code, command.report()).toBe(0)
    expect(command.stdout).toBe(secret)
    await captured.stop()
    await expectSecret(captured, server, version, keyLog, secret)
  })
})
