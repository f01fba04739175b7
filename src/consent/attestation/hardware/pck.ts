// What Intel certifies about a processor: the SGX extension of its PCK certificate (Intel SGX PCK certificate
// and CRL profile specification, section 1.3.5).

import { refused } from '../refuse.js'
import { elementsOf } from './der.js'

export const SGX_EXTENSION = '1.2.840.113741.1.13.1'

export interface PckFacts {
  readonly ppid: Buffer
  /** 16 components. */
  readonly tcb: readonly number[]
  readonly pceSvn: number
  readonly pceId: Buffer
  readonly fmspc: Buffer
}

/** The last numbers of the object identifiers under the extension's own. */
const FIELD = { ppid: 1, tcb: 2, pceId: 3, fmspc: 4 } as const
const COMPONENTS = 16
const PCE_SVN = 17
const PREFIX = Buffer.from('2a864886f84d010d01', 'hex')

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function pckFactsOf(extension: Buffer | undefined): PckFacts {
  if (extension === undefined) throw refused('PCK certificate', "expected Intel's SGX extension")
  const fields = fieldsOf(only(extension, 0x30), 1)
  const tcb = fieldsOf(part(fields, FIELD.tcb, 0x30), 2)
  return {
    ppid: part(fields, FIELD.ppid, 0x04, 16),
    tcb: Array.from({ length: COMPONENTS }, (_, at) => numberOf(tcb, at + 1, 0xff)),
    pceSvn: numberOf(tcb, PCE_SVN, 0xffff),
    pceId: part(fields, FIELD.pceId, 0x04, 2),
    fmspc: part(fields, FIELD.fmspc, 0x04, 6),
  }
}

type Fields = ReadonlyMap<number, { readonly tag: number; readonly content: Buffer }>

function only(der: Buffer, tag: number): Buffer {
  const [first, ...more] = elementsOf(der)
  if (first?.tag === tag && more.length === 0) return first.content
  throw refused('PCK certificate', 'expected one sequence in the SGX extension')
}

/** Pairs of object identifier and value, by the identifier's last number. */
function fieldsOf(content: Buffer, depth: number): Fields {
  const found = new Map<number, { readonly tag: number; readonly content: Buffer }>()
  for (const { tag, content: pair } of elementsOf(content)) {
    const [oid, value] = elementsOf(pair)
    if (tag !== 0x30 || oid?.tag !== 0x06 || value === undefined) {
      throw refused('PCK certificate', 'expected pairs in the SGX extension')
    }
    const isOurs =
      oid.content.length === PREFIX.length + depth &&
      oid.content.subarray(0, PREFIX.length).equals(PREFIX)
    const last = oid.content.at(-1) ?? 0
    if (!isOurs || found.has(last)) throw refused('PCK certificate', 'expected each field once')
    found.set(last, value)
  }
  return found
}

function part(fields: Fields, name: number, tag: number, length?: number): Buffer {
  const field = fields.get(name)
  if (field?.tag === tag && (length === undefined || field.content.length === length)) {
    return field.content
  }
  throw refused('PCK certificate', `expected field ${name} of the SGX extension`)
}

function numberOf(fields: Fields, name: number, most: number): number {
  const content = part(fields, name, 0x02)
  const value =
    content.length >= 1 && content.length <= 3 ? content.readIntBE(0, content.length) : -1
  if (value >= 0 && value <= most) return value
  throw refused('PCK certificate', `expected a small number in field ${name}`)
}
