// A pretended platform for the test of the seam: a CBOR document (RFC 8949) in a COSE_Sign1 (RFC 9052
// section 4.2) with ES384, really signed. A real one (AWS Nitro) carries its certificate chain in it as well.

import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { type Attester, McbnError, type Verifier } from 'mcbn/consent'

const KIND = 'enclave-cose'
/** { 1: -35 }: ES384 (RFC 9053 section 2.1). */
const PROTECTED = Buffer.from('a1013822', 'hex')

interface Enclave {
  readonly publicKey: KeyObject
  readonly imageDigest: string
  attester(now: number): Attester
}

export function createEnclave(): Enclave {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  // SHA-384 there, where policies name SHA-256: the verifier hashes the register once more.
  const pcr0 = createHash('sha384').update('image').digest()
  return {
    publicKey,
    imageDigest: digestOf(pcr0),
    attester: (now) => ({
      kind: KIND,
      async evidence({ audience, nonce }) {
        const document = cbor(
          new Map<string, CborValue>([
            ['module_id', 'i-0123456789'],
            ['timestamp', Math.floor(now / 1000)],
            ['pcr0', pcr0],
            ['user_data', Buffer.from(audience)],
            ['nonce', Buffer.from(nonce)],
          ]),
        )
        const signature = sign('sha384', toBeSigned(document), {
          key: privateKey,
          dsaEncoding: 'ieee-p1363',
        })
        const message = cbor([PROTECTED, new Map(), document, signature])
        return { kind: KIND, token: message.toString('base64url') }
      },
    }),
  }
}

export function createEnclaveVerifier(publicKey: KeyObject): Verifier {
  return {
    kind: KIND,
    async verify({ token }, { audience, nonce }) {
      const [head, , document, signature] = read(Buffer.from(token, 'base64url')) as Buffer[]
      const key = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const
      if (!document || !signature || !head?.equals(PROTECTED)) throw refused('form')
      if (!verify('sha384', toBeSigned(document), key, signature)) throw refused('signature')
      const facts = read(document) as ReadonlyMap<string, CborValue>
      if (`${facts.get('user_data')}` !== audience) throw refused('user_data')
      if (`${facts.get('nonce')}` !== nonce) throw refused('nonce')
      const attestedAt = 1000 * (facts.get('timestamp') as number)
      return {
        kind: KIND,
        issuer: 'enclave',
        attestedAt,
        expiresAt: attestedAt + 300_000,
        hardware: 'ENCLAVE',
        debug: 'disabled-since-boot',
        imageDigest: digestOf(facts.get('pcr0') as Buffer),
        imageReference: undefined,
        args: [],
        env: new Map(),
        overriddenArgs: [],
        overriddenEnv: new Map(),
        project: undefined,
        zone: undefined,
        instance: facts.get('module_id') as string,
        platform: { name: 'enclave', claims: { measured: ['pcr0'] } },
      }
    },
  }
}

function refused(what: string): McbnError {
  return new McbnError('MCBN_EVIDENCE_REFUSED', `evidence: ${what}`)
}

function digestOf(register: Uint8Array): string {
  return `sha256:${createHash('sha256').update(register).digest('hex')}`
}

/** Sig_structure (RFC 9052 section 4.4). */
function toBeSigned(document: Buffer): Buffer {
  return cbor(['Signature1', PROTECTED, Buffer.alloc(0), document])
}

type CborValue = number | string | Buffer | readonly CborValue[] | ReadonlyMap<string, CborValue>

function cbor(value: CborValue): Buffer {
  if (typeof value === 'number') return head(0, value)
  if (typeof value === 'string')
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)])
  const entries = [...(value as ReadonlyMap<string, CborValue>)]
  return Buffer.concat([head(5, entries.length), ...entries.flat().map((item) => cbor(item))])
}

/** Major type and argument, always in four bytes: shorter code, and what is read is what was written. */
function head(major: number, argument: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes[0] = (major << 5) | 26
  bytes.writeUInt32BE(argument, 1)
  return bytes
}

function read(bytes: Buffer): CborValue {
  let at = 0
  const next = (): CborValue => {
    const major = (bytes[at] ?? 0) >> 5
    const argument = bytes.readUInt32BE(at + 1)
    at += 5
    if (major === 0) return argument
    if (major === 4) return Array.from({ length: argument }, next)
    if (major === 5) {
      return new Map(Array.from({ length: argument }, () => [next() as string, next()] as const))
    }
    at += argument
    const content = bytes.subarray(at - argument, at)
    return major === 3 ? content.toString() : content
  }
  return next()
}
