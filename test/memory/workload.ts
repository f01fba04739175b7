// A workload, and a server with another key, in a process whose memory is read. What it does when is said on
// stdin; it holds no other copy of a secret than mcbn's.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { writeHeapSnapshot } from 'node:v8'
import { createLauncherAttester, join } from '../../src/consent/index.js'
import * as tls from '../../src/tls/index.js'
import { collected } from './collect.js'

const { socketPath, keyFile, ...settings } = JSON.parse(`${process.argv[2]}`)
const say = (event: object): void => console.log(JSON.stringify(event))

/** What the search has to find: bytes that nothing has wiped. */
const planted = createHash('sha256').update('planted').digest()

const network = await join({
  ...settings,
  attester: createLauncherAttester({ socketPath, kind: 'local' }),
})
const stream = network.tls.createServer({}, (socket) => {
  socket.on('error', () => undefined)
  socket.pipe(socket)
})
const datagrams = network.dtls.createServer({}, (socket) => {
  socket.on('error', () => undefined)
  socket.on('message', (message) => socket.send(message))
})
const key = readFileSync(keyFile)
const other = tls.createServer({ psk: { other: key } }, (socket) => {
  socket.on('error', () => undefined)
  socket.pipe(socket)
})
key.fill(0)
const listening = (server: {
  listen(port: number, host: string, done: () => void): unknown
  address(): unknown
}): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
const ports: Record<string, number> = {}
ports['tls'] = await listening(stream)
ports['other'] = await listening(other)
datagrams.listen(0, '127.0.0.1')
await once(datagrams, 'listening')
ports['dtls'] = (datagrams.address() as { port: number }).port
say({ ports })

createInterface({ input: process.stdin }).on('line', async (line) => {
  if (line === 'revoke') other.revoke('other')
  if (line === 'close') {
    await network.close()
    other.close()
  }
  if (line === 'collect') await collected()
  if (line.startsWith('snapshot ')) writeHeapSnapshot(line.slice('snapshot '.length))
  if (line === 'end') process.exit(planted.length === 32 ? 0 : 1)
  say({ did: line.split(' ')[0] })
})
