// AWS's side of Nitro for tests: documents of enclaves and of NitroTPM, really signed, under a root made here.

import { sign } from 'node:crypto'
import { encode } from 'cborg'
import {
  CA_EXTENSIONS,
  certificateChain,
  type MadeCertificate,
} from '../../support/certificate-chain.js'

/** { 1: -35 }: ES384 (RFC 9053 section 2.1). */
const ES384 = Buffer.from('a1013822', 'hex')

export type Fields = Record<string, unknown>

export interface Form {
  readonly head?: Buffer
  readonly unprotected?: ReadonlyMap<number, number>
  /** Whose key signs, see `der`. @defaultValue 2 */
  readonly signer?: number
  readonly payload?: Uint8Array
}

export interface Aws {
  /** Certificates: 0 the root, 1 the region, 2 the machine, 3 a machine whose key is for something else. */
  der(at: number): Buffer
  /** Of an enclave. @param about - its user data. */
  fields(about: Uint8Array, changed?: Fields): Fields
  /** Of a machine with NitroTPM. */
  tpmFields(about: Uint8Array, registers?: ReadonlyMap<number, Buffer>): Fields
  /** Signed, base64url. */
  document(content: Fields, form?: Form): string
}

export function register(byte: number): Buffer {
  return Buffer.alloc(48, byte)
}

/** @param now - milliseconds since 1970: when documents are made. */
export function createAws(now: number): Aws {
  const ca = (subject: string) => ({ subject, extensions: CA_EXTENSIONS })
  const usages = (usage: string) => ['basicConstraints=critical,CA:FALSE', `keyUsage=${usage}`]
  const chain = certificateChain(
    [
      ca('/CN=aws.nitro-enclaves'),
      ca('/CN=region'),
      { subject: '/CN=i-1', extensions: usages('digitalSignature') },
      { subject: '/CN=i-2', extensions: usages('keyAgreement'), issuer: 1 },
    ],
    { curve: 'P-384', digest: 'sha384' },
  )
  const der = (at: number) => chain[at]?.der as Buffer

  function fields(about: Uint8Array, changed: Fields = {}): Fields {
    const pcrs = new Map([0, 1, 2, 3, 4].map((at) => [at, register(at + 1)]))
    return {
      module_id: 'i-1-enc2',
      digest: 'SHA384',
      timestamp: now,
      pcrs,
      certificate: der(2),
      cabundle: [der(0), der(1)],
      public_key: null,
      user_data: about,
      nonce: null,
      ...changed,
    }
  }

  function tpmFields(about: Uint8Array, changed: ReadonlyMap<number, Buffer> = new Map()): Fields {
    const { pcrs: _, ...rest } = fields(about, { module_id: 'i-1-tpm2' })
    const registers = new Map<number, Buffer>([4, 7].map((at) => [at, register(at)]))
    for (const at of [12, 13]) registers.set(at, register(0))
    for (const [at, value] of changed) registers.set(at, value)
    return { ...rest, nitrotpm_pcrs: registers }
  }

  function document(content: Fields, form: Form = {}): string {
    const head = form.head ?? ES384
    const payload = form.payload ?? encode(content)
    const signed = encode(['Signature1', head, new Uint8Array(), payload])
    const { key } = chain[form.signer ?? 2] as MadeCertificate
    const signature = sign('sha384', signed, { key, dsaEncoding: 'ieee-p1363' })
    const message = [head, form.unprotected ?? new Map(), payload, signature]
    return Buffer.from(encode(message)).toString('base64url')
  }

  return { der, fields, tpmFields, document }
}
