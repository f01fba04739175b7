// A process whose listener for one socket throws, while another socket gets its messages in the same batch.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from '../../../src/dtls/index.js'

const caught: string[] = []
process.on('uncaughtException', (error) => caught.push(error.message))

const key = Buffer.alloc(32, 7)
const got: string[] = []
const server = createServer({ psk: { good: key, bad: key } }, (socket) => {
  const good = socket.pskIdentity?.toString() === 'good'
  socket.on('message', (message) => {
    if (!good) throw new Error(`bad ${message}`)
    got.push(message.toString())
  })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo
const [bad, good] = await Promise.all(
  ['bad', 'good'].map(
    (identity) => connect({ host: '127.0.0.1', port, psk: { identity, key } }).opened,
  ),
)
for (let index = 0; index < 3; index += 1) {
  bad?.send(`${index}`)
  good?.send(`${index}`)
}
// Says where it stands instead of waiting forever.
setTimeout(() => {
  process.stdout.write(JSON.stringify({ caught, got, server: server.stats }))
  process.exit(1)
}, 15_000).unref()
while (got.length < 3 || caught.length < 3) await new Promise((resolve) => setTimeout(resolve, 10))
process.stdout.write(JSON.stringify({ caught, got }))
bad?.destroy()
good?.destroy()
await server.close()
