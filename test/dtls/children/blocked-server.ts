// A server whose event loop stands still for so many milliseconds whenever it is told to, and which says
// on "stats" what it has counted; with the argument dtls13 of DTLS 1.3. Messages under 100 bytes come back.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from '../../../src/dtls/index.js'

let delivered = 0
const version = process.argv.includes('dtls13') ? ({ minVersion: 'DTLSv1.3' } as const) : {}
const server = createServer({ ...version, psk: { Client1: Buffer.alloc(32, 5) } }, (socket) => {
  socket.on('message', (message) => {
    delivered += 1
    if (message.length < 100) socket.send(message)
  })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`)
process.stdin.on('data', (text) => {
  const command = text.toString()
  if (command === 'stats') {
    let received = 0
    for (const socket of server.sessions) received += socket.stats.messagesReceived
    const { handshakesFailed, sessions, dropped } = server.stats
    const resident = process.memoryUsage.rss()
    const counted = { delivered, received, handshakesFailed, sessions, dropped, resident }
    process.stdout.write(`${JSON.stringify(counted)}\n`)
    return
  }
  process.stdout.write('blocking\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(command))
  process.stdout.write('awake\n')
})
process.stdin.on('end', () => process.exit(0))
