// One session as the traffic sees it: mcbn's, or a plain UDP socket of node:dgram beside it.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { Deferred } from '../../deferred.js'
import type { DtlsSocket } from '../../dtls/index.js'

/** As the system grants. The same for both carriers, or the buffers would be what is measured. */
export const BUFFER_BYTES = 4 << 20

/** Sent before the event loop gets a turn: the callbacks of node:dgram alone would never give it one. */
const DGRAMS_AT_ONCE = 64

export interface Channel {
  /** @returns false when full: stop until `onWritable`. */
  send(message: Buffer): boolean
  onMessage: (message: Buffer) => void
  onWritable: () => void
  /** Rejects when the session breaks; never resolves. */
  readonly broken: Promise<never>
  readonly cipher?: string
}

export function dtlsChannel(socket: DtlsSocket): Channel {
  const broken = new Deferred<never>()
  const cipher = socket.getCipher()?.name
  const channel: Channel = {
    send: (message) => socket.send(message),
    onMessage: () => undefined,
    onWritable: () => undefined,
    broken: broken.promise,
    ...(cipher !== undefined && { cipher }),
  }
  socket.on('message', (message) => channel.onMessage(message))
  socket.on('drain', () => channel.onWritable())
  socket.on('error', (error) => broken.reject(error))
  socket.on('close', () => broken.reject(new Error('the server closed the session')))
  return channel
}

/** @param port - of 127.0.0.1. */
export async function dgramChannel(port: number): Promise<Channel> {
  const socket = createSocket({
    type: 'udp4',
    recvBufferSize: BUFFER_BYTES,
    sendBufferSize: BUFFER_BYTES,
  })
  const broken = new Deferred<never>()
  socket.on('error', (error) => broken.reject(error))
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  let under = 0
  const sent = (): void => {
    under -= 1
    if (under === 0) setImmediate(() => channel.onWritable())
  }
  const channel: Channel = {
    send(message) {
      under += 1
      socket.send(message, sent)
      return under < DGRAMS_AT_ONCE
    },
    onMessage: () => undefined,
    onWritable: () => undefined,
    broken: broken.promise,
  }
  socket.on('message', (message) => channel.onMessage(message))
  return channel
}
