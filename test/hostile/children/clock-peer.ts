// A DTLS echo server, and a client, in a process whose wall clock a test sets.
//
//   clock-peer.ts <key> <server's options, JSON; in `fleet` what node 0 of a fleet needs, keys in hex>
//   lines in: clock, stats, fleet, connect <port>     out: JSON, one line each

import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { connect, createServer } from '../../../src/dtls/index.js'

const key = Buffer.from(process.argv[2] as string, 'hex')
const { fleet, ...options } = JSON.parse(process.argv[3] as string)
const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')
const node = fleet && {
  connectionId: true,
  nodeId: { id: 0, key: bytes(fleet.idKey) },
  fleet: { key: bytes(fleet.key), port: 0, host: '127.0.0.1', members: fleet.members },
}
const say = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`)

const server = createServer({ ...options, ...node, psk: { Client1: key } }, (socket) => {
  socket.on('message', (message) => socket.send(message))
  socket.on('error', () => {})
  socket.on('close', () => say({ closed: socket.closeReason }))
})
server.on('clientError', () => {})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
say({ port: server.address()?.port })

for await (const line of createInterface({ input: process.stdin })) {
  const [command, port] = line.split(' ')
  if (command === 'clock') say({ clock: Date.now() })
  if (command === 'stats') say({ stats: server.stats })
  if (command === 'fleet') say({ fleet: server.fleet })
  if (command === 'connect') {
    const psk = { identity: 'Client1', key }
    const socket = connect({ host: '127.0.0.1', port: Number(port), psk, retransmitTimeout: 50 })
    socket.on('error', (error) => say({ failed: error.message }))
    socket.on('message', (message) => say({ echo: `${message}` }))
    socket.on('secureConnect', () => socket.send('hello'))
  }
}
process.exit(0)
