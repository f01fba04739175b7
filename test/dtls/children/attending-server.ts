// A server in a worker: echoes, and stands still for a while when it is told 'block'.
import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { createServer } from '../../../src/dtls/index.js'

const server = createServer(
  { psk: { Client1: workerData.key }, busyPoll: workerData.busyPoll },
  (socket) => {
    socket.on('message', (message) => void socket.send(message))
  },
)
server.listen(0, '127.0.0.1')
await once(server, 'listening')
parentPort?.on('message', (milliseconds: number) => {
  parentPort?.postMessage('blocked')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
  parentPort?.postMessage('back')
})
parentPort?.postMessage(server.address()?.port)
