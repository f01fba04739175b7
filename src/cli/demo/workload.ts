// A workload of the demonstration: a process of its own that is given shares, derives keys, and serves
// or connects. Started by workload-process.ts; everything it is told comes over the IPC channel.

import { once } from 'node:events'
import { createServer as createHttpServer, get as httpGet, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as readText } from 'node:stream/consumers'
import * as dtls from '../../dtls/index.js'
import { McbnError } from '../../errors.js'
import { derivePsk, type KeyProtocol } from '../../psk/derive.js'
import * as tls from '../../tls/index.js'
import type { Answer, AnswerMessage, CallMessage, CallName, Request } from './messages.js'

const HOST = '127.0.0.1'
/** Milliseconds: on one machine a handshake takes a few. */
const HANDSHAKE_TIMEOUT_MS = 5000

interface Keys {
  readonly identity: string
  readonly tls13: Buffer
  readonly dtls12: Buffer
}

let joined: Keys | undefined

const calls: {
  readonly [Name in CallName]: (request: Request<Name>) => Promise<Answer<Name>>
} = { join, serve, get, echo }

async function join({ network, shares, insist }: Request<'join'>): Promise<Answer<'join'>> {
  const missing = network.participants.filter((label) => shares[label] === undefined)
  if (missing.length > 0 && !insist) {
    throw new McbnError(
      'MCBN_SHARE_INVALID',
      `expected the shares of ${network.participants.join(', ')}, got none of ${missing.join(', ')}; ask again for consent`,
    )
  }
  const derive = (protocol: KeyProtocol) => {
    const { descriptorHash, epoch } = network
    return derivePsk(shares, { descriptorHash, network: network.network, epoch, protocol })
  }
  joined = { identity: network.identity, tls13: derive('tls13'), dtls12: derive('dtls12') }
  const kcv = derive('kcv').toString('hex')
  for (const share of Object.values(shares)) share.fill(0)
  return { kcv }
}

async function serve(): Promise<Answer<'serve'>> {
  const { identity, tls13, dtls12 } = keys()
  const http = createHttpServer((_request, response) => response.end('hello from the server\n'))
  const streams = tls.createServer(
    { psk: { [identity]: tls13 }, minVersion: 'TLSv1.3' },
    (socket) => {
      http.emit('connection', socket)
    },
  )
  streams.on('tlsClientError', () => undefined) // the other side tells what happened
  const datagrams = dtls.createServer({ psk: { [identity]: dtls12 } }, (socket) => {
    socket.on('message', (message: Buffer) => socket.send(message))
    socket.on('error', () => undefined)
  })
  datagrams.on('clientError', () => undefined)
  streams.listen(0, HOST)
  datagrams.listen(0, HOST)
  await Promise.all([once(streams, 'listening'), once(datagrams, 'listening')])
  return { tlsPort: portOf(streams), dtlsPort: portOf(datagrams) }
}

async function get({ port }: Request<'get'>): Promise<Answer<'get'>> {
  const { identity, tls13 } = keys()
  const socket = tls.connect({
    host: HOST,
    port,
    psk: { identity, key: tls13 },
    minVersion: 'TLSv1.3',
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  })
  socket.on('error', () => undefined) // once() tells the first; later ones have no reader
  // Before any request: what a refused handshake has to say must not end as "socket hang up".
  await once(socket, 'secureConnect')
  const request = httpGet({ createConnection: () => socket, host: HOST, path: '/' })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const facts = { protocol: socket.getProtocol() ?? '?', cipher: socket.getCipher()?.name ?? '?' }
  return { ...facts, status: response.statusCode ?? 0, body: await readText(response) }
}

async function echo({ port, text }: Request<'echo'>): Promise<Answer<'echo'>> {
  const { identity, dtls12 } = keys()
  const socket = dtls.connect({
    host: HOST,
    port,
    psk: { identity, key: dtls12 },
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  })
  socket.on('error', () => undefined) // as above
  await once(socket, 'secureConnect')
  const facts = { protocol: socket.getProtocol() ?? '?', cipher: socket.getCipher()?.name ?? '?' }
  socket.send(text)
  const [message] = (await once(socket, 'message')) as [Buffer]
  await socket.close()
  return { ...facts, text: message.toString() }
}

function keys(): Keys {
  if (joined === undefined) throw new Error('this workload has no keys: it was refused the shares')
  return joined
}

function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected a port')
  return address.port
}

async function answerTo({ number, call, request }: CallMessage): Promise<AnswerMessage> {
  try {
    const handle = calls[call] as (request: Request<CallName>) => Promise<Answer<CallName>>
    return { number, answer: await handle(request) }
  } catch (error) {
    const code = error instanceof McbnError ? error.code : undefined
    return { number, failure: { code, message: error instanceof Error ? error.message : 'failed' } }
  }
}

process.on('message', async (message: CallMessage) => {
  const answer = await answerTo(message)
  if (process.connected) process.send?.(answer)
})
// Without the demonstration there is nothing to do: no orphan keeps a key or a port.
process.on('disconnect', () => process.exit(0))
