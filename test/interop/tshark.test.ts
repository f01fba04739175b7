// tshark decrypts what was captured on loopback with mcbn's key log, and only with it.

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commandFile, temporaryFolder } from '../support/paths.js'
import { run } from '../support/process.js'
import { type Capture, capture, decrypted, mayCapture, writeLog } from './captures.js'
import {
  connectTo,
  type EchoServer,
  IDENTITY,
  KEY,
  LOOPBACK,
  serveEcho,
  type Version,
} from './support.js'

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
