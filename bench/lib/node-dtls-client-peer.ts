// node-dtls-client, a DTLS client in JavaScript on node:dgram, in its own process; it has no server.
//
//   ping <port> <seconds>          result: median round trip of 64 B in microseconds
//   handshakes <port> <seconds>    result: handshakes a second, one after the other

import { once } from 'node:events'
import { dtls } from 'node-dtls-client'
import { countHandshakes, Pinger } from './counting.js'
import { HOST, IDENTITY, KEY } from './credentials.js'

const [role, port, seconds] = process.argv.slice(2)

async function open(): Promise<dtls.Socket> {
  const socket = dtls.createSocket({
    type: 'udp4',
    address: HOST,
    port: Number(port),
    // It takes a string, whose characters are the bytes.
    psk: { [IDENTITY]: KEY.toString('latin1') },
    ciphers: ['TLS_PSK_WITH_AES_128_CCM_8'],
    timeout: 10_000,
  })
  await once(socket, 'connected')
  return socket
}

if (role === 'ping') {
  const socket = await open()
  const message = Buffer.alloc(64, 'm')
  const pinger = new Pinger(Number(seconds), () => socket.send(message))
  socket.on('message', () => pinger.answered())
  pinger.ping()
} else if (role === 'handshakes') {
  await countHandshakes(Number(seconds), async () => {
    const socket = await open()
    const closed = once(socket, 'close')
    socket.close()
    await closed
  })
}
