// A server that echoes, with a session store, until it is killed. Arguments: its key and the sealing key in
// hexadecimal, its port (0: any), a folder, or the URL of a Valkey server, its address, and the newest version.
import { createServer, valkeySessionStore } from '../../../src/dtls/index.js'

const [
  key = '',
  sealingKey = '',
  port = '0',
  where = '',
  host = '127.0.0.1',
  version = 'DTLSv1.2',
] = process.argv.slice(2)
const store = where.includes('.sock')
  ? valkeySessionStore({ url: where, name: 'pumps', takeOverAfter: 1_000 })
  : where
const server = createServer(
  {
    psk: { Client1: Buffer.from(key, 'hex') },
    maxVersion: version as 'DTLSv1.3',
    sessionStore: { store, sealingKey: Buffer.from(sealingKey, 'hex') },
  },
  (socket) => socket.on('message', (message) => socket.send(message)),
)
server.on('sessionStoreError', ({ message }) => process.stdout.write(`outage ${message}\n`))
server.on('listening', () => process.stdout.write(`listening ${server.address()?.port}\n`))
server.on('sessionsRestored', ({ imported, refused }) =>
  process.stdout.write(`restored ${imported} ${refused}\n`),
)
process.stdin.on('data', () => {
  const { handshakesStarted, sessions, dropped } = server.stats
  process.stdout.write(`stats ${JSON.stringify({ handshakesStarted, sessions, ...dropped })}\n`)
})
server.listen(Number(port), host)
