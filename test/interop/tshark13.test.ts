// tshark decrypts DTLS 1.3 of mcbn's with the key log of either side: handshake, data, and what follows a KeyUpdate. Wireshark
// can since 4.4, which Debian 12 does not have: MCBN_TSHARK names a newer one.

import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as dtls from '../../src/dtls/index.js'
import { waitFor } from '../support/wait.js'
import { capture, decrypted, mayCapture, writeLog } from './captures.js'
import { credential, IDENTITY, LOOPBACK } from './support.js'

const NEEDED = 4.4
const tshark = process.env['MCBN_TSHARK'] ?? 'tshark'

function knowsDtls13(): boolean {
  const { stdout } = spawnSync(tshark, ['--version'], { encoding: 'utf8' })
  const [, version = '0'] = /^TShark \(Wireshark\) (\d+\.\d+)/.exec(stdout ?? '') ?? []
  if (Number(version) >= NEEDED) return true
  console.warn(
    `\n!!! SKIPPED tshark on DTLS 1.3: it is ${version}, and ${NEEDED} is the first that knows it\n`,
  )
  return false
}

describe.skipIf(!mayCapture() || !knowsDtls13())('interop/tshark on DTLS 1.3', () => {
  it.each([
    ['TLS_AES_128_GCM_SHA256', 'psk_dhe_ke', false],
    ['TLS_AES_128_GCM_SHA256', 'psk_ke', false],
    ['TLS_AES_128_CCM_SHA256', 'psk_dhe_ke', true],
    ['TLS_CHACHA20_POLY1305_SHA256', 'psk_dhe_ke', true],
  ] as const)('decrypts %s, %s, connection IDs: %s', async (ciphers, mode, connectionId) => {
    const options = { minVersion: 'DTLSv1.3', pskModes: [mode], ciphers, connectionId } as const
    const log: Record<'client' | 'server', string[]> = { client: [], server: [] }
    const server = dtls.createServer({ ...options, psk: { [IDENTITY]: credential.key } })
    server.on('secureConnection', (socket) =>
      socket.on('message', (message) => socket.send(message)),
    )
    server.on('keylog', (line: Buffer) => log.server.push(line.toString().trim()))
    server.listen(0, LOOPBACK)
    await once(server, 'listening')
    onTestFinished(async () => {
      await server.close()
    })
    const port = server.address()?.port as number
    const captured = await capture(port)
    const client = dtls.connect({ ...options, host: LOOPBACK, port, psk: credential })
    client.on('keylog', (line) => log.client.push(line.toString().trim()))
    await client.opened
    const said = [
      `nobody without the key log reads ${randomUUID()}`,
      `or with new keys ${randomUUID()}`,
    ]
    for (const [updates, text] of said.entries()) {
      if (updates > 0) client.updateKeys()
      await waitFor('new keys', () => client.stats.keyUpdatesSent === updates)
      const echoed = once(client, 'message')
      client.send(text)
      await echoed
    }
    await client.close()
    await captured.stop()
    const expected = said.flatMap((text) => [`DTLSv1.3 ${text}`, `DTLSv1.3 ${text}`])
    for (const lines of [log.client, log.server]) {
      expect(await decrypted(captured, port, writeLog(lines), tshark)).toEqual(expected)
    }
    expect(await decrypted(captured, port, writeLog([]), tshark)).toEqual([])
    for (const text of said) expect(readFileSync(captured.file).includes(text)).toBe(false)
  })
})
