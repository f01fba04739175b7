// TLS_PSK_WITH_AES_128_GCM_SHA256 on DTLS 1.2 by hand: what hand-made clients and servers need of it.

import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto'
import { DTLS12, RECORD_HEADER, record, u16, type WireRecord } from './dtls-wire.js'

const TAG = 16
const EXPLICIT_NONCE = 8

/** RFC 5246 section 5 */
export function prf(secret: Uint8Array, label: string, seed: Uint8Array, length: number): Buffer {
  const labelled = Buffer.concat([Buffer.from(label), seed])
  const hmac = (data: Uint8Array): Buffer => createHmac('sha256', secret).update(data).digest()
  const parts: Buffer[] = []
  let a = hmac(labelled)
  for (let have = 0; have < length; have += 32) {
    parts.push(hmac(Buffer.concat([a, labelled])))
    a = hmac(a)
  }
  return Buffer.concat(parts).subarray(0, length)
}

/** RFC 4279 section 2: as many zeros as the key has bytes, then the key. */
export function masterSecret(key: Uint8Array, client: Uint8Array, server: Uint8Array): Buffer {
  const premaster = Buffer.concat([u16(key.length), Buffer.alloc(key.length), u16(key.length), key])
  return prf(premaster, 'master secret', Buffer.concat([client, server]), 48)
}

export function explicitNonce(epoch: number, sequence: number): Buffer {
  const nonce = Buffer.alloc(EXPLICIT_NONCE)
  nonce.writeUInt16BE(epoch, 0)
  nonce.writeUIntBE(sequence, 2, 6)
  return nonce
}

/** Records of epoch 1, as one side makes and reads them. */
export class GcmRecords {
  readonly #block: Buffer
  readonly #server: number
  #next = 0

  constructor(master: Buffer, client: Uint8Array, server: Uint8Array, isServer: boolean) {
    // RFC 5246 section 6.3: client key, server key, client IV, server IV.
    this.#block = prf(master, 'key expansion', Buffer.concat([server, client]), 16 * 2 + 4 * 2)
    this.#server = isServer ? 1 : 0
  }

  seal(type: number, plaintext: Uint8Array, epoch = 1): Buffer {
    const explicit = explicitNonce(epoch, this.#next)
    const { key, salt } = this.#keys(this.#server)
    const cipher = createCipheriv('aes-128-gcm', key, Buffer.concat([salt, explicit]))
    cipher.setAAD(Buffer.concat([explicit, Buffer.of(type), u16(DTLS12), u16(plaintext.length)]))
    const sealed = Buffer.concat([cipher.update(plaintext), cipher.final()])
    const fragment = Buffer.concat([explicit, sealed, cipher.getAuthTag()])
    const made = record(type, epoch, this.#next, fragment)
    this.#next += 1
    return made
  }

  /** undefined: not authentic. */
  open({ type, fragment, whole }: WireRecord): Buffer | undefined {
    if (fragment.length < EXPLICIT_NONCE + TAG) return undefined
    const { key, salt } = this.#keys(1 - this.#server)
    const nonce = Buffer.concat([salt, fragment.subarray(0, EXPLICIT_NONCE)])
    const decipher = createDecipheriv('aes-128-gcm', key, nonce)
    const length = fragment.length - EXPLICIT_NONCE - TAG
    const number = whole.subarray(3, RECORD_HEADER - 2)
    decipher.setAAD(Buffer.concat([number, Buffer.of(type), u16(DTLS12), u16(length)]))
    decipher.setAuthTag(fragment.subarray(-TAG))
    try {
      return Buffer.concat([
        decipher.update(fragment.subarray(EXPLICIT_NONCE, -TAG)),
        decipher.final(),
      ])
    } catch {
      return undefined
    }
  }

  #keys(side: number): { key: Buffer; salt: Buffer } {
    const key = this.#block.subarray(side * 16, side * 16 + 16)
    return { key, salt: this.#block.subarray(32 + side * 4, 36 + side * 4) }
  }
}
