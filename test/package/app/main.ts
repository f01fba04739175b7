// The program of a user that the tests of this folder bundle, wrap and run: one message over TLS, one over DTLS.
// Prints one line of JSON. No top-level await: it becomes CommonJS as well.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import * as dtls from 'mcbn/dtls'
import * as psk from 'mcbn/psk'
import * as tls from 'mcbn/tls'

const SHARES = [
  '2c6f63f8c0f53a565db041b91c0a95add8913fc102670589db3982228dbfed90',
  'b15244faf36e5e4b178d3891701d245f2e45e881d913b6c35c0ea0ac14224cc2',
]

/** Whether this process has the addon mapped, however it came there. */
function addonIsLoaded(): boolean {
  const { sharedObjects } = process.report.getReport() as { sharedObjects: string[] }
  return sharedObjects.some((file) => /mcbn[^/]*\.node$/.test(file))
}

async function main(): Promise<void> {
  const derived = psk.derivePsk(SHARES, { scheme: 'sha256-concat' }).length
  const before = addonIsLoaded()
  const keys = { Client1: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex') }
  const mine = { identity: 'Client1', key: keys.Client1 }

  const streams = tls.createServer({ psk: keys }, (socket) => void socket.pipe(socket))
  streams.listen(0, '127.0.0.1')
  await once(streams, 'listening')
  const stream = tls.connect({
    host: '127.0.0.1',
    port: (streams.address() as AddressInfo).port,
    psk: mine,
  })
  await once(stream, 'secureConnect')
  stream.write('over TLS')
  const overTls = `${stream.getProtocol()} ${(await once(stream, 'data'))[0]}`
  stream.end()
  streams.close()

  const server = dtls.createServer({ psk: keys }, (socket) => {
    socket.on('message', (message) => void socket.send(message))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = dtls.connect({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    psk: mine,
  })
  await socket.opened
  socket.send('over DTLS')
  const overDtls = `${socket.getProtocol()} ${(await once(socket, 'message'))[0]}`
  await socket.close()
  await server.close()
  console.log(
    JSON.stringify({ derived, before, tls: overTls, dtls: overDtls, after: addonIsLoaded() }),
  )
}

main().catch((error: { code?: string; message: string }) => {
  console.log(JSON.stringify({ code: error.code, message: error.message }))
  process.exitCode = 1
})
