// Strangers at a participant, from the workloads' own address: requests, evidence for nothing, questions.
//
//   <port> <descriptor hash> <requests a second>     prints sent, refused; goes on until it is ended

import { randomBytes } from 'node:crypto'
import { Agent, request as httpRequest } from 'node:http'
import { generateReceiver } from '../../src/consent/release/seal.js'
import { say } from './counting.js'
import { HOST } from './credentials.js'

const TICK_MS = 10
const [port, dh, rate] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true, maxSockets: 64 })
const bytes = (length: number) => randomBytes(length).toString('base64url')
const { publicKey } = await generateReceiver()
const pk = publicKey.toString('base64url')
const asked = () => ({
  ...{ v: 'mcbn/1', dh, role: 'client', pk, suite: '0020-0001-0002', r: bytes(32) },
  ...{ instance: bytes(16), renews: bytes(32) },
})
const KINDS = [
  () => send('/v1/request', asked()),
  () => send('/v1/request', asked()),
  () =>
    send('/v1/evidence', {
      c: bytes(32),
      request: asked(),
      evidence: { kind: 'local', token: bytes(3_000) },
    }),
  () => send('/v1/status'),
]
let sent = 0
let waiting = 0

function send(path: string, message?: object): void {
  // A participant that is slower than asked must not fill this process.
  if (waiting > 4_000) return
  waiting += 1
  sent += 1
  const headers = { 'content-type': 'application/json' }
  const request = httpRequest({
    ...{ host: HOST, port, path, agent, headers, method: message ? 'POST' : 'GET' },
  })
  request.on('response', (response) => response.resume().on('close', () => (waiting -= 1)))
  request.on('error', () => (waiting -= 1))
  request.end(message && JSON.stringify(message))
}

let due = 0
let at = 0
setInterval(() => {
  due += (Number(rate) * TICK_MS) / 1000
  for (; due >= 1; due -= 1) KINDS[at++ % KINDS.length]?.()
}, TICK_MS)
setInterval(() => say('sent', sent), 500)
say('ready', 1)
