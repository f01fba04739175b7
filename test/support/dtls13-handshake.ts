// A handshake of DTLS 1.3 with a pre-shared key by hand: messages and secrets, for peers that say what no library
// would. psk_dhe_ke with X25519, TLS_AES_128_GCM_SHA256.

import { createHash, createHmac, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto'
import { hkdfExtract } from '../../src/psk/hkdf.js'
import { DTLS12, u16, u24 } from './dtls-wire.js'
import { expand } from './dtls13-records.js'

export const TYPE13 = { alert: 21, handshake: 22, applicationData: 23, ack: 26 } as const
export const MESSAGE13 = {
  clientHello: 1,
  serverHello: 2,
  newSessionTicket: 4,
  encryptedExtensions: 8,
  requestConnectionId: 9,
  newConnectionId: 10,
  finished: 20,
  keyUpdate: 24,
  messageHash: 254,
} as const
export const X25519 = 0x001d
export const P256 = 0x0017
export const SUITE13 = 0x1301
const DTLS13 = 0xfefc
const EXTENSION = {
  groups: 10,
  psk: 41,
  versions: 43,
  cookie: 44,
  modes: 45,
  keyShare: 51,
} as const
const HASH = 32
/** RFC 8446 section 4.1.3 */
const RETRY_RANDOM = createHash('sha256').update('HelloRetryRequest').digest()
/** What stands before an X25519 key in SubjectPublicKeyInfo (RFC 8410 section 4). */
const X25519_INFO = Buffer.from('302a300506032b656e032100', 'hex')

/** The messages so far, as hashes cover them: with the header of TLS (RFC 9147 section 5.2). */
export class Transcript13 {
  #bytes: Buffer

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.#bytes = bytes
  }

  /** Behind a HelloRetryRequest: of the first hello its hash (RFC 8446 section 4.4.1). */
  static afterRetry(hello: Buffer, retry: Buffer): Transcript13 {
    const first = new Transcript13()
    first.add(MESSAGE13.clientHello, hello)
    const made = new Transcript13()
    made.add(MESSAGE13.messageHash, first.hash())
    made.add(MESSAGE13.serverHello, retry)
    return made
  }

  copy(): Transcript13 {
    return new Transcript13(this.#bytes)
  }

  add(type: number, body: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, Buffer.of(type), u24(body.length), body])
  }

  hash(): Buffer {
    return createHash('sha256').update(this.#bytes).digest()
  }

  /** Up to these bytes of a ClientHello of this length. */
  hashUpTo(beginning: Buffer, length: number): Buffer {
    const header = Buffer.concat([Buffer.of(MESSAGE13.clientHello), u24(length)])
    return createHash('sha256').update(this.#bytes).update(header).update(beginning).digest()
  }
}

export interface Hello13 {
  readonly random: Buffer
  readonly identity: Buffer
  readonly key: Uint8Array
  /** Of X25519; undefined: an empty list of shares. */
  readonly share?: Buffer | undefined
  readonly cookie?: Buffer | undefined
  /** What came before it. */
  readonly transcript?: Transcript13 | undefined
}

/** The body of a ClientHello, which ends with its binder (RFC 8446 section 4.2.11.2). */
export function clientHello13(hello: Hello13): Buffer {
  const { share, cookie, identity } = hello
  const shares = share ? [u16(4 + share.length), u16(X25519), u16(share.length), share] : [u16(0)]
  const binders = 2 + 1 + HASH
  const extensions = Buffer.concat([
    extension(EXTENSION.versions, Buffer.of(2), u16(DTLS13)),
    ...(cookie ? [extension(EXTENSION.cookie, u16(cookie.length), cookie)] : []),
    extension(EXTENSION.groups, u16(2), u16(X25519)),
    extension(EXTENSION.keyShare, ...shares),
    extension(EXTENSION.modes, Buffer.of(1, 1)), // psk_dhe_ke
    u16(EXTENSION.psk),
    u16(2 + 2 + identity.length + 4 + binders),
    u16(2 + identity.length + 4),
    u16(identity.length),
    identity,
    Buffer.alloc(4),
  ])
  const beginning = Buffer.concat([
    u16(DTLS12),
    hello.random,
    Buffer.of(0, 0), // no session ID, no legacy_cookie
    u16(2),
    u16(SUITE13),
    Buffer.of(1, 0),
    u16(extensions.length + binders),
    extensions,
  ])
  const covered = (hello.transcript ?? new Transcript13()).hashUpTo(
    beginning,
    beginning.length + binders,
  )
  const binder = finishedOf(derive(early(hello.key), 'ext binder', emptyHash()), covered)
  return Buffer.concat([beginning, u16(1 + HASH), Buffer.of(HASH), binder])
}

/** The body of a ServerHello, or of a HelloRetryRequest. */
export interface ServerHello13 {
  readonly retry: boolean
  readonly random: Buffer
  readonly share?: Buffer | undefined
  /** In a HelloRetryRequest: asked for. */
  readonly group?: number | undefined
  readonly cookie?: Buffer | undefined
}

export function serverHello13(hello: {
  readonly random: Buffer
  readonly share: Buffer
  readonly group?: number
  readonly suite?: number
}): Buffer {
  const { share } = hello
  return helloOf(hello.random, hello.suite ?? SUITE13, [
    extension(EXTENSION.versions, u16(DTLS13)),
    extension(EXTENSION.keyShare, u16(hello.group ?? X25519), u16(share.length), share),
    extension(EXTENSION.psk, u16(0)),
  ])
}

export function retryRequest13(cookie: Buffer, group?: number): Buffer {
  return helloOf(RETRY_RANDOM, SUITE13, [
    extension(EXTENSION.versions, u16(DTLS13)),
    ...(group === undefined ? [] : [extension(EXTENSION.keyShare, u16(group))]),
    extension(EXTENSION.cookie, u16(cookie.length), cookie),
  ])
}

function helloOf(random: Buffer, suite: number, list: readonly Buffer[]): Buffer {
  const extensions = Buffer.concat(list)
  const head = [u16(DTLS12), random, Buffer.of(0), u16(suite), Buffer.of(0)]
  return Buffer.concat([...head, u16(extensions.length), extensions])
}

export function readServerHello13(body: Buffer): ServerHello13 {
  const random = body.subarray(2, 34)
  const retry = random.equals(RETRY_RANDOM)
  const found = extensionsIn(body, 34 + 1 + body.readUInt8(34) + 3)
  const share = found.get(EXTENSION.keyShare)
  const cookie = found.get(EXTENSION.cookie)
  return {
    retry,
    random,
    share: retry ? undefined : share?.subarray(4),
    group: share?.readUInt16BE(0),
    cookie: cookie?.subarray(2),
  }
}

/** Of a ClientHello: its share for this group, if it has one. */
export function readClientHello13(body: Buffer): {
  readonly random: Buffer
  readonly cookie?: Buffer | undefined
  shareOf(group: number): Buffer | undefined
} {
  let at = 35 + body.readUInt8(34)
  at += 1 + body.readUInt8(at)
  at += 2 + body.readUInt16BE(at)
  at += 1 + body.readUInt8(at)
  const found = extensionsIn(body, at)
  return {
    random: body.subarray(2, 34),
    cookie: found.get(EXTENSION.cookie)?.subarray(2),
    shareOf(group) {
      for (let rest = found.get(EXTENSION.keyShare)?.subarray(2); rest?.length; ) {
        const share = rest.subarray(4, 4 + rest.readUInt16BE(2))
        if (rest.readUInt16BE(0) === group) return share
        rest = rest.subarray(4 + share.length)
      }
      return undefined
    },
  }
}

function extensionsIn(body: Buffer, at: number): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  for (let rest = body.subarray(at + 2); rest.length >= 4; ) {
    const data = rest.subarray(4, 4 + rest.readUInt16BE(2))
    found.set(rest.readUInt16BE(0), data)
    rest = rest.subarray(4 + data.length)
  }
  return found
}

