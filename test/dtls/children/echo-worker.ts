// A worker thread with its own server, clients and traffic, until it is told to stop, or is terminated.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { connect, createServer } from '../../../src/dtls/index.js'

const { clients, rounds, ioThreads } = workerData as {
  clients: number
  rounds: number
  ioThreads: number
}
const key = Buffer.alloc(32, 9)
const server = createServer({ psk: async () => key, ioThreads }, (socket) => {
  socket.on('message', (message) => socket.send(message))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo
const sockets = await Promise.all(
  Array.from({ length: clients }, (_, index) => {
    const socket = connect({ host: '127.0.0.1', port, psk: { identity: `client ${index}`, key } })
    return socket.opened
  }),
)
let echoes = 0
for (const socket of sockets) {
  socket.on('message', (message) => {
    echoes += 1
    if (echoes === 1) parentPort?.postMessage('running')
    if (echoes < rounds) socket.send(message)
  })
  socket.send('echo')
}
while (echoes < rounds) await new Promise((resolve) => setTimeout(resolve, 5))
for (const socket of sockets) socket.destroy()
await server.close()
parentPort?.postMessage(`done ${echoes >= rounds}`)
