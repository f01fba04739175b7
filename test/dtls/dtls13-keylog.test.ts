// A reader with nothing but the key log and node:crypto decrypts what went over the wire (RFC 9850). Debian 12's
// tshark knows no DTLS 1.3 (test/interop/tshark13.test.ts has a newer one), so this is written from the RFCs and
// shares no code with the addon.

import { expect, it } from 'vitest'
import { Epoch13, type Frame13, framesOf } from '../support/dtls13-records.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { waitFor } from '../support/wait.js'
import { dial, echo, freshKey, identity, roundTrip } from './support.js'

type Direction = 'to client' | 'to server'

const NEWER = { minVersion: 'DTLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' } as const
const KEY_UPDATE = 24
const TYPES = { handshake: 22, applicationData: 23, ack: 26 } as const

/** All that one side sent under encryption, as content with its type behind it. */
class Reader {
  readonly contents: Buffer[] = []
  /** The newest first. */
  readonly #epochs: Epoch13[]
  readonly #next = new Map<number, number>()

  constructor(log: ReadonlyMap<string, Buffer>, side: 'CLIENT' | 'SERVER') {
    this.#epochs = [
      new Epoch13(3, log.get(`${side}_TRAFFIC_SECRET_0`) as Buffer),
      new Epoch13(2, log.get(`${side}_HANDSHAKE_TRAFFIC_SECRET`) as Buffer),
    ]
  }

  read(datagram: Buffer): void {
    for (const frame of framesOf(datagram)) if (frame.encrypted) this.#take(frame)
  }

  #take(frame: Frame13): void {
    const opened = this.#epochs.map((epoch) => epoch.open(frame)).find((each) => each)
    if (!opened) throw new Error('a record that no key of the log opens')
    const { type, content, number } = opened
    expect(number.sequence).toBeGreaterThanOrEqual(this.#next.get(number.epoch) ?? 0)
    this.#next.set(number.epoch, number.sequence + 1)
    this.contents.push(Buffer.concat([content, Buffer.of(type)]))
    if (type !== TYPES.handshake || content[0] !== KEY_UPDATE) return
    const [newest] = this.#epochs
    if (newest?.epoch === number.epoch) this.#epochs.unshift(newest.next())
  }

  texts(): string[] {
    return this.contents
      .filter((content) => content.at(-1) === TYPES.applicationData)
      .map((content) => content.subarray(0, -1).toString())
  }
}

it('dtls13/key log: opens every record of handshake, messages and key updates', async () => {
  const key = freshKey()
  const { port } = await echo({ ...NEWER, psk: { [identity]: key } })
  const sent: Record<Direction, Buffer[]> = { 'to client': [], 'to server': [] }
  const proxy = await LossyProxy.start(port, {
    pass: (datagram, direction) => {
      sent[direction].push(Buffer.from(datagram))
      return true
    },
  })
  const log = new Map<string, Buffer>()
  const client = dial({ ...NEWER, port: proxy.port, psk: { identity, key } })
  client.on('keylog', (line) => {
    const [name = '', , secret = ''] = line.toString().trim().split(' ')
    log.set(name, Buffer.from(secret, 'hex'))
  })
  await client.opened
  const said = ['with the first keys', 'with the second', 'with the third']
  for (const [index, text] of said.entries()) {
    if (index > 0) client.updateKeys()
    await waitFor('new keys', () => {
      const { keyUpdatesSent, keyUpdatesReceived } = client.stats
      return keyUpdatesSent === index && keyUpdatesReceived === index
    })
    await roundTrip(client, text)
  }
  for (const [direction, side] of [
    ['to server', 'CLIENT'],
    ['to client', 'SERVER'],
  ] as const) {
    const reader = new Reader(log, side)
    for (const datagram of sent[direction]) reader.read(datagram)
    expect(reader.texts()).toEqual(said)
    const types = new Set(reader.contents.map((content) => content.at(-1)))
    expect([...types].sort()).toEqual(Object.values(TYPES))
    expect(Buffer.concat(sent[direction]).includes('with the')).toBe(false)
  }
})
