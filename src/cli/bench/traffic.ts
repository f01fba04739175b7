// What is done with one session while it is measured.

import { setTimeout as sleep } from 'node:timers/promises'
import { Deferred } from '../../deferred.js'
import type { Echoes, RoundTrips } from './calls.js'
import type { Channel } from './channel.js'

/**
 * Milliseconds that are not counted: what is compiled, allocated and guessed at first. Where `milliseconds` are
 * counted, no more than those.
 */
export function warmUp(milliseconds: number): number {
  return Math.min(200, milliseconds)
}

/** UDP may lose a message; milliseconds until the next round trip begins without its answer. */
const LOST_MS = 1_000
/** Milliseconds of silence after which nothing is on its way any more. */
const PATIENCE_MS = 200
/** Milliseconds until a server that never answered is said not to echo. */
const DEAF_MS = 3_000
/** Messages under way while echoes are counted. */
export const ECHOES_UNDER_WAY = 64

/** A server that does not send back what it gets. */
export class NoEcho extends Error {
  override readonly name = 'NoEcho'
}

/** Sends as fast as it is let, for so long and the warm-up. */
export async function flood(channel: Channel, size: number, milliseconds: number): Promise<void> {
  const message = Buffer.alloc(size, 'm')
  const fill = (): void => {
    while (channel.send(message)) {
      // Until the high-water mark.
    }
  }
  channel.onWritable = fill
  fill()
  // A little longer than is counted: the two processes' clocks begin apart.
  await Promise.race([sleep(warmUp(milliseconds) + milliseconds + PATIENCE_MS), channel.broken])
  channel.onWritable = () => undefined
}

/** One message at a time, numbered: an answer that comes too late is not taken for the next one's. */
export async function roundTrips(
  channel: Channel,
  size: number,
  milliseconds: number,
): Promise<RoundTrips> {
  const message = Buffer.alloc(size, 'm')
  const times: number[] = []
  const begun = performance.now()
  const countFrom = begun + warmUp(milliseconds)
  const until = countFrom + milliseconds
  let number = 0
  let sentAt = begun
  let heard = false
  const ping = (): void => {
    number = (number + 1) >>> 0
    message.writeUInt32LE(number)
    sentAt = performance.now()
    channel.send(message)
  }
  const done = new Deferred()
  const watch = setInterval(() => {
    const now = performance.now()
    if (times.length > 0 && now > until) done.resolve()
    else if (now > (heard ? until : begun) + DEAF_MS) done.reject(new NoEcho('no answer'))
    else if (now > sentAt + LOST_MS) ping()
  }, PATIENCE_MS / 4)
  channel.onMessage = (answer) => {
    const now = performance.now()
    if (answer.length !== size || answer.readUInt32LE() !== number) return
    heard = true
    if (sentAt >= countFrom) times.push((now - sentAt) * 1_000)
    if (now < until || times.length === 0) ping()
    else done.resolve()
  }
  try {
    ping()
    await Promise.race([done.promise, channel.broken])
  } finally {
    clearInterval(watch)
    channel.onMessage = () => undefined
  }
  times.sort((left, right) => left - right)
  return { median: quantile(times, 0.5), p99: quantile(times, 0.99), count: times.length }
}

/** So many under way all the time; what has not come back when all is quiet is lost. */
export async function echoes(
  channel: Channel,
  size: number,
  milliseconds: number,
): Promise<Echoes> {
  const message = Buffer.alloc(size, 'm')
  const begun = performance.now()
  let heardAt = begun
  let sent = 0
  let back = 0
  let going = true
  const ask = (count: number): void => {
    sent += count
    for (let asked = 0; asked < count; asked += 1) channel.send(message)
  }
  const quiet = (): boolean =>
    performance.now() > Math.max(heardAt + PATIENCE_MS, back === 0 ? begun + DEAF_MS : 0)
  const measured = async (): Promise<number> => {
    await sleep(warmUp(milliseconds))
    const before = back
    const started = performance.now()
    await sleep(milliseconds)
    const perSecond = ((back - before) / (performance.now() - started)) * 1_000
    going = false
    while (!quiet()) await sleep(PATIENCE_MS / 4)
    if (back === 0) throw new NoEcho('no answer')
    return perSecond
  }
  channel.onMessage = () => {
    back += 1
    heardAt = performance.now()
    if (going) ask(1)
  }
  // When all of them are lost.
  const refill = setInterval(() => {
    if (going && performance.now() > heardAt + PATIENCE_MS) ask(ECHOES_UNDER_WAY)
  }, PATIENCE_MS)
  try {
    ask(ECHOES_UNDER_WAY)
    const perSecond = await Promise.race([measured(), channel.broken])
    return { perSecond, lost: Math.max(0, sent - back) / sent }
  } finally {
    going = false
    clearInterval(refill)
    channel.onMessage = () => undefined
  }
}

/** @param sorted - in ascending order. @returns NaN when there is none. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
