// Loopback ports for programs that must be told one. Our own servers listen on port 0 instead.

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below those that a system gives to sockets without a port: on a busy machine one of these is soon somebody's. */
const LOWEST = 10_240
const HIGHEST = 32_767
const ATTEMPTS = 20

/** A TCP port that was free on 127.0.0.1 a moment ago. */
export function freeTcpPort(): Promise<number> {
  return firstFree(async (port) => {
    const server = createServer().listen(port, '127.0.0.1')
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
  })
}

/** A UDP port that was free on 127.0.0.1 a moment ago. */
export function freeUdpPort(): Promise<number> {
  return firstFree(async (port) => {
    const socket = createSocket('udp4').bind(port, '127.0.0.1')
    await once(socket, 'listening')
    socket.close()
    await once(socket, 'close')
  })
}

async function firstFree(tryPort: (port: number) => Promise<void>): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = randomInt(LOWEST, HIGHEST + 1)
    try {
      await tryPort(port)
      return port
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt === ATTEMPTS)
        throw error
    }
  }
}
