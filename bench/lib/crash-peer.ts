// The two sides of bench/dtls-crash.ts, each in its own process; before each of these the server's address and the version of
// DTLS.
//
//   serve <port> <sealingKey> [store]      prints port, restored; "report": handshakes, replayed, processor (us so far)
//   flood <port> <sessions> <seconds>      prints began, then result: echoes a second, four messages under way a session
//   rate <port> <sessions> <rate>          prints open; sends so many messages a second until "stop"
//     report                               heard, rate, twice (echoes that came twice)
//     mark                                 echo when the next comes, all when one has come on every session

import { createInterface } from 'node:readline'
import * as dtls from '../../src/dtls/index.js'
import type { DtlsVersion } from '../../src/psk/types.js'
import { say } from './counting.js'
import { BUFFER_BYTES, IDENTITY, KEY } from './credentials.js'

const [host = '', version, role, first = '0', second = '', third = ''] = process.argv.slice(2)
const versions = { minVersion: version as DtlsVersion, maxVersion: version as DtlsVersion }
const port = Number(first)
const buffers = { recvBufferSize: BUFFER_BYTES, sendBufferSize: BUFFER_BYTES }
const BYTES = 64
const UNDER_WAY = 4
const OPENING = 50
const TICK_MS = 2
setTimeout(() => process.exit(1), 200_000)

function serve(): void {
  const sealingKey = Buffer.from(second, 'hex')
  const server = dtls.createServer(
    {
      psk: { [IDENTITY]: KEY },
      connectionId: true,
      ...versions,
      ...buffers,
      ...(third ? { sessionStore: { store: third, sealingKey } } : {}),
    },
    (socket) => socket.on('message', (message) => socket.send(message)),
  )
  server.on('clientError', () => {})
  server.on('sessionsRestored', ({ imported }) => say('restored', imported))
  server.listen(port, host, () => say('port', server.address()?.port ?? 0))
  createInterface(process.stdin).on('line', () => {
    say('handshakes', server.stats.handshakesStarted)
    say('replayed', server.stats.dropped.replayed)
    const { user, system } = process.cpuUsage()
    say('processor', user + system)
  })
}

async function open(count: number): Promise<dtls.DtlsSocket[]> {
  const sockets: dtls.DtlsSocket[] = []
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(OPENING, count - sockets.length) }, () => {
      const socket = dtls.connect({
        ...versions,
        ...buffers,
        recvBufferSize: 1 << 18,
        host,
        port,
        connectionId: true,
        psk: { identity: IDENTITY, key: KEY },
      })
      return socket.opened
    })
    sockets.push(...(await Promise.all(some)))
  }
  return sockets
}

async function flood(): Promise<void> {
  const sockets = await open(Number(second))
  const seconds = Number(third)
  const message = Buffer.alloc(BYTES, 1)
  let echoes = 0
  for (const socket of sockets) {
    socket.on('message', () => {
      echoes += 1
      socket.send(message)
    })
    for (let one = 0; one < UNDER_WAY; one += 1) socket.send(message)
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  say('began', 1)
  const before = echoes
  const began = performance.now()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
  say('result', ((echoes - before) / (performance.now() - began)) * 1_000)
}

async function steady(): Promise<void> {
  const sockets = await open(Number(second))
  const rate = Number(third)
  const seen = sockets.map(() => new Set<number>())
  let heard = 0
  let twice = 0
  let marked: Set<number> | undefined
  for (const [index, socket] of sockets.entries()) {
    socket.on('message', (message) => {
      const number = message.readUInt32BE(0)
      const known = seen[index] as Set<number>
      heard += 1
      if (known.has(number)) twice += 1
      known.add(number)
      if (!marked || marked.has(index)) return
      if (marked.size === 0) say('echo', 1)
      marked.add(index)
      if (marked.size === sockets.length) say('all', 1)
    })
  }
  const began = performance.now()
  let sent = 0
  let stopped = false
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - began) / 1_000) * rate)
    for (let burst = 0; sent < due && burst < rate; sent += 1, burst += 1) {
      const message = Buffer.alloc(BYTES)
      message.writeUInt32BE(Math.floor(sent / sockets.length), 0)
      sockets[sent % sockets.length]?.send(message)
    }
  }, TICK_MS)
  say('open', sockets.length)
  createInterface(process.stdin).on('line', (line) => {
    if (line === 'mark') marked = new Set()
    if (line === 'stop' && !stopped) {
      stopped = true
      clearInterval(timer)
      setTimeout(() => say('stopped', sent), 1_000)
    }
    if (line !== 'report') return
    say('heard', heard)
    say('rate', (heard / (performance.now() - began)) * 1_000)
    say('twice', twice)
  })
}

if (role === 'serve') serve()
else if (role === 'flood') await flood()
else await steady()
