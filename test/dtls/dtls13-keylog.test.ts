// A reader with nothing but the key log and node:crypto decrypts what went over the wire (RFC 9850). Debian 12's
// tshark knows no DTLS 1.3 (test/interop/tshark13.test.ts has a newer one), so this is written from the RFCs and
// shares no code with the addon.

import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto'
import { expect, it } from 'vitest'
import { LossyProxy } from '../support/lossy-proxy.js'
import { waitFor } from '../support/wait.js'
import { dial, echo, freshKey, identity, roundTrip } from './support.js'

type Direction = 'to client' | 'to server'

const NEWER = { minVersion: 'DTLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' } as const
const KEY_UPDATE = 24
const TAG = 16
const TYPES = { handshake: 22, applicationData: 23, ack: 26 } as const

/** HKDF-Expand-Label (RFC 8446 section 7.1) of up to 32 bytes, with DTLS's prefix (RFC 9147 section 5.9). */
function expand(secret: Buffer, label: string, length: number): Buffer {
  const name = Buffer.from(`dtls13${label}`)
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])])
  return createHmac('sha256', secret).update(info).digest().subarray(0, length)
}

/** One epoch in one direction. */
class Epoch {
  readonly secret: Buffer
  #next = 0

  constructor(secret: Buffer) {
    this.secret = secret
  }

  updated(): Epoch {
    return new Epoch(expand(this.secret, 'traffic upd', 32))
  }

  /** A record without a connection ID, with a number of two bytes (RFC 9147 section 4). */
  open(record: Buffer, header: number): Buffer {
    const sample = record.subarray(header, header + 16)
    const ecb = createCipheriv('aes-128-ecb', expand(this.secret, 'sn', 16), null)
    const mask = ecb.update(sample)
    const aad = Buffer.from(record.subarray(0, header))
    for (const at of [0, 1]) aad[1 + at] = (aad[1 + at] as number) ^ (mask[at] as number)
    const number = aad.readUInt16BE(1)
    expect(number).toBeGreaterThanOrEqual(this.#next)
    this.#next = number + 1
    const nonce = expand(this.secret, 'iv', 12)
    nonce.writeUInt16BE(nonce.readUInt16BE(10) ^ number, 10)
    const gcm = createDecipheriv('aes-128-gcm', expand(this.secret, 'key', 16), nonce)
    gcm.setAAD(aad)
    gcm.setAuthTag(record.subarray(-TAG))
    return Buffer.concat([gcm.update(record.subarray(header, -TAG)), gcm.final()])
  }
}

/** All that one side sent under encryption, as content with its type behind it. */
class Reader {
  readonly contents: Buffer[] = []
  readonly #epochs = new Map<number, Epoch>()
  #newest = 3

  constructor(log: ReadonlyMap<string, Buffer>, side: 'CLIENT' | 'SERVER') {
    this.#epochs.set(2, new Epoch(log.get(`${side}_HANDSHAKE_TRAFFIC_SECRET`) as Buffer))
    this.#epochs.set(3, new Epoch(log.get(`${side}_TRAFFIC_SECRET_0`) as Buffer))
  }

  read(datagram: Buffer): void {
    for (let rest = datagram; rest.length > 0; ) {
      const first = rest[0] as number
      if (first >> 5 !== 1) {
        rest = rest.subarray(13 + rest.readUInt16BE(11))
        continue
      }
      const header = first & 4 ? 5 : 3
      const end = first & 4 ? header + rest.readUInt16BE(3) : rest.length
      this.#take(rest.subarray(0, end), header, first & 3)
      rest = rest.subarray(end)
    }
  }

  #take(record: Buffer, header: number, bits: number): void {
    const epoch = [this.#newest, this.#newest - 1].find((number) => number % 4 === bits) ?? bits
    const content = (this.#epochs.get(epoch) as Epoch).open(record, header)
    this.contents.push(content)
    if (content.at(-1) !== TYPES.handshake || content[0] !== KEY_UPDATE) return
    this.#epochs.set(epoch + 1, (this.#epochs.get(epoch) as Epoch).updated())
    this.#newest = epoch + 1
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
