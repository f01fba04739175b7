// An echo server for DTLS and TLS that takes all descriptors of its process, and gives them back, as it is told.
//
//   lines in: fill, connect, release    out: JSON, one line each

import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import * as dtls from '../../../src/dtls/index.js'
import * as tls from '../../../src/tls/index.js'

const key = Buffer.from(process.argv[2] as string, 'hex')
const psk = { Client1: key }
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)

const datagrams = dtls.createServer({ psk }, (socket) => {
  socket.on('message', (message) => socket.send(message))
})
const streams = tls.createServer({ psk }, (socket) => void socket.pipe(socket))
datagrams.listen(0, '127.0.0.1')
streams.listen(0, '127.0.0.1')
await Promise.all([once(datagrams, 'listening'), once(streams, 'listening')])
const portOf = (server: { address(): unknown }) => (server.address() as { port: number }).port
const ports = { dtls: portOf(datagrams), tls: portOf(streams) }
say(ports)

const taken: number[] = []
let full = false

/** What ends it: there is no descriptor any more. */
function takeAll(): string | undefined {
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'))
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}

async function outcome(connect: () => tls.TlsSocket | dtls.DtlsSocket): Promise<string> {
  // The loader of TypeScript gives back some of those that it had when it likes.
  if (full) takeAll()
  const socket = connect()
  try {
    await new Promise((resolve, reject) => {
      socket.on('secureConnect', () => resolve(undefined))
      socket.on('error', reject)
    })
    return 'connected'
  } catch (error) {
    return `${(error as { code?: string }).code}: ${(error as Error).message}`
  } finally {
    socket.destroy()
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'fill') {
    full = true
    say(takeAll())
  } else if (line === 'release') {
    full = false
    for (const descriptor of taken.splice(0)) closeSync(descriptor)
    say('released')
  } else {
    const credential = { host: '127.0.0.1', psk: { identity: 'Client1', key } }
    say({
      dtls: await outcome(() => dtls.connect({ ...credential, port: ports.dtls })),
      tls: await outcome(() => tls.connect({ ...credential, port: ports.tls })),
    })
  }
}
process.exit(0)
