// CoAP over DTLS (coaps, RFC 7252 section 9) with the npm package `coap`.
//
// `coap` works on node:dgram sockets, but takes anything with their `send` and `message`. The class below
// is that: UDP addresses on one side, DTLS sockets on the other. Known limit: coap repeats a cached answer
// only over a real dgram.Socket, so a request that is repeated here runs its handler again.

import { randomBytes } from 'node:crypto'
import type { Socket as UdpSocket } from 'node:dgram'
import { EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Agent, createServer as createCoapServer, type IncomingMessage } from 'coap'
import { connect, createServer, type DtlsSocket } from 'mcbn/dtls'

/** The part of a dgram.Socket that coap uses. */
class CoapTransport extends EventEmitter {
  readonly type = 'udp4'
  readonly #sockets = new Map<string, DtlsSocket>()

  add(socket: DtlsSocket): void {
    const { remoteAddress: address, remotePort: port } = socket
    const peer = `${address}:${port}`
    this.#sockets.set(peer, socket)
    socket.on('message', (message) => this.emit('message', message, { address, port }))
    socket.on('close', () => this.#sockets.delete(peer))
    socket.on('error', () => {}) // coap asks again, and tells the application when it gives up
  }

  send(
    message: Buffer,
    offset: number,
    length: number,
    port: number,
    address: string,
    done?: (error: Error | null, bytes: number) => void,
  ): void {
    // A peer that has gone is a datagram lost.
    this.#sockets.get(`${address}:${port}`)?.send(message.subarray(offset, offset + length))
    done?.(null, length)
  }

  address(): object {
    return {}
  }
}

const key = randomBytes(32)

const serverTransport = new CoapTransport()
const coapServer = createCoapServer((request, response) => {
  response.end(`${request.method} ${request.url}: 21.5 degrees`)
})
coapServer.listen(serverTransport)

const server = createServer({ psk: { 'sensor-7': key } }, (socket) => serverTransport.add(socket))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

// The one suite that every CoAP device has (RFC 7252 section 9.1.3.1).
const ciphers = 'PSK-AES128-CCM8'
const socket = connect({ host: '127.0.0.1', port, psk: { identity: 'sensor-7', key }, ciphers })
await socket.opened
const clientTransport = new CoapTransport()
clientTransport.add(socket)

const agent = new Agent({ socket: clientTransport as unknown as UdpSocket })
const request = agent.request({ hostname: '127.0.0.1', port, pathname: '/temperature' })
request.end()
const [response] = (await once(request, 'response')) as [IncomingMessage]
console.log(`${response.code} ${response.payload} (${socket.getCipher()?.name})`)

await socket.close()
coapServer.close()
await server.close()
