// The clients of a soak: each connects, has echoes for a while, ends, and another takes its place.
//
//   <minutes> <port of TLS> <port of DTLS>     prints ready, and every two seconds counts and latencies

import { setTimeout as sleep } from 'node:timers/promises'
import * as dtls from '../../src/dtls/index.js'
import * as tls from '../../src/tls/index.js'
import { endAfter, HOST, identityOf, keyOf, Latency, say } from './common.js'
import { Relay } from './relay.js'

const [minutes = 0, tlsPort = 0, dtlsPort = 0] = process.argv.slice(2).map(Number)
endAfter(minutes)

const DTLS_CLIENTS = 120
const TLS_CLIENTS = 40
/** Between a client's messages, ms. */
const PAUSE = 500
const MOST_MESSAGES = 60
const MESSAGE = Buffer.alloc(200, 7)

const counts = { opened: 0, failed: 0, echoes: 0 }
const tlsCounts = { ...counts }
const latency = { dtls: new Latency('dtls'), tls: new Latency('tls') }
const relay = await Relay.start(dtlsPort)
let started = 0

async function overDtls(): Promise<void> {
  const index = started++
  const psk = { identity: identityOf(index), key: keyOf(index) }
  const socket = dtls.connect({
    host: HOST,
    port: relay.port,
    psk,
    connectionId: true,
    handshakeTimeout: 8_000,
  })
  let open = true
  socket
    .on('error', () => {})
    .on('close', () => {
      open = false
    })
  try {
    await socket.opened
    counts.opened += 1
    let sent = 0
    socket.on('message', () => {
      counts.echoes += 1
      latency.dtls.add(performance.now() - sent)
    })
    for (let left = 1 + Math.random() * MOST_MESSAGES; left > 0 && open; left -= 1) {
      sent = performance.now()
      socket.send(MESSAGE)
      await sleep(PAUSE)
      if (Math.random() < 0.02) relay.move(socket.localPort ?? 0)
    }
  } catch {
    counts.failed += 1 // the key is revoked just now
    await sleep(PAUSE)
  } finally {
    if (index % 2) socket.destroy()
    else socket.close()
  }
}

async function overTls(): Promise<void> {
  const index = started++
  const psk = { identity: identityOf(index), key: keyOf(index) }
  const socket = tls.connect({
    host: HOST,
    port: tlsPort,
    psk,
    maxVersion: index % 3 ? 'TLSv1.3' : 'TLSv1.2',
  })
  socket.on('error', () => {})
  try {
    await socket.opened
    tlsCounts.opened += 1
    let sent = 0
    socket.on('data', () => {
      tlsCounts.echoes += 1
      latency.tls.add(performance.now() - sent)
    })
    for (let left = 1 + Math.random() * MOST_MESSAGES; left > 0 && !socket.destroyed; left -= 1) {
      sent = performance.now()
      socket.write(MESSAGE)
      await sleep(PAUSE)
    }
  } catch {
    tlsCounts.failed += 1
    await sleep(PAUSE)
  } finally {
    if (index % 2) socket.destroy()
    else socket.end()
  }
}

async function forever(once: () => Promise<void>, after: number): Promise<void> {
  await sleep(after)
  for (;;) await once()
}

for (let at = 0; at < DTLS_CLIENTS; at += 1) void forever(overDtls, at * 20)
for (let at = 0; at < TLS_CLIENTS; at += 1) void forever(overTls, at * 20)
setInterval(() => {
  for (const [name, value] of Object.entries(counts)) say(`dtls-${name}`, value)
  for (const [name, value] of Object.entries(tlsCounts)) say(`tls-${name}`, value)
  say('dtls-moves', relay.moves)
  latency.dtls.say()
  latency.tls.say()
}, 2_000)
say('ready', 1)
