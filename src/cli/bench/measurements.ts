// The measurements on this machine: mcbn, and node:dgram without any protection beside it, in turns.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Carrier } from './calls.js'
import { Peer } from './peer.js'
import { HANDSHAKES_AT_ONCE } from './sessions.js'
import { warmUp } from './traffic.js'

export const NAMES = ['stream', 'echo', 'round-trip', 'handshakes', 'memory'] as const
export type Name = (typeof NAMES)[number]

export interface Settings {
  /** Seconds that are measured for a figure, all turns together. */
  readonly seconds: number
  /** Bytes of a message. */
  readonly size: number
  /** Sessions whose memory is measured. */
  readonly sessions: number
  readonly ciphers?: string
}

/** One figure, as it is shown. */
export interface Figure {
  readonly name: string
  readonly title: string
  readonly unit: '/s' | 'us' | 'KB'
  readonly better: 'higher' | 'lower'
  readonly mcbn: number
  /** node:dgram without protection, and mcbn's figure over that: the median of the turns' own ratios. */
  readonly dgram?: number
  readonly ratio?: number
  /** Microseconds of processor time for each unit of work, all threads, by process. */
  readonly processor?: Readonly<Record<string, number>>
  /** What else is known: `p99`, `lost`, ... */
  readonly more?: Readonly<Record<string, number>>
  /** The suite that server and client agreed on. */
  readonly cipher?: string
}

/** Told before each turn. */
export type OnTurn = (what: string) => void

/** Turns of each carrier: what else the machine does meets both. */
const TURNS = 3
/** Opened before memory is looked at: what the first sessions cost is not what one more costs. */
const FIRST_SESSIONS = 1_000
/** Milliseconds until handshakes have left nothing behind but their sessions. */
const SETTLE_MS = 2_000

/** @returns one figure, or two: memory has one a side. */
export async function measure(
  name: Name,
  settings: Settings,
  onTurn: OnTurn,
): Promise<readonly Figure[]> {
  switch (name) {
    case 'stream':
      return [await stream(settings, onTurn)]
    case 'echo':
      return [await echo(settings, onTurn)]
    case 'round-trip':
      return [await roundTrip(settings, onTurn)]
    case 'handshakes':
      return [await handshakes(settings, onTurn)]
    case 'memory':
      return await memory(settings, onTurn)
  }
}

/** A server and its client, each a process. */
interface Pair {
  readonly server: Peer
  readonly client: Peer
  readonly cipher?: string
}

/** What one turn gave. */
interface Turn {
  readonly value: number
  readonly processor?: Readonly<Record<string, number>>
  readonly more?: Readonly<Record<string, number>>
}

type Work = (pair: Pair, milliseconds: number) => Promise<Turn>

function stream(settings: Settings, onTurn: OnTurn): Promise<Figure> {
  const { size } = settings
  const work: Work = async ({ server, client }, milliseconds) => {
    const flooding = client.call('flood', { size, milliseconds })
    // Heard of below, or not at all.
    flooding.catch(() => undefined)
    await sleep(warmUp(milliseconds))
    const before = await usageOf(server, client)
    const { messages, seconds } = await server.call('count', { milliseconds })
    const after = await usageOf(server, client)
    await flooding
    const processor = {
      receiver: (after.server - before.server) / messages,
      sender: (after.client - before.client) / messages,
    }
    return { value: messages / seconds, processor }
  }
  const how = {
    name: 'stream',
    title: `one session, one way, ${sized(size)}, messages received`,
    unit: '/s',
    better: 'higher',
  } as const
  return inTurns(how, settings, false, work, onTurn)
}

function echo(settings: Settings, onTurn: OnTurn): Promise<Figure> {
  const { size } = settings
  const work: Work = async ({ client }, milliseconds) => {
    const { perSecond, lost } = await client.call('echo', { size, milliseconds })
    return { value: perSecond, more: { lost } }
  }
  const how = {
    name: 'echo',
    title: `one session, ${sized(size)} there and back, 64 under way`,
    unit: '/s',
    better: 'higher',
  } as const
  return inTurns(how, settings, true, work, onTurn)
}

function roundTrip(settings: Settings, onTurn: OnTurn): Promise<Figure> {
  const { size } = settings
  const work: Work = async ({ client }, milliseconds) => {
    const { median: value, p99 } = await client.call('roundTrip', { size, milliseconds })
    return { value, more: { p99 } }
  }
  const how = {
    name: 'round-trip',
    title: `${sized(size)} there and back, one at a time, median`,
    unit: 'us',
    better: 'lower',
  } as const
  return inTurns(how, settings, true, work, onTurn)
}

