// A node of a fleet of DTLS servers, as gateway.yaml runs it: its number is that of the pod, its keys are files of a
// Secret, and its sessions are in a folder with which the next pod of the same number goes on. It echoes.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { staticResolver, watchAddresses } from 'mcbn/discovery'
import { createServer } from 'mcbn/dtls'
import { createMetrics, serveOperations } from 'mcbn/metrics'
import { loadPskFile } from 'mcbn/psk'

const setting = (name: string, fallback: string): string => process.env[name] ?? fallback
const secrets = setting('SECRETS', '/run/mcbn')
const secret = (name: string): Buffer => readFileSync(join(secrets, name))
// A StatefulSet names its pods mcbn-gateway-0, mcbn-gateway-1 and so on: no two at a time have the same number.
const id = Number(/-(\d+)$/.exec(setting('POD_NAME', ''))?.[1] ?? Number.NaN)

const server = createServer(
  {
    psk: loadPskFile(join(secrets, 'psk')),
    connectionId: 17,
    nodeId: { id, bytes: 2, key: secret('node-id.key') },
    fleet: {
      key: secret('fleet.key'),
      host: setting('FLEET_HOST', '0.0.0.0'),
      port: Number(setting('FLEET_PORT', '5685')),
    },
    cookieSecret: secret('cookie.secret'),
    sessionStore: { store: setting('SESSIONS', '/sessions'), sealingKey: secret('sealing.key') },
  },
  (socket) => socket.on('message', (message) => socket.send(message)),
)
server.on('clientError', () => {})
server.on('sessionStoreError', (error) => console.error(error.message))

const metrics = createMetrics()
metrics.watchDtlsServer(server)
let restored = false
server.on('sessionsRestored', ({ imported, refused }) => {
  restored = true
  console.log(`node ${id}: goes on with ${imported} sessions, refused ${refused}`)
})
const operations = await serveOperations({
  host: setting('METRICS_HOST', '0.0.0.0'),
  port: Number(setting('METRICS_PORT', '9464')),
  metrics,
  ready: () => restored || { notReady: 'sessions are being restored' },
})
server.listen(Number(setting('PORT', '5684')), setting('HOST', '0.0.0.0'), () => {
  const { address, port } = server.address() ?? { address: '', port: 0 }
  console.log(`node ${id}: listening on ${address} ${port}`)
})

// A headless service has the address of every pod.
const leaving = new AbortController()
const resolver = staticResolver({ fleet: setting('NODES', 'mcbn-gateway-nodes:5685').split(',') })
void (async () => {
  for await (const members of watchAddresses(resolver, 'fleet', { signal: leaving.signal })) {
    server.setFleetMembers(members)
  }
})()

process.once('SIGTERM', async () => {
  leaving.abort()
  // No goodbye: the next pod of this number goes on with the sessions.
  await server.close({ handover: true })
  await operations.close()
})
