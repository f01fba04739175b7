// How strangers flood: from sockets on loopback, at a steady rate, for a bounded time.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { say } from './counting.js'

export async function bound(host: string): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.on('error', () => {})
  socket.bind(0, host)
  await once(socket, 'listening')
  return socket
}

/** Calls `next`, `rate` times a second; says started, and sent when it is over. */
export async function flood(
  rate: number,
  seconds: number,
  next: (index: number) => void,
): Promise<void> {
  const began = performance.now()
  let sent = 0
  say('started', 0)
  for (let now = began; now < began + seconds * 1_000; now = performance.now()) {
    const due = Math.min(((now - began) / 1_000) * rate, sent + 2_000)
    while (sent < due) next(sent++)
    await new Promise(setImmediate)
  }
  say('sent', sent)
}
