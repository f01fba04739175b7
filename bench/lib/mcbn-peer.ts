// mcbn's side of every DTLS measurement, in its own process.
//
//   receive <suite> <seconds>            prints port, started, cost (us), result ('message' events per second)
//   send <suite> <port> <bytes>          sends until it is ended
//   serve <suite> [busyPoll]             prints port, echoes until it is ended
//   blockable <suite>                    as serve; "block <ms>" stops its JavaScript for so long, then it says
//                                        awake, and what it has received, delivered, dropped when all is quiet
//   ping <suite> <port> <seconds> [busyPoll]
//                                        started, result: median round trip of 64 B in microseconds
//   handshakes <suite> <port> <seconds>  result: handshakes a second, one after the other
//   hold <suite> <port> <sessions>       prints ready, waits half a second, opens them, prints held
//
// A suite of TLS 1.3 asks for DTLS 1.3, with "/psk_ke" behind it for that mode.

import { setTimeout as sleep } from 'node:timers/promises'
import * as dtls from '../../src/dtls/index.js'
import { Counter, countHandshakes, Pinger, say } from './counting.js'
import { BUFFER_BYTES, HOST, IDENTITY, KEY } from './credentials.js'

const [role, wanted = '', first, second, third] = process.argv.slice(2)
const [suite = '', mode] = wanted.split('/')
const version = suite.startsWith('TLS_')
  ? ({ minVersion: 'DTLSv1.3', pskModes: [mode === 'psk_ke' ? mode : 'psk_dhe_ke'] } as const)
  : {}
const busyPoll = Number((role === 'ping' ? third : role === 'serve' && first) || 0)
const buffers = { recvBufferSize: BUFFER_BYTES, sendBufferSize: BUFFER_BYTES, busyPoll }
const HANDSHAKES_AT_ONCE = 32
/** More than any measurement opens. */
const MOST_SESSIONS = 200_000

function serve(onSocket: (socket: dtls.DtlsSocket) => void): dtls.DtlsServer {
  const server = dtls.createServer(
    {
      psk: { [IDENTITY]: KEY },
      ciphers: suite,
      maxSessions: MOST_SESSIONS,
      ...version,
      ...buffers,
    },
    onSocket,
  )
  // Generators end without goodbye.
  server.on('clientError', () => {})
  server.listen(0, HOST, () => say('port', server.address()?.port ?? 0))
  return server
}

function connect(port: number): dtls.DtlsSocket {
  return dtls.connect({
    ...version,
    ...buffers,
    host: HOST,
    port,
    ciphers: suite,
    psk: { identity: IDENTITY, key: KEY },
  })
}

async function send(port: number, bytes: number): Promise<void> {
  const socket = await connect(port).opened
  const message = Buffer.alloc(bytes, 'm')
  const fill = (): void => {
    while (socket.send(message)) {
      // Until the high-water mark.
    }
  }
  socket.on('error', () => process.exit(0))
  socket.on('drain', fill)
  fill()
}

async function ping(port: number, seconds: number): Promise<void> {
  const socket = await connect(port).opened
  const message = Buffer.alloc(64, 'm')
  const pinger = new Pinger(seconds, () => void socket.send(message))
  socket.on('message', () => pinger.answered())
  pinger.ping()
}

/** Small messages come back; large ones are counted. */
function serveBlockable(): void {
  let delivered = 0
  let quiet: NodeJS.Timeout | undefined
  const server = serve((socket) => {
    socket.on('error', () => {})
    socket.on('message', (message) => {
      delivered += 1
      quiet?.refresh()
      const [command, milliseconds] = message.length < 64 ? message.toString().split(' ') : []
      if (command === 'block') {
        say('blocking', 0)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(milliseconds))
        say('awake', 0)
        quiet = setTimeout(tell, 1_000)
      } else if (command !== undefined) socket.send(message)
    })
  })
  const tell = (): void => {
    let received = 0
    for (const socket of server.sessions) received += socket.stats.messagesReceived
    say('received', received)
    say('delivered', delivered)
    say('dropped', server.stats.dropped['messages'] ?? 0)
    say('drained', 0)
  }
}

async function hold(port: number, sessions: number): Promise<void> {
  say('ready', 0)
  await sleep(500)
  const sockets: dtls.DtlsSocket[] = []
  const lane = async (): Promise<void> => {
    while (sockets.length < sessions) {
      const socket = connect(port)
      socket.on('message', () => {})
      sockets.push(socket)
      await socket.opened
    }
  }
  await Promise.all(Array.from({ length: HANDSHAKES_AT_ONCE }, lane))
  say('held', sockets.length)
}

if (role === 'receive') {
  const counter = new Counter(Number(first))
  serve((socket) => {
    socket.on('message', () => counter.arrived())
    socket.on('error', () => {})
  })
} else if (role === 'serve') {
  serve((socket) => {
    socket.on('message', (message) => void socket.send(message))
    socket.on('error', () => {})
  })
} else if (role === 'blockable') {
  serveBlockable()
} else if (role === 'send') {
  await send(Number(first), Number(second))
} else if (role === 'ping') {
  await ping(Number(first), Number(second))
} else if (role === 'handshakes') {
  await countHandshakes(Number(second), async () => {
    const socket = await connect(Number(first)).opened
    await socket.close()
  })
} else if (role === 'hold') {
  await hold(Number(first), Number(second))
}
