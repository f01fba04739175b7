// A UDP relay that damages the records of an open session on their way to one side, and keeps account of it:
// which records can still be delivered, and how many the receiver has to drop, for which reason.
//
// Like a person in the middle who has no key (RFC 6347 section 4.1.2): it repeats, delays, cuts, joins,
// changes and invents. The same seed damages the same records in the same way.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import { alert, DTLS10, RECORD_HEADER, record, recordsOf, TYPE } from './dtls-wire.js'
import type { Direction } from './lossy-proxy.js'
import { seeded, seededBytes } from './random.js'

/** As `stats.dropped` calls them. */
export type Reason = 'malformed' | 'wrongEpoch' | 'wrongVersion' | 'replayed' | 'badMac'

/** What becomes of one record: the datagrams that are sent, and what the receiver drops of them. */
interface Fate {
  readonly datagrams: readonly Buffer[]
  readonly drops?: readonly Reason[]
  /** Nothing of it can be delivered. */
  readonly lost?: true
  /** Sent together with the next record, or after some of the next ones. */
  readonly later?: 'joined' | 'overtaken'
}

const LOOPBACK = '127.0.0.1'
/** A held record is overtaken by so many at most: far less than a replay window (RFC 6347 section 4.1.2.6). */
const MOST_OVERTAKEN = 5
const PATIENCE = 20

export class DamagingProxy {
  readonly #server: number
  readonly #towards: Direction
  readonly #random: () => number
  readonly #front: Socket
  readonly #back: Socket
  #client = 0
  #damaging = false
  #joined: Buffer | undefined
  #overtaken: { datagram: Buffer; after: number }[] = []
  #flusher: NodeJS.Timeout | undefined
  /** Datagrams that were passed on as they came; the receiver has seen their numbers. */
  readonly #history: Buffer[] = []
  /** Application data records that came from the sender since begin(). */
  records = 0
  /** Which of them can not be delivered any more. */
  readonly lost = new Set<number>()
  /** What the receiver has to drop. */
  readonly drops: Record<Reason, number> = {
    malformed: 0,
    wrongEpoch: 0,
    wrongVersion: 0,
    replayed: 0,
    badMac: 0,
  }
  /** How often each kind of damage was done. */
  readonly done: Record<string, number> = {}