/** node:dgram has none: mcbn alone. */
async function handshakes(settings: Settings, onTurn: OnTurn): Promise<Figure> {
  onTurn('handshakes')
  await using server = new Peer()
  await using client = new Peer()
  const pair = await open('mcbn', settings, false, server, client)
  const atOnce = HANDSHAKES_AT_ONCE
  const before = await usageOf(server, client)
  const milliseconds = settings.seconds * 1_000
  const { perSecond, median, count } = await client.call('handshakes', { atOnce, milliseconds })
  const after = await usageOf(server, client)
  // The warm-up's handshakes cost as much; they are in the time, so they are in the count.
  const all = count * (1 + warmUp(milliseconds) / milliseconds)
  return {
    name: 'handshakes',
    title: `full handshakes (cookie, PSK), ${atOnce} at a time`,
    unit: '/s',
    better: 'higher',
    mcbn: perSecond,
    processor: {
      server: (after.server - before.server) / all,
      client: (after.client - before.client) / all,
    },
    more: { median },
    ...cipherOf(pair),
  }
}

async function memory(settings: Settings, onTurn: OnTurn): Promise<readonly Figure[]> {
  const { sessions } = settings
  const count = sessions.toLocaleString('en')
  onTurn(`memory of ${count} sessions`)
  await using server = new Peer()
  await using client = new Peer()
  const pair = await open('mcbn', settings, false, server, client)
  const settled = async (more: number) => {
    await client.call('hold', { sessions: more })
    await sleep(SETTLE_MS)
    const [there, here] = await Promise.all([
      server.call('usage', { collect: true }),
      client.call('usage', { collect: true }),
    ])
    return { server: there.residentBytes, client: here.residentBytes }
  }
  const before = await settled(FIRST_SESSIONS)
  const after = await settled(sessions)
  const figure = (side: 'server' | 'client', what: string): Figure => ({
    name: `memory-${side}`,
    title: `resident memory of an idle session, ${what}, ${count} of them`,
    unit: 'KB',
    better: 'lower',
    mcbn: (after[side] - before[side]) / sessions / 1_024,
    ...cipherOf(pair),
  })
  return [figure('server', 'server'), figure('client', 'client with a socket each')]
}

/** Both carriers in turns, first one before the other and then the other way round. */
async function inTurns(
  how: Pick<Figure, 'name' | 'title' | 'unit' | 'better'>,
  settings: Settings,
  echoing: boolean,
  work: Work,
  onTurn: OnTurn,
): Promise<Figure> {
  onTurn(how.name)
  await using mcbnServer = new Peer()
  await using mcbnClient = new Peer()
  await using dgramServer = new Peer()
  await using dgramClient = new Peer()
  const pairs = {
    mcbn: await open('mcbn', settings, echoing, mcbnServer, mcbnClient),
    dgram: await open('dgram', settings, echoing, dgramServer, dgramClient),
  }
  const turns: Record<Carrier, Turn[]> = { mcbn: [], dgram: [] }
  for (let turn = 0; turn < TURNS; turn += 1) {
    const order: readonly Carrier[] = turn % 2 === 0 ? ['mcbn', 'dgram'] : ['dgram', 'mcbn']
    for (const carrier of order) {
      const shown = carrier === 'dgram' ? 'node:dgram' : carrier
      onTurn(`${how.name}, turn ${turn + 1} of ${TURNS}: ${shown}`)
      turns[carrier].push(await work(pairs[carrier], (settings.seconds * 1_000) / TURNS))
    }
  }
  const ratios = turns.mcbn.map(
    ({ value }, turn) => value / (turns.dgram[turn]?.value ?? Number.NaN),
  )
  return {
    ...how,
    mcbn: median(turns.mcbn.map(({ value }) => value)),
    dgram: median(turns.dgram.map(({ value }) => value)),
    ratio: median(ratios),
    ...medians('processor', turns.mcbn),
    ...medians('more', turns.mcbn),
    ...cipherOf(pairs.mcbn),
  }
}

async function open(
  carrier: Carrier,
  { ciphers }: Settings,
  echoing: boolean,
  server: Peer,
  client: Peer,
): Promise<Pair> {
  const common = {
    carrier,
    key: randomBytes(32).toString('hex'),
    ...(ciphers !== undefined && { ciphers }),
  }
  const { port } = await server.call('serve', { ...common, echo: echoing })
  const { cipher } = await client.call('dial', { ...common, port })
  return { server, client, ...(cipher !== undefined && { cipher }) }
}

async function usageOf(server: Peer, client: Peer): Promise<{ server: number; client: number }> {
  const [there, here] = await Promise.all([
    server.call('usage', { collect: false }),
    client.call('usage', { collect: false }),
  ])
  return { server: there.processorMicroseconds, client: here.processorMicroseconds }
}

function cipherOf({ cipher }: Pair): { readonly cipher?: string } {
  return cipher === undefined ? {} : { cipher }
}

/** The median of each entry that the turns have under that name. */
function medians(
  under: 'processor' | 'more',
  turns: readonly Turn[],
): { readonly [Name in typeof under]?: Readonly<Record<string, number>> } {
  const names = Object.keys(turns[0]?.[under] ?? {})
  if (names.length === 0) return {}
  const entries = names.map((name) => {
    return [name, median(turns.map((turn) => turn[under]?.[name] ?? Number.NaN))] as const
  })
  return { [under]: Object.fromEntries(entries) }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[sorted.length >> 1] ?? Number.NaN
}

export function sized(bytes: number): string {
  return `${bytes.toLocaleString('en')} B`
}
