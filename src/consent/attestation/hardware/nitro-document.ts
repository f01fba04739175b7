// What AWS's Nitro hypervisor signs: the attestation document of an enclave (Nitro Security Module) or of an
// EC2 instance (NitroTPM). Both are one format and one root; the name of the field with the registers tells
// which it is (AWS: "Verifying the root of trust", nitro_enclaves.cddl; "NitroTPM attestation document").

import { X509Certificate } from 'node:crypto'
import { refused } from '../refuse.js'
import { type CborMap, cborMap } from './cose.js'

/** SHA-384. */
export const REGISTER_BYTES = 48
const MOST_REGISTERS = 32
/** AWS's have a root and three below it. */
const CHAIN = { min: 2, max: 8 } as const
const MOST_CERTIFICATE_BYTES = 4096

export type NitroSource = 'enclave' | 'tpm'

export interface NitroDocument {
  readonly source: NitroSource
  /** `i-…-enc…` or `i-…-tpm…`. */
  readonly moduleId: string
  /** Milliseconds since 1970. */
  readonly timestamp: number
  readonly registers: ReadonlyMap<number, Buffer>
  readonly certificate: X509Certificate
  /** The root first, in DER; see {@link chainOf}. */
  readonly cabundle: readonly Buffer[]
  /** What the program that asked for it put in; empty where that was nothing. */
  readonly userData: Buffer
}

const REGISTERS = { enclave: 'pcrs', tpm: 'nitrotpm_pcrs' } as const

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, naming the field. */
export function parseNitroDocument(payload: Uint8Array, source: NitroSource): NitroDocument {
  const fields = cborMap(payload, 'document payload')
  const other = source === 'tpm' ? 'enclave' : 'tpm'
  if (fields.has(REGISTERS[other]) || !fields.has(REGISTERS[source])) {
    const names = { enclave: "an enclave's (pcrs)", tpm: "a NitroTPM's (nitrotpm_pcrs)" }
    throw refused('document', `expected ${names[source]}`)
  }
  if (fields.get('digest') !== 'SHA384') throw refused('digest', 'expected SHA384')
  return {
    source,
    moduleId: moduleIdOf(fields),
    timestamp: timestampOf(fields),
    registers: registersOf(fields.get(REGISTERS[source])),
    certificate: certificateOf(fields.get('certificate'), 'certificate'),
    cabundle: cabundleOf(fields.get('cabundle')),
    userData: userDataOf(fields),
  }
}

function moduleIdOf(fields: CborMap): string {
  const value = fields.get('module_id')
  if (typeof value === 'string' && /^[!-~]{1,128}$/.test(value)) return value
  throw refused('module_id', 'expected 1 to 128 printable characters')
}

function timestampOf(fields: CborMap): number {
  const value = fields.get('timestamp')
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value
  throw refused('timestamp', 'expected milliseconds since 1970')
}

function registersOf(value: unknown): ReadonlyMap<number, Buffer> {
  if (!(value instanceof Map) || value.size < 1 || value.size > MOST_REGISTERS) {
    throw refused('pcrs', `expected a map of 1 to ${MOST_REGISTERS} registers`)
  }
  const found = new Map<number, Buffer>()
  for (const [at, register] of value as CborMap) {
    const isIndex = typeof at === 'number' && Number.isInteger(at) && at >= 0 && at < MOST_REGISTERS
    if (!isIndex || !(register instanceof Uint8Array) || register.length !== REGISTER_BYTES) {
      throw refused('pcrs', `expected each with a number, and ${REGISTER_BYTES} bytes`)
    }
    found.set(at, Buffer.from(register))
  }
  return found
}

/** Read after the signature: nobody makes a participant look at eight certificates for nothing. */
export function chainOf({ cabundle }: NitroDocument): {
  readonly root: X509Certificate
  /** From the leaf's issuer up. */
  readonly intermediates: readonly X509Certificate[]
} {
  const [root, ...below] = cabundle.map((der, at) => certificateOf(der, `cabundle[${at}]`))
  return { root: root as X509Certificate, intermediates: below.reverse() }
}

function cabundleOf(value: unknown): readonly Buffer[] {
  if (!Array.isArray(value) || value.length < CHAIN.min || value.length > CHAIN.max) {
    throw refused('cabundle', `expected ${CHAIN.min} to ${CHAIN.max} certificates, the root first`)
  }
  return value.map((der: unknown, at) => {
    if (der instanceof Uint8Array) return Buffer.from(der)
    throw refused(`cabundle[${at}]`, 'expected a certificate in DER')
  })
}

function certificateOf(der: unknown, name: string): X509Certificate {
  if (der instanceof Uint8Array && der.length <= MOST_CERTIFICATE_BYTES) {
    try {
      const certificate = new X509Certificate(der)
      // DER only, nothing behind it: the constructor would take PEM and more.
      if (certificate.raw.equals(der)) return certificate
    } catch {
      // Said below, without OpenSSL's words for it.
    }
  }
  throw refused(name, 'expected a certificate in DER')
}

function userDataOf(fields: CborMap): Buffer {
  const value = fields.get('user_data')
  if (value === undefined || value === null) return Buffer.alloc(0)
  if (value instanceof Uint8Array) return Buffer.from(value)
  throw refused('user_data', 'expected bytes')
}