  private constructor(server: number, towards: Direction, seed: number) {
    this.#server = server
    this.#towards = towards
    this.#random = seeded(seed)
    this.#front = createSocket({ type: 'udp4', recvBufferSize: 1 << 21 })
    this.#back = createSocket({ type: 'udp4', recvBufferSize: 1 << 21 })
    this.#front.on('message', (datagram, { port }) => {
      this.#client = port
      this.#carry(datagram, 'to server')
    })
    this.#back.on('message', (datagram) => this.#carry(datagram, 'to client'))
    this.#front.on('error', () => {})
    this.#back.on('error', () => {})
  }

  /** In front of a server's port, for one client; closed when the test ends. */
  static async start(server: number, towards: Direction, seed: number): Promise<DamagingProxy> {
    const proxy = new DamagingProxy(server, towards, seed)
    for (const socket of [proxy.#front, proxy.#back]) {
      socket.bind(0, LOOPBACK)
      await once(socket, 'listening')
      onTestFinished(() => void socket.close())
    }
    return proxy
  }

  get port(): number {
    return this.#front.address().port
  }

  /** From now on application data is damaged. */
  begin(): void {
    this.#damaging = true
  }

  /** Sends what is held, and passes everything from now on. */
  calm(): void {
    this.#damaging = false
    this.#flush()
  }

  /** Sends once more everything that the receiver had before. */
  replayAll(): void {
    for (const datagram of this.#history) this.#send(datagram)
    this.drops.replayed += this.#history.length
  }

  get dropped(): number {
    return Object.values(this.drops).reduce((sum, count) => sum + count, 0)
  }

  #carry(datagram: Buffer, direction: Direction): void {
    if (direction !== this.#towards || !this.#damaging) return this.#send(datagram, direction)
    const [only, second] = recordsOf(datagram)
    if (!only || second || only.type !== TYPE.applicationData)
      return this.#send(datagram, direction)
    const number = this.records
    this.records += 1
    const { datagrams, drops = [], lost, later } = this.#fateOf(datagram)
    for (const reason of drops) this.drops[reason] += 1
    if (lost) this.lost.add(number)
    else this.#history.push(datagram)
    if (later === 'overtaken') {
      const after = 1 + Math.floor(this.#random() * MOST_OVERTAKEN)
      this.#overtaken.push(...datagrams.map((held) => ({ datagram: held, after })))
    } else if (later === 'joined') {
      this.#joined = Buffer.concat([this.#joined ?? Buffer.alloc(0), ...datagrams])
    } else {
      this.#release(datagrams)
    }
    clearTimeout(this.#flusher)
    this.#flusher = setTimeout(() => this.#flush(), PATIENCE)
  }

  #release(datagrams: readonly Buffer[]): void {
    const [first = Buffer.alloc(0), ...others] = datagrams
    // In front of the datagram, so that what is behind it cannot hide it.
    this.#send(this.#joined ? Buffer.concat([this.#joined, first]) : first)
    this.#joined = undefined
    for (const datagram of others) this.#send(datagram)
    for (const held of this.#overtaken) held.after -= 1
    for (const { datagram } of this.#overtaken.filter(({ after }) => after <= 0))
      this.#send(datagram)
    this.#overtaken = this.#overtaken.filter(({ after }) => after > 0)
  }

  #flush(): void {
    clearTimeout(this.#flusher)
    if (this.#joined) this.#send(this.#joined)
    this.#joined = undefined
    for (const { datagram } of this.#overtaken) this.#send(datagram)
    this.#overtaken = []
  }

  #send(datagram: Buffer, direction = this.#towards): void {
    if (direction === 'to server') this.#back.send(datagram, this.#server, LOOPBACK)
    else this.#front.send(datagram, this.#client, LOOPBACK)
  }

  #fateOf(datagram: Buffer): Fate {
    const names = Object.keys(FATES)
    // A third goes through, so that there is a session to be damaged.
    const name = this.#random() < 1 / 3 ? 'passed' : (names[this.#below(names.length)] as string)
    this.done[name] = (this.done[name] ?? 0) + 1
    const make = FATES[name] as Damage
    return make(datagram, this.#random, this.#history)
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
}

type Damage = (datagram: Buffer, random: () => number, history: readonly Buffer[]) => Fate

const below = (random: () => number, limit: number): number => Math.floor(random() * limit)

/** A copy with some bytes changed. */
function changed(datagram: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(datagram)
  change(copy)
  return copy
}

function flipped(datagram: Buffer, random: () => number): Buffer {
  return changed(datagram, (copy) => {
    const at = RECORD_HEADER + below(random, copy.length - RECORD_HEADER)
    copy[at] = (copy[at] as number) ^ (1 << below(random, 8))
  })
}

/** Bytes that do not begin a record: no major version of DTLS. */
function garbage(random: () => number, length: number): Buffer {
  return changed(seededBytes(random, length), (copy) => {
    if (length > 1) copy[1] = 0x03
  })
}

const bogusSequence = (random: () => number): number => 2 ** 40 + below(random, 2 ** 20)

/** Every way to treat a record. */
const FATES = {
  passed: (datagram) => ({ datagrams: [datagram] }),
  repeated: (datagram) => ({ datagrams: [datagram, datagram], drops: ['replayed'] }),
  // Recent or so old that it has left the window.
  'an old one again': (datagram, random, history) => {
    const old = history[below(random, history.length)]
    return old ? { datagrams: [datagram, old], drops: ['replayed'] } : { datagrams: [datagram] }
  },
  overtaken: (datagram) => ({ datagrams: [datagram], later: 'overtaken' }),
  joined: (datagram) => ({ datagrams: [datagram], later: 'joined' }),
  'joined with a damaged one': (datagram, random) => ({
    datagrams: [Buffer.concat([flipped(datagram, random), datagram])],
    drops: ['badMac'],
  }),
  'joined with a repeated one': (datagram) => ({
    datagrams: [Buffer.concat([datagram, datagram])],
    drops: ['replayed'],
  }),
  'followed by garbage': (datagram, random) => ({
    datagrams: [Buffer.concat([datagram, garbage(random, 1 + below(random, 40))])],
    drops: ['malformed'],
  }),
  truncated: (datagram, random) => ({
    datagrams: [datagram.subarray(0, 1 + below(random, datagram.length - 1))],
    drops: ['malformed'],
    lost: true,
  }),
  // With a length that fits.
  shortened: (datagram) => ({
    datagrams: [
      changed(datagram, (copy) => copy.writeUInt16BE(copy.length - 14, 11)).subarray(0, -1),
    ],
    drops: ['badMac'],
    lost: true,
  }),
  lengthened: (datagram) => ({
    datagrams: [
      Buffer.concat([
        changed(datagram, (copy) => copy.writeUInt16BE(copy.length - 12, 11)),
        Buffer.of(0),
      ]),
    ],
    drops: ['badMac'],
    lost: true,
  }),
  'split over two datagrams': (datagram, random) => {
    let at = 1 + below(random, datagram.length - 1)
    // Not where the rest would look like a record.
    while (datagram[at + 1] === 0xfe) at -= 1
    return {
      datagrams: [datagram.subarray(0, at), datagram.subarray(at)],
      drops: ['malformed', 'malformed'],
      lost: true,
    }
  },
  'one bit flipped': (datagram, random) => ({
    datagrams: [flipped(datagram, random)],
    drops: ['badMac'],
    lost: true,
  }),
  'of another type': (datagram, random) => ({
    datagrams: [changed(datagram, (copy) => copy.writeUInt8(20 + below(random, 3), 0))],
    drops: ['badMac'],
    lost: true,
  }),
  'of another version': (datagram) => ({
    datagrams: [changed(datagram, (copy) => copy.writeUInt16BE(DTLS10, 1))],
    drops: ['wrongVersion'],
    lost: true,
  }),
  'of another epoch': (datagram, random) => ({
    datagrams: [
      changed(datagram, (copy) =>
        copy.writeUInt16BE([0, 2, 3, 65_535][below(random, 4)] as number, 3),
      ),
    ],
    drops: ['wrongEpoch'],
    lost: true,
  }),
  // It must not move the window, or nothing would be delivered any more.
  'with another number': (datagram, random) => ({
    datagrams: [changed(datagram, (copy) => copy.writeUIntBE(bogusSequence(random), 5, 6))],
    drops: ['badMac'],
    lost: true,
  }),
  'beside garbage': (datagram, random) => ({
    datagrams: [garbage(random, 1 + below(random, 100)), datagram],
    drops: ['malformed'],
  }),
  'beside a record of a stranger': (datagram, random) => ({
    datagrams: [
      record(
        TYPE.applicationData,
        1,
        bogusSequence(random),
        seededBytes(random, 24 + below(random, 99)),
      ),
      datagram,
    ],
    drops: ['badMac'],
  }),
  'beside alerts in the clear': (datagram) => ({
    datagrams: [alert(2, 40, 7_000), alert(1, 0, 7_001), datagram],
    drops: ['wrongEpoch', 'wrongEpoch'],
  }),
} satisfies Record<string, Damage> as Record<string, Damage>

/** How many ways there are, going through included. */
export const KINDS_OF_DAMAGE = Object.keys(FATES).length
