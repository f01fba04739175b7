// One side of a measurement, as its own process: a server that counts or echoes, or a client.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  connect,
  createServer,
  type DtlsConnectOptions,
  type DtlsSocket,
} from '../../dtls/index.js'
import { answerCalls } from '../answering.js'
import type { Dialling, PeerCalls, Serving } from './calls.js'
import { BUFFER_BYTES, type Channel, dgramChannel, dtlsChannel } from './channel.js'
import { handshakes, hold } from './sessions.js'
import { echoes, flood, roundTrips } from './traffic.js'

const HOST = '127.0.0.1'
const IDENTITY = 'bench'
const buffers = { recvBufferSize: BUFFER_BYTES, sendBufferSize: BUFFER_BYTES }

let arrived = 0
let dialled: { readonly options: DtlsConnectOptions; readonly channel?: Channel } | undefined
/** Never read: held, so that nothing takes them for garbage. */
const held: DtlsSocket[] = []

answerCalls<PeerCalls>({
  serve: (serving) => (serving.carrier === 'mcbn' ? serveDtls(serving) : serveDgram(serving)),
  async count({ milliseconds }) {
    const before = arrived
    const started = performance.now()
    await sleep(milliseconds)
    return { messages: arrived - before, seconds: (performance.now() - started) / 1_000 }
  },
  async dial(dialling) {
    const options = optionsOf(dialling)
    if (dialling.carrier === 'dgram') {
      dialled = { options, channel: await dgramChannel(dialling.port) }
      return {}
    }
    const channel = dtlsChannel(await connect(options).opened)
    dialled = { options, channel }
    return channel.cipher === undefined ? {} : { cipher: channel.cipher }
  },
  async flood({ size, milliseconds }) {
    await flood(openChannel(), size, milliseconds)
    return {}
  },
  roundTrip: ({ size, milliseconds }) => roundTrips(openChannel(), size, milliseconds),
  echo: ({ size, milliseconds }) => echoes(openChannel(), size, milliseconds),
  handshakes: ({ atOnce, milliseconds }) => handshakes(openOptions(), atOnce, milliseconds),
  async hold({ sessions }) {
    held.push(...(await hold(openOptions(), sessions)))
    return {}
  },
  usage({ collect }) {
    // There by --expose-gc.
    if (collect) globalThis.gc?.()
    const { user, system } = process.cpuUsage()
    return {
      residentBytes: process.memoryUsage.rss(),
      processorMicroseconds: user + system,
    }
  },
})

function optionsOf({ port, key, ciphers }: Dialling): DtlsConnectOptions {
  return {
    ...buffers,
    host: HOST,
    port,
    psk: { identity: IDENTITY, key: Buffer.from(key, 'hex') },
    ...(ciphers !== undefined && { ciphers }),
  }
}

function openOptions(): DtlsConnectOptions {
  if (dialled === undefined) throw new Error('expected dial first')
  return dialled.options
}

function openChannel(): Channel {
  if (dialled?.channel === undefined) throw new Error('expected dial first')
  return dialled.channel
}

async function serveDtls({ echo, key, ciphers }: Serving): Promise<{ port: number }> {
  const server = createServer(
    {
      ...buffers,
      psk: { [IDENTITY]: Buffer.from(key, 'hex') },
      ...(ciphers !== undefined && { ciphers }),
    },
    (socket) => {
      socket.on('error', () => undefined)
      if (echo) socket.on('message', (message) => void socket.send(message))
      else {
        socket.on('message', () => {
          arrived += 1
        })
      }
    },
  )
  // A client whose process has ended.
  server.on('clientError', () => undefined)
  server.listen(0, HOST)
  await once(server, 'listening')
  return { port: server.address()?.port ?? 0 }
}

async function serveDgram({ echo }: Serving): Promise<{ port: number }> {
  const socket = createSocket({ type: 'udp4', ...buffers })
  socket.on('error', () => undefined)
  if (echo) {
    socket.on('message', (message, { port, address }) => socket.send(message, port, address))
  } else {
    socket.on('message', () => {
      arrived += 1
    })
  }
  socket.bind(0, HOST)
  await once(socket, 'listening')
  return { port: socket.address().port }
}
