// A server whose event loop stands still for so many milliseconds whenever it is told to.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from '../../../src/dtls/index.js'

const server = createServer({ psk: { Client1: Buffer.alloc(32, 5) } }, (socket) => {
  socket.on('message', (message) => socket.send(message))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`)
process.stdin.on('data', (text) => {
  const milliseconds = Number(text.toString())
  process.stdout.write('blocking\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
  process.stdout.write('awake\n')
})
process.stdin.on('end', () => process.exit(0))
