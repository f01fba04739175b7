// What a log answers (RFC 6962 sections 3 and 4), read strictly, its signatures checked.

import { type KeyObject, verify } from 'node:crypto'
import { McbnError } from '../../../errors.js'
import type { UnixMilliseconds } from '../../base/time.js'
import { Untrusted } from '../../base/untrusted.js'
import type { TreeHead } from './merkle.js'

const CODE = 'MCBN_CONNECTION_FAILED'
/** RFC 6962 section 3.2, and the entry type of JSON. */
const VERSION = 0
const CERTIFICATE_TIMESTAMP = 0
const TREE_HASH = 1
const TIMESTAMPED_ENTRY = 0
const JSON_ENTRY = 0x8000
/** RFC 5246 section 7.4.1.4.1. */
const SHA256 = 4
const SIGNATURES: Readonly<Record<string, number>> = { rsa: 1, ec: 3 }
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const MOST_TEXT = 8 * 1024 * 1024

export interface SignedTreeHead extends TreeHead {
  readonly signedAt: UnixMilliseconds
}

export interface LogEntry {
  /** What is hashed. */
  readonly leaf: Buffer
  /** Of an entry that is JSON. */
  readonly data?: Buffer
}

export class LogAnswers {
  readonly #name: string
  readonly #key: KeyObject

  constructor(name: string, key: KeyObject) {
    this.#name = name
    this.#key = key
  }

  /** Section 4.3, signed as section 3.5 says. */
  treeHead(answer: unknown): SignedTreeHead {
    const fields = this.#read(answer, [
      'tree_size',
      'timestamp',
      'sha256_root_hash',
      'tree_head_signature',
    ])
    const size = fields.tree_size.integer(0, Number.MAX_SAFE_INTEGER)
    const timestamp = fields.timestamp.integer(0, Number.MAX_SAFE_INTEGER)
    const root = bytesOf(fields.sha256_root_hash, 32)
    const signed = Buffer.concat([u8(VERSION), u8(TREE_HASH), u64(timestamp), u64(size), root])
    this.#demandSigned(signed, bytesOf(fields.tree_head_signature))
    return { size, signedAt: timestamp, root }
  }

  /** A promise that an entry will be in the tree (section 3.2). @returns the leaf (section 3.4). */
  promised(answer: unknown, data: Buffer): Buffer {
    const fields = this.#read(answer, ['sct_version', 'id', 'timestamp', 'extensions', 'signature'])
    fields.sct_version.integer(VERSION, VERSION)
    const timestamp = fields.timestamp.integer(0, Number.MAX_SAFE_INTEGER)
    const extensions = bytesOf(fields.extensions)
    const entry = Buffer.concat([
      ...[u64(timestamp), u16(JSON_ENTRY), u24(data.length), data],
      ...[u16(extensions.length), extensions],
    ])
    const signed = Buffer.concat([u8(VERSION), u8(CERTIFICATE_TIMESTAMP), entry])
    this.#demandSigned(signed, bytesOf(fields.signature))
    return Buffer.concat([u8(VERSION), u8(TIMESTAMPED_ENTRY), entry])
  }

  /** Section 4.4. */
  consistency(answer: unknown): readonly Buffer[] {
    return this.#read(answer, ['consistency'])
      .consistency.list(0, 128)
      .map((one) => bytesOf(one, 32))
  }

  /** Section 4.5. */
  inclusion(answer: unknown): { readonly index: number; readonly path: readonly Buffer[] } {
    const { leaf_index, audit_path } = this.#read(answer, ['leaf_index', 'audit_path'])
    return {
      index: leaf_index.integer(0, Number.MAX_SAFE_INTEGER),
      path: audit_path.list(0, 64).map((one) => bytesOf(one, 32)),
    }
  }

  /** Section 4.6. */
  entries(answer: unknown, most: number): readonly LogEntry[] {
    return this.#read(answer, ['entries'])
      .entries.list(1, most)
      .map((entry) => {
        const leaf = bytesOf(entry.fields(['leaf_input'], ['extra_data']).leaf_input)
        const isJson =
          leaf.length >= 15 &&
          leaf.readUInt16BE(0) === (VERSION << 8) + TIMESTAMPED_ENTRY &&
          leaf.readUInt16BE(10) === JSON_ENTRY
        return { leaf, ...(isJson && { data: leaf.subarray(15, 15 + leaf.readUIntBE(12, 3)) }) }
      })
  }

  #read<const Name extends string>(answer: unknown, names: readonly Name[]) {
    return new Untrusted(answer, this.#name, CODE).fields(names)
  }

  /** RFC 5246 section 4.7: algorithms, length, signature. */
  #demandSigned(signed: Buffer, struct: Buffer): void {
    const algorithm = SIGNATURES[this.#key.asymmetricKeyType ?? '']
    const whole = struct.length >= 4 && struct.readUInt16BE(2) === struct.length - 4
    if (whole && struct[0] === SHA256 && struct[1] === algorithm) {
      if (verify('sha256', signed, this.#key, struct.subarray(4))) return
    }
    throw new McbnError(CODE, `${this.#name}: expected a signature of the log, got another one`)
  }
}

function bytesOf(field: Untrusted, length?: number): Buffer {
  const text = field.text(BASE64, 'base64', MOST_TEXT)
  const bytes = Buffer.from(text, 'base64')
  const right = bytes.toString('base64') === text && (length ?? bytes.length) === bytes.length
  if (!right) field.refuse(length === undefined ? 'base64' : `base64 of ${length} bytes`)
  return bytes
}

function u8(value: number): Buffer {
  return Buffer.of(value)
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

function u24(value: number): Buffer {
  const bytes = Buffer.alloc(3)
  bytes.writeUIntBE(value, 0, 3)
  return bytes
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
