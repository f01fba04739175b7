// Run by root in its own network namespace (unshare -n). One client's network takes 64 kbit/s, so that its
// system buffer is full; other clients of the same I/O thread talk over loopback meanwhile. Prints
// what they did in two seconds, as JSON.

import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import * as dtls from '../../../src/dtls/index.js'

const SLOW_PORT = 4001
const NEAR = '10.9.0.1'
const FAR = '10.9.0.2'
const FAST_CLIENTS = 4
const MEASURED_MS = 2_000

const system = (command: string): void => {
  const [program = '', ...args] = command.split(' ')
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

const key = randomBytes(32)
const far = spawn(
  'unshare',
  [
    ...['-n', process.execPath, ...process.execArgv],
    fileURLToPath(new URL('slow-echo.ts', import.meta.url)),
    ...[String(SLOW_PORT), key.toString('hex')],
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
)
process.on('exit', () => far.kill())
await once(far.stdout, 'data')
system('ip link set lo up')
system('ip link add near type veth peer name far')
system(`ip link set far netns ${far.pid}`)
system(`ip addr add ${NEAR}/24 dev near`)
system('ip link set near up')
for (const command of [`ip addr add ${FAR}/24 dev far`, 'ip link set far up']) {
  system(`nsenter -t ${far.pid} -n ${command}`)
}
system('tc qdisc add dev near root tbf rate 64kbit burst 4kb limit 10mb')

const server = dtls.createServer({ psk: { fast: key } }, (socket) => {
  socket.on('message', (message) => socket.send(message))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo
const fast = await Promise.all(
  Array.from(
    { length: FAST_CLIENTS },
    () => dtls.connect({ host: '127.0.0.1', port, psk: { identity: 'fast', key } }).opened,
  ),
)
const slow = await dtls.connect({
  host: FAR,
  port: SLOW_PORT,
  psk: { identity: 'slow', key },
  sendBufferSize: 4_608,
}).opened

let echoes = 0
let slowest = 0
async function talk(socket: dtls.DtlsSocket, until: number): Promise<void> {
  while (performance.now() < until) {
    const began = performance.now()
    const answer = once(socket, 'message', { signal: AbortSignal.timeout(MEASURED_MS) })
    socket.send('echo')
    await answer.catch(() => undefined)
    slowest = Math.max(slowest, performance.now() - began)
    echoes += 1
  }
}

const message = Buffer.alloc(1_200)
for (let sent = 0; sent < 200; sent += 1) slow.send(message)
await new Promise((resolve) => setTimeout(resolve, 100))
const until = performance.now() + MEASURED_MS
await Promise.all(fast.map((socket) => talk(socket, until)))
console.log(JSON.stringify({ waiting: slow.bufferedAmount, echoes, slowest: Math.round(slowest) }))
process.exit()
