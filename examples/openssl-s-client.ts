// Servers that talk to the `openssl s_client` of this machine: TLS 1.3, TLS 1.2 and DTLS 1.2.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import * as dtls from 'mcbn/dtls'
import * as tls from 'mcbn/tls'

const identity = 'Client1'
const key = randomBytes(32)
const psk = { [identity]: key }

const overTcp = tls.createServer({ psk }, (socket) => {
  socket.on('data', (data) => socket.write(`${socket.getProtocol()} server got: ${data}`))
  socket.on('error', (error) => console.log(error.message))
})
overTcp.on('tlsClientError', (error) => console.log(error.message))
overTcp.listen(0, '127.0.0.1')

const overUdp = dtls.createServer({ psk }, (socket) => {
  socket.on('message', (message) => socket.send(`${socket.getProtocol()} server got: ${message}`))
})
overUdp.on('clientError', (error) => console.log(error.message))
overUdp.listen(0, '127.0.0.1')
await Promise.all([once(overTcp, 'listening'), once(overUdp, 'listening')])

await talk('-tls1_3', (overTcp.address() as AddressInfo).port)
await talk('-tls1_2', (overTcp.address() as AddressInfo).port)
await talk('-dtls1_2', (overUdp.address() as AddressInfo).port)
overTcp.close()
await overUdp.close()

/** Says one line through s_client, and shows the line that comes back. */
async function talk(version: string, port: number): Promise<void> {
  const secret = ['-psk_identity', identity, '-psk', key.toString('hex')]
  // s_client's own list has no PSK suites for 1.2. TLS 1.3 suites are another option (-ciphersuites).
  const args = ['s_client', '-quiet', version, '-cipher', 'PSK', ...secret]
  const client = spawn('openssl', [...args, '-connect', `127.0.0.1:${port}`], {
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: 10_000,
  })
  client.on('error', (error) => console.log(`openssl did not start: ${error.message}`))
  const answer = new Promise<string>((resolve) => {
    client.stdout.once('data', (data: Buffer) => resolve(data.toString().trim()))
    client.once('close', () => resolve('s_client ended without an answer'))
  })
  client.stdin.on('error', () => {}) // it may have gone already
  client.stdin.write(`hello by ${version}\n`)
  console.log(await answer)
  client.kill()
}
