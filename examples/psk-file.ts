// A key file as mosquitto (psk_file), stunnel (PSKsecrets) and GnuTLS (psktool) write it.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { McbnError } from 'mcbn'
import { loadPskFile, parsePskFile } from 'mcbn/psk'
import { connect, createServer } from 'mcbn/tls'

// Keys for this example only: yours come from `openssl rand -hex 32`, one for each pair of peers.
const folder = mkdtempSync(join(tmpdir(), 'mcbn-example-'))
const file = join(folder, 'keys.txt')
const lines = [
  'meter-1:8f0e3d1c5b7a69584736251403f2e1d0c9b8a7968574635241302f1e0d9c8b7a',
  'meter-2:00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef',
]
writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 })

const keys = loadPskFile(file)
rmSync(folder, { recursive: true })
console.log(`identities: ${[...keys.keys()].join(', ')}`)

// A mistake is named by its line; the line itself, which may be a key, is never shown.
try {
  parsePskFile(`${lines[0]}\nmeter-3:not-hex\n`)
} catch (error) {
  if (!(error instanceof McbnError)) throw error
  console.log(`${error.code} in line ${error.line}`)
}

const server = createServer({ psk: keys }, (socket) => socket.end(`hello ${socket.pskIdentity}`))
server.listen(0, '127.0.0.1', async () => {
  const { port } = server.address() as AddressInfo
  for (const [identity, key] of keys) {
    const socket = connect({ host: '127.0.0.1', port, psk: { identity, key } })
    console.log((await socket.toArray()).join(''))
  }
  server.close()
})
