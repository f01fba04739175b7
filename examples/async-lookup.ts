// Keys from a store that answers later: one lookup for TLS and DTLS, given up with its handshake.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { McbnError } from 'mcbn'
import * as dtls from 'mcbn/dtls'
import type { PskLookup } from 'mcbn/psk'
import * as tls from 'mcbn/tls'

/** Stands for a database: 100 ms a query, which a signal ends early. */
const devices = new Map([['sensor-7', { key: randomBytes(32), room: 'cellar' }]])
async function find(name: string, signal: AbortSignal) {
  await sleep(name === 'slow' ? 10_000 : 100, undefined, { signal })
  return devices.get(name)
}

// `identityText` comes from a stranger. null says that nobody here knows it.
const psk: PskLookup<{ room: string }> = async ({ identityText, protocol, signal }) => {
  console.log(`asked for ${identityText} (${protocol})`)
  signal.addEventListener('abort', () => console.log(`no longer asked for ${identityText}`))
  const device = await find(identityText, signal)
  return device ? { key: device.key, peer: { room: device.room } } : null
}

const overTcp = tls.createServer({ psk }, (socket) => socket.end(`in the ${socket.peer?.room}`))
overTcp.on('tlsClientError', ({ code }: McbnError) => console.log(`server: ${code}`))
overTcp.listen(0, '127.0.0.1')
await once(overTcp, 'listening')

const overUdp = dtls.createServer({ psk }, (socket) => socket.send(`in the ${socket.peer?.room}`))
overUdp.listen(0, '127.0.0.1')
await once(overUdp, 'listening')

const host = '127.0.0.1'
const tcpPort = (overTcp.address() as AddressInfo).port
const udpPort = (overUdp.address() as AddressInfo).port
const known = { identity: 'sensor-7', key: devices.get('sensor-7')?.key ?? randomBytes(32) }

// A key that is found late is found all the same.
const stream = tls.connect({ host, port: tcpPort, psk: known })
console.log(`TLS: ${(await stream.toArray()).join('')}`)

const datagrams = dtls.connect({ host, port: udpPort, psk: known })
const [message] = await once(datagrams, 'message')
console.log(`DTLS: ${message}`)
await datagrams.close()

// An unknown identity looks like a wrong key to the client; only the server's event tells.
const stranger = tls.connect({ host, port: tcpPort, psk: { ...known, identity: 'stranger' } })
const [refusal] = await once(stranger, 'error')
console.log(`the stranger sees ${refusal.code}`)

// A client that gives up takes its question with it.
const impatient = tls.connect({
  host,
  port: tcpPort,
  psk: { ...known, identity: 'slow' },
  signal: AbortSignal.timeout(300),
})
const [abort] = await once(impatient, 'error')
console.log(`the impatient one sees ${abort.name}`)

overTcp.close()
await overUdp.close()
