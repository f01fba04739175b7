// mcbn/1 once more, by node:crypto alone and straight from its written form: what the library computes has
// to equal this, and both have to equal vectors.json. Imports nothing of the library on purpose.

import { createHash, createHmac, createPrivateKey, createPublicKey, sign } from 'node:crypto'

export const sha256 = (...parts: readonly Uint8Array[]) =>
  createHash('sha256').update(Buffer.concat(parts)).digest()

export const utf8 = (text: string) => Buffer.from(text, 'utf8')

export function lp(field: string | Uint8Array): Buffer {
  const bytes = typeof field === 'string' ? utf8(field) : field
  return Buffer.concat([Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes])
}

export const u32 = (value: number) =>
  Buffer.from([24, 16, 8, 0].map((shift) => (value >>> shift) & 255))

/** RFC 8785 for documents of text, integers, lists and objects: sorted keys, no spaces. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`
}

export const descriptorHash = (descriptor: object) =>
  sha256(lp('mcbn/1 descriptor'), utf8(canonical(descriptor)))

export const commitment = (network: string, epoch: number, label: string, share: Uint8Array) =>
  sha256(lp('mcbn/1 commit'), lp(network), u32(epoch), lp(label), lp(share))

/** n-of-n. */
export function ikmOfAll(shares: readonly (readonly [string, Uint8Array])[]): Buffer {
  const sorted = [...shares].sort(([a], [b]) => (a < b ? -1 : 1))
  return Buffer.concat([
    lp('mcbn/1 n-of-n'),
    Uint8Array.of(0, sorted.length),
    ...sorted.flatMap(([label, share]) => [lp(label), lp(share)]),
  ])
}

/** t-of-n. */
export const ikmOfThreshold = (secret: Uint8Array) =>
  Buffer.concat([lp('mcbn/1 t-of-n'), lp(secret)])

export const extract = (salt: Uint8Array, ikm: Uint8Array) =>
  createHmac('sha256', salt).update(ikm).digest()

/** HKDF-Expand for 32 bytes is one block: HMAC(PRK, info || 0x01). */
export const key = (prk: Uint8Array, network: string, epoch: number, protocol: string) =>
  createHmac('sha256', prk)
    .update(
      Buffer.concat([lp('mcbn/1 key'), lp(network), u32(epoch), lp(protocol), Uint8Array.of(1)]),
    )
    .digest()

export const identity = (dh: Uint8Array, clientId: string, serverId: string) =>
  `mcbn1.${sha256(lp('mcbn/1 id'), dh, lp(clientId), lp(serverId)).toString('base64url').slice(0, 22)}`

export interface Round {
  readonly dh: Uint8Array
  readonly role: string
  readonly label: string
  readonly c: Uint8Array
}

export const nonce = (
  { dh, role, label, c }: Round,
  r: Uint8Array,
  suite: string,
  pk: Uint8Array,
) =>
  sha256(lp('mcbn/1 release'), dh, lp(role), lp(label), lp(c), lp(r), lp(suite), lp(pk)).toString(
    'base64url',
  )

export const sealInfo = ({ dh, role, label, c }: Round, token: string) =>
  Buffer.concat([lp('mcbn/1 share'), dh, lp(role), lp(label), lp(c), sha256(utf8(token))])

const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const X25519_PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex')

const privateKey = (prefix: Buffer, seed: Uint8Array) =>
  createPrivateKey({ key: Buffer.concat([prefix, seed]), format: 'der', type: 'pkcs8' })

const rawPublic = (prefix: Buffer, seed: Uint8Array) =>
  createPublicKey(privateKey(prefix, seed)).export({ format: 'der', type: 'spki' }).subarray(-32)

export const ed25519Public = (seed: Uint8Array) => rawPublic(ED25519_PKCS8, seed)
export const x25519Public = (seed: Uint8Array) => rawPublic(X25519_PKCS8, seed)

export const signature = (seed: Uint8Array, purpose: string, ...parts: readonly Uint8Array[]) =>
  sign(null, Buffer.concat([lp(purpose), ...parts]), privateKey(ED25519_PKCS8, seed))

/** The order of ristretto255 (RFC 9496 section 4): 2^252 + 27742317777372353535851937790883648493. */
export const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

export const mod = (value: bigint) => ((value % ORDER) + ORDER) % ORDER

export const scalarBytes = (scalar: bigint) =>
  Buffer.from(mod(scalar).toString(16).padStart(64, '0'), 'hex').reverse()

export const scalarOf = (bytes: Uint8Array) =>
  BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)

/** Lagrange interpolation at zero. */
export function interpolate(points: readonly (readonly [x: bigint, y: bigint])[]): bigint {
  let secret = 0n
  for (const [xi, yi] of points) {
    let basis = 1n
    for (const [xj] of points) if (xj !== xi) basis = mod(basis * xj * inverse(mod(xj - xi)))
    secret = mod(secret + yi * basis)
  }
  return secret
}

/** Fermat: a^(order - 2). */
function inverse(value: bigint): bigint {
  let result = 1n
  let base = value
  for (let exponent = ORDER - 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = mod(result * base)
    base = mod(base * base)
  }
  return result
}
