// Handshakes, one after the other in several lanes: to be counted, or to keep what they opened.

import { connect, type DtlsConnectOptions, type DtlsSocket } from '../../dtls/index.js'
import type { Handshakes } from './calls.js'
import { quantile, warmUp } from './traffic.js'

/** Handshakes under way while sessions are opened. */
export const HANDSHAKES_AT_ONCE = 32

/** Full handshakes (cookie and PSK), each from its own port, each ended by close_notify. */
export async function handshakes(
  options: DtlsConnectOptions,
  atOnce: number,
  milliseconds: number,
): Promise<Handshakes> {
  const times: number[] = []
  const countFrom = performance.now() + warmUp(milliseconds)
  const until = countFrom + milliseconds
  let count = 0
  const lane = async (): Promise<void> => {
    for (let begun = performance.now(); begun < until; begun = performance.now()) {
      const socket = await connect(options).opened
      socket.on('error', () => undefined)
      const now = performance.now()
      if (now >= countFrom && now < until) count += 1
      if (begun >= countFrom) times.push((now - begun) * 1_000)
      await socket.close()
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  times.sort((left, right) => left - right)
  return { perSecond: count / (milliseconds / 1_000), median: quantile(times, 0.5), count }
}

/** Sessions that do nothing. */
export async function hold(
  options: DtlsConnectOptions,
  sessions: number,
): Promise<readonly DtlsSocket[]> {
  const sockets: DtlsSocket[] = []
  const lane = async (): Promise<void> => {
    while (sockets.length < sessions) {
      const socket = connect(options)
      socket.on('message', () => undefined)
      sockets.push(socket)
      await socket.opened
      socket.on('error', () => undefined)
    }
  }
  await Promise.all(Array.from({ length: HANDSHAKES_AT_ONCE }, lane))
  return sockets
}
