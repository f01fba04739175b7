// Run by root in its own network namespace (unshare -n), whose loopback takes 1 Mbit/s: a server's system buffer
// is full while its client goes on talking. Prints how many of its messages came and what is left, as JSON.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import * as dtls from '../../../src/dtls/index.js'

const MESSAGES = 300
const LONGEST_MS = 15_000

execFileSync('ip', ['link', 'set', 'lo', 'up'])
const slow = 'qdisc add dev lo root tbf rate 1mbit burst 4kb limit 10mb'
execFileSync('tc', slow.split(' '))

const key = randomBytes(32)
const server = dtls.createServer({ psk: { client: key }, sendBufferSize: 4_608 })
server.listen(0, '127.0.0.1')
const opened = once(server, 'secureConnection') as Promise<[dtls.DtlsSocket]>
await once(server, 'listening')
const { port } = server.address() as AddressInfo
const client = dtls.connect({ host: '127.0.0.1', port, psk: { identity: 'client', key } })
const came: number[] = []
client.on('message', (message) => came.push(message.readUInt32BE()))
const [[socket]] = await Promise.all([opened, client.opened])

const talking = setInterval(() => client.send('still here'), 15)
for (let number = 0; number < MESSAGES; number += 1) {
  const message = Buffer.alloc(700)
  message.writeUInt32BE(number)
  socket.send(message)
  // In many submissions, while the first still fill the system's buffer.
  if (number % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 10))
}
const until = performance.now() + LONGEST_MS
while (came.length < MESSAGES && performance.now() < until) {
  await new Promise((resolve) => setTimeout(resolve, 50))
}
clearInterval(talking)
const inOrder = came.every((number, index) => index === 0 || number > (came[index - 1] as number))
console.log(JSON.stringify({ came: came.length, inOrder, waiting: socket.bufferedAmount }))
process.exit()
