// A server whose JavaScript stands still for five seconds, in its own process; this one has its clients.

import { setTimeout as sleep } from 'node:timers/promises'
import * as dtls from '../src/dtls/index.js'
import { type Child, script } from './lib/child.js'
import { BUFFER_BYTES, GCM, HOST, IDENTITY, KEY } from './lib/credentials.js'
import type { Measurement, Sample } from './lib/measurement.js'

const BLOCK_MS = 5_000
const LIVE = 200
const FRESH = 1_000
const AT_ONCE = 16
const MESSAGES_EACH = 10
/** Of the flood: twice the 64 MB that an I/O thread keeps for JavaScript. */
const FLOOD_BYTES = 128 * 1_048_576
const FLOOD_MESSAGE = 1_200
/** Milliseconds for the last echoes, once the server is awake. */
const PATIENCE_MS = 10_000

function connect(port: number): dtls.DtlsSocket {
  const psk = { identity: IDENTITY, key: KEY }
  const socket = dtls.connect({ host: HOST, port, ciphers: GCM, psk, recvBufferSize: BUFFER_BYTES })
  socket.on('error', () => {})
  return socket
}

/** Stops the server's JavaScript; resolves when it has stopped. */
async function block(serving: Child, socket: dtls.DtlsSocket): Promise<void> {
  socket.send(`block ${BLOCK_MS}`)
  await serving.value('blocking')
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!condition() && performance.now() < deadline) await sleep(20)
}

/** Handshakes not done before the server woke up, messages not echoed, sessions that are not alive after it. */
async function losses(): Promise<Sample> {
  await using serving = script('mcbn-peer.ts', 'blockable', GCM)
  const port = await serving.value('port')
  const live = await Promise.all(Array.from({ length: LIVE }, () => connect(port).opened))
  let echoed = 0
  for (const socket of live) {
    socket.on('message', () => {
      echoed += 1
    })
  }
  await block(serving, live[0] as dtls.DtlsSocket)
  const wakes = performance.now() + BLOCK_MS
  const fresh: dtls.DtlsSocket[] = []
  let asked = 0
  const lane = async (): Promise<void> => {
    while (asked < FRESH) {
      asked += 1
      const socket = connect(port)
      await socket.opened.then(
        () => performance.now() < wakes && fresh.push(socket),
        () => {},
      )
    }
  }
  const began = performance.now()
  for (let count = 0; count < MESSAGES_EACH; count += 1) {
    for (const socket of live) socket.send(`message ${count}`)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  const handshakesTook = performance.now() - began
  await serving.value('awake')
  await until(() => echoed >= LIVE * MESSAGES_EACH)
  const echoedWhileBlocked = echoed
  let alive = 0
  for (const socket of [...live, ...fresh]) {
    socket.once('message', () => {
      alive += 1
    })
    socket.send('after')
  }
  await until(() => alive === LIVE + fresh.length)
  const retransmits = fresh.reduce((sum, { stats }) => sum + stats.retransmits, 0)
  for (const socket of [...live, ...fresh]) socket.destroy()
  const handshakes = FRESH - fresh.length
  const messages = LIVE * MESSAGES_EACH - echoedWhileBlocked
  const sessions = LIVE + fresh.length - alive
  return {
    value: handshakes + messages + sessions,
    facts: {
      'handshakes meanwhile': fresh.length,
      'in ms': Math.round(handshakesTook),
      retransmits,
      'messages kept': echoedWhileBlocked,
      'sessions after it': alive,
    },
  }
}

/** What the server's process grows by while nobody takes what arrives. */
async function flood(): Promise<Sample> {
  await using serving = script('mcbn-peer.ts', 'blockable', GCM)
  const port = await serving.value('port')
  const socket = await connect(port).opened
  await sleep(500)
  const before = serving.residentBytes
  await block(serving, socket)
  const batch = Array.from({ length: 200 }, () => Buffer.alloc(FLOOD_MESSAGE, 'm'))
  const wakes = performance.now() + BLOCK_MS
  let sent = 0
  while (sent * FLOOD_MESSAGE < FLOOD_BYTES && performance.now() < wakes - 500) {
    if (socket.bufferedAmount < 500_000) sent += socket.sendMany(batch)
    await sleep(1)
  }
  await sleep(200)
  const grown = serving.residentBytes - before
  await serving.value('awake')
  // Says "drained" once nothing has come for a while.
  await serving.value('drained')
  const [received, delivered, dropped] = await Promise.all(
    ['received', 'delivered', 'dropped'].map((name) => serving.value(name)),
  )
  socket.destroy()
  return {
    value: grown / 1e6,
    facts: {
      sent,
      decrypted: received as number,
      delivered: delivered as number,
      'counted as dropped': dropped as number,
      unaccounted: (received as number) - (delivered as number) - (dropped as number),
    },
  }
}

export function blockedMeasurements(): Measurement[] {
  const common = { better: 'lower', mostRounds: 1, skipped: [] } as const
  const stands = `while the server's JavaScript stands still for ${BLOCK_MS / 1_000} s`
  return [
    {
      ...common,
      name: 'blocked-lost',
      title: `of ${FRESH} handshakes, ${LIVE} sessions and their ${LIVE * MESSAGES_EACH} messages, lost ${stands}`,
      unit: 'lost',
      subjects: [{ name: 'mcbn', run: losses }],
      bars: [{ limit: 0 }],
    },
    {
      ...common,
      name: 'blocked-queue',
      title: `resident memory gained by a flood of ${FLOOD_BYTES / 1_048_576} MB ${stands}`,
      unit: 'MB',
      subjects: [{ name: 'mcbn', run: flood }],
      // 64 MB of messages, a tenth more for their records' heads, and what is on the way.
      bars: [{ limit: 100 }],
    },
  ]
}