export interface Traffic13 {
  readonly client: Buffer
  readonly server: Buffer
}

/** From a key and what was exchanged to the traffic secrets (RFC 8446 section 7.1). */
export class Secrets13 {
  readonly #handshake: Buffer

  constructor(key: Uint8Array, shared: Buffer) {
    this.#handshake = hkdfExtract('sha256', derive(early(key), 'derived', emptyHash()), shared)
  }

  /** Epoch 2. @param hash - ClientHello to ServerHello. */
  handshake(hash: Buffer): Traffic13 {
    const of = (label: string) => derive(this.#handshake, label, hash)
    return { client: of('c hs traffic'), server: of('s hs traffic') }
  }

  /** Epoch 3. @param hash - ClientHello to the server's Finished. */
  application(hash: Buffer): Traffic13 {
    const salt = derive(this.#handshake, 'derived', emptyHash())
    const master = hkdfExtract('sha256', salt, Buffer.alloc(HASH))
    const of = (label: string) => derive(master, label, hash)
    return { client: of('c ap traffic'), server: of('s ap traffic') }
  }
}

/** verify_data (RFC 8446 section 4.4.4). @param secret - the sender's of epoch 2. */
export function finishedOf(secret: Buffer, hash: Buffer): Buffer {
  return createHmac('sha256', expand(secret, 'finished', HASH))
    .update(hash)
    .digest()
}

export function publicX25519(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
}

export function sharedX25519(privateKey: KeyObject, share: Buffer): Buffer {
  const key = Buffer.concat([X25519_INFO, share])
  const publicKey = createPublicKey({ key, format: 'der', type: 'spki' })
  return diffieHellman({ privateKey, publicKey })
}

function early(key: Uint8Array): Buffer {
  return hkdfExtract('sha256', Buffer.alloc(0), key)
}

function derive(secret: Buffer, label: string, hash: Buffer): Buffer {
  return expand(secret, label, HASH, hash)
}

function emptyHash(): Buffer {
  return createHash('sha256').digest()
}

function extension(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const data = Buffer.concat(parts)
  return Buffer.concat([u16(type), u16(data.length), data])
}
