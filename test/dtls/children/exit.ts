// How a process with DTLS ends, by the way named on the command line.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from '../../../src/dtls/index.js'

const key = Buffer.alloc(32, 3)
const psk = { identity: 'Client1', key }
const way = process.argv[2]
const server = createServer({ psk: { Client1: key } }, (socket) => {
  socket.on('message', (message) => socket.send(message))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo
const socket = await connect({ host: '127.0.0.1', port, psk }).opened
socket.send('x')
await once(socket, 'message')
process.stdout.write('open\n')
if (way === 'close') {
  await socket.close()
  await server.close()
} else if (way === 'unref') {
  server.unref()
  await socket.close()
} else if (way === 'exit') {
  process.exit(0)
} else if (way === 'throw') {
  throw new Error('on purpose')
} else if (way === 'opening') {
  await socket.close()
  await server.close()
  const opening = connect({ host: '127.0.0.1', port, handshakeTimeout: 200, psk })
  opening.on('error', () => process.stdout.write('gave up\n'))
} else if (way === 'lookup') {
  await socket.close()
  await server.close()
  const slow = createServer({ psk: () => new Promise<never>(() => {}), lookupTimeout: 60_000 })
  slow.listen(0, '127.0.0.1')
  await once(slow, 'listening')
  const at = (slow.address() as AddressInfo).port
  const waiting = connect({ host: '127.0.0.1', port: at, psk })
  waiting.on('error', () => {})
  while (slow.stats.sessions === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  waiting.destroy()
  await slow.close()
} else if (way === 'garbage') {
  // Nothing is closed: the objects are only forgotten, and the process is told to end.
  setTimeout(() => process.exit(0), 100)
}
