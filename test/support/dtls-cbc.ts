// Records of TLS_PSK_WITH_AES_128_CBC_SHA on DTLS 1.2 by hand, as one side makes and reads them: the MAC first, then the
// encryption (RFC 5246 section 6.2.3.2).

import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { prf } from './dtls-gcm.js'
import { DTLS12, record, u16, type WireRecord } from './dtls-wire.js'

export const CBC_SUITE = 0x008c
const MAC = 20
const KEY = 16
const BLOCK = 16

export class CbcRecords {
  readonly #block: Buffer
  readonly #server: number

  constructor(master: Buffer, client: Uint8Array, server: Uint8Array, isServer: boolean) {
    // RFC 5246 section 6.3: client MAC key, server MAC key, client key, server key.
    const seed = Buffer.concat([server, client])
    this.#block = prf(master, 'key expansion', seed, 2 * (MAC + KEY))
    this.#server = isServer ? 1 : 0
  }

  seal(type: number, plaintext: Uint8Array, sequence: number): Buffer {
    const { mac, key } = this.#keys(this.#server)
    const header = record(type, 1, sequence, Buffer.alloc(0))
    const signed = Buffer.concat([plaintext, macOf(mac, header, type, plaintext)])
    const padding = BLOCK - (signed.length % BLOCK)
    const iv = randomBytes(BLOCK)
    const cipher = createCipheriv('aes-128-cbc', key, iv).setAutoPadding(false)
    const padded = Buffer.concat([signed, Buffer.alloc(padding, padding - 1)])
    return record(type, 1, sequence, Buffer.concat([iv, cipher.update(padded)]))
  }

  /** undefined: not authentic. */
  open({ type, fragment, whole }: WireRecord): Buffer | undefined {
    if (fragment.length < 2 * BLOCK || fragment.length % BLOCK !== 0) return undefined
    const { mac, key } = this.#keys(1 - this.#server)
    const iv = fragment.subarray(0, BLOCK)
    const decipher = createDecipheriv('aes-128-cbc', key, iv).setAutoPadding(false)
    const padded = decipher.update(fragment.subarray(BLOCK))
    const end = padded.length - 1 - (padded.at(-1) as number)
    if (end < MAC) return undefined
    const plaintext = padded.subarray(0, end - MAC)
    const right = macOf(mac, whole, type, plaintext)
    return right.equals(padded.subarray(end - MAC, end)) ? plaintext : undefined
  }

  #keys(side: number): { mac: Buffer; key: Buffer } {
    const keys = this.#block.subarray(2 * MAC)
    return {
      mac: this.#block.subarray(side * MAC, (side + 1) * MAC),
      key: keys.subarray(side * KEY, (side + 1) * KEY),
    }
  }
}

/** Of epoch and number as they stand in the header, type, version, length and content (RFC 6347 section 4.1.2.1). */
function macOf(key: Uint8Array, header: Buffer, type: number, content: Uint8Array): Buffer {
  const head = Buffer.concat([Buffer.of(type), u16(DTLS12), u16(content.length)])
  return createHmac('sha1', key)
    .update(Buffer.concat([header.subarray(3, 11), head, content]))
    .digest()
}
