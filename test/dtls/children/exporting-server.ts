// A server that echoes until it is told to export: prints its sessions, sealed, and ends without a goodbye.
// Arguments: its key and the sealing key, in hexadecimal.
import { once } from 'node:events'
import { createServer } from '../../../src/dtls/index.js'

const [key = '', sealingKey = ''] = process.argv.slice(2)
const server = createServer({ psk: { Client1: Buffer.from(key, 'hex') } }, (socket) => {
  socket.on('message', (message) => socket.send(message))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.stdout.write(`listening ${server.address()?.port}\n`)
await once(process.stdin, 'data')
const sealed: string[] = []
for await (const each of server.exportSessions({ sealingKey: Buffer.from(sealingKey, 'hex') })) {
  sealed.push(each.toString('hex'))
}
await server.close({ handover: true })
process.stdout.write(`sealed ${sealed.join()}\n`, () => process.exit(0))
