// Opens and closes connections in batches, and tells the memory in use after each of two stages.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from '../../../src/dtls/index.js'

const [first, second] = process.argv.slice(2).map(Number) as [number, number]
const ciphers = 'PSK-AES128-GCM-SHA256'
const key = Buffer.alloc(32, 5)
const server = createServer({ psk: async () => key, ciphers }, (socket) => {
  socket.on('message', (message) => socket.send(message))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

async function one(index: number): Promise<void> {
  const psk = { identity: `client ${index}`, key }
  const socket = await connect({ host: '127.0.0.1', port, ciphers, psk }).opened
  socket.send('x')
  await once(socket, 'message')
  await socket.close()
}

let opened = 0
async function upTo(total: number): Promise<number> {
  while (opened < total) {
    await Promise.all(Array.from({ length: 40 }, () => one(opened++)))
  }
  while (server.stats.sessions > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  for (let round = 0; round < 3; round += 1) {
    ;(globalThis as { gc?: () => void }).gc?.()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  // What V8 holds in reserve for its heap grows and shrinks by its own rules; what it uses counts.
  const { rss, heapTotal, heapUsed } = process.memoryUsage()
  return rss - heapTotal + heapUsed
}
const early = await upTo(first)
const late = await upTo(second)
process.stdout.write(JSON.stringify({ early, late, stats: server.stats }))
await server.close()
