import { createHash, randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { derivePsk } from 'mcbn/psk'
import { connect, createServer } from 'mcbn/tls'

// 32 random bytes from each participant. Without all of them nobody can make the key.
const shares = { alice: randomBytes(32), bob: randomBytes(32), carol: randomBytes(32) }
const descriptorHash = createHash('sha256').update('what all three agreed on').digest()
const key = derivePsk(shares, { descriptorHash, network: 'example', epoch: 1, protocol: 'tls13' })

const server = createServer({ psk: { Client1: key }, minVersion: 'TLSv1.3' }, (socket) => {
  socket.end(`hello ${socket.pskIdentity}, this is ${socket.getProtocol()}\n`)
})
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  const psk = { identity: 'Client1', key }
  const socket = connect({ host: '127.0.0.1', port, psk, minVersion: 'TLSv1.3' })
  socket.pipe(process.stdout)
  socket.on('end', () => server.close())
})
