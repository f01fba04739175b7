import { createHash } from 'node:crypto'
import { types } from 'node:util'
import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { objectOption } from '../options.js'
import { FIELD_MAX_BYTES, lengthPrefixed, uint16 } from './encoding.js'
import { HASH_BYTES, hkdfExpandLabel, hkdfExtract } from './hkdf.js'
import { identityBytes } from './identity.js'
import { copyPskKey } from './key.js'
import type { PskHash, PskKey } from './types.js'

/** What {@link importPsk} takes, in the terms of RFC 9258. */
export interface ImportPskOptions {
  /** The external PSK (`epsk`): 16 to 512 bytes; borrowed, never modified. */
  readonly key: PskKey
  /** `external_identity`: 1 to 65,535 bytes, a string as UTF-8. */
  readonly identity: string | Uint8Array
  /**
   * The key's origin, and the role of each user, which stops reflection (RFC 9258
   * appendix B): 0 to 65,535 bytes, a string as UTF-8. Both peers must use the same bytes.
   * @defaultValue '' (no context)
   */
  readonly context?: string | Uint8Array
  /** The version the imported key is for. RFC 9258 section 5.1 forbids (D)TLS 1.2 and older. */
  readonly targetProtocol: 'TLSv1.3' | 'DTLSv1.3'
  /** The hash of the cipher suites the imported key is for; sets its length: 32 or 48 bytes. */
  readonly targetKdf: PskHash
  /**
   * The hash that belongs to the external PSK, not to the suites.
   * @defaultValue 'sha256' (RFC 9258 section 5.1)
   */
  readonly hash?: PskHash
}

const IMPORT_PSK_OPTIONS = {
  key: undefined,
  identity: undefined,
  context: '',
  targetProtocol: undefined,
  targetKdf: undefined,
  hash: 'sha256',
} as const satisfies OptionTable<ImportPskOptions>

/** An imported key and the identity to present it under: a client's `psk` option as it is. */
export interface ImportedPsk {
  /** `ipskx`: 32 bytes for SHA-256, 48 for SHA-384; the caller owns and wipes it. */
  readonly key: Buffer
  /** The serialized ImportedIdentity; mcbn's TLS 1.3 takes up to 64,000 bytes of it. */
  readonly identity: Buffer
  /** That of `targetKdf`. */
  readonly hash: PskHash
  /** For DTLS 1.3, whose binders say so (RFC 9258 section 5.2). */
  readonly imported?: true
}

// RFC 9258 section 9 (TLS KDF Identifiers); versions from RFC 8446 section 4.1.2, RFC 9147 section 5.3.
const TARGET_KDF = { sha256: 0x0001, sha384: 0x0002 } as const
const TARGET_PROTOCOL = {
  'TLSv1.3': { version: 0x0304, labelPrefix: 'tls13 ' },
  'DTLSv1.3': { version: 0xfefc, labelPrefix: 'dtls13' },
} as const

/**
 * Makes one external PSK into a key for one protocol version and one hash (RFC 9258 section 5.1),
 * so that the same secret never serves two of them.
 *
 * OpenSSL does not know the "imp binder" label of RFC 9258 section 5.2: used with mcbn/tls the result
 * is an ordinary external PSK. Both ends must be told so; a peer that imports by itself refuses it. With DTLS 1.3
 * it is what the RFC says, and meets peers that import by themselves.
 *
 * @throws {McbnError} `MCBN_KEY_INVALID`, `MCBN_IDENTITY_INVALID`, `MCBN_OPTION_TYPE`;
 * `MCBN_OPTION_RANGE` for an unknown protocol or hash, or an ImportedIdentity above 65,535 bytes.
 */
export function importPsk(options: ImportPskOptions): ImportedPsk {
  objectOption('options', options)
  refuseUnknown('importPsk', options, IMPORT_PSK_OPTIONS)
  const { context = IMPORT_PSK_OPTIONS.context, hash = IMPORT_PSK_OPTIONS.hash } = options
  const target = oneOf('targetProtocol', options.targetProtocol, TARGET_PROTOCOL)
  const targetKdf = oneOf('targetKdf', options.targetKdf, TARGET_KDF)
  oneOf('hash', hash, HASH_BYTES)
  const identity = Buffer.concat([
    lengthPrefixed(identityBytes(options.identity, 'identity', FIELD_MAX_BYTES)),
    lengthPrefixed(contextBytes(context)),
    uint16(target.version),
    uint16(targetKdf),
  ])
  if (identity.length > FIELD_MAX_BYTES) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `identity and context: expected at most ${FIELD_MAX_BYTES - 8} bytes together, got ${identity.length - 8}`,
    )
  }

  const epsk = copyPskKey(options.key)
  const epskx = hkdfExtract(hash, Buffer.alloc(0), epsk)
  epsk.fill(0)
  try {
    const key = hkdfExpandLabel(
      hash,
      epskx,
      target.labelPrefix,
      'derived psk',
      createHash(hash).update(identity).digest(),
      HASH_BYTES[options.targetKdf],
    )
    const imported = options.targetProtocol === 'DTLSv1.3' && ({ imported: true } as const)
    return { key, identity, hash: options.targetKdf, ...imported }
  } finally {
    epskx.fill(0)
  }
}

function contextBytes(context: string | Uint8Array): Uint8Array {
  if (typeof context !== 'string' && !types.isUint8Array(context)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `context: expected a string or Uint8Array, got ${typeof context}`,
    )
  }
  if (typeof context === 'string' && /\p{Surrogate}/u.test(context)) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      'context: expected well-formed Unicode, got a lone surrogate',
    )
  }
  return typeof context === 'string' ? Buffer.from(context, 'utf8') : context
}

function oneOf<Table extends object, Name extends keyof Table>(
  option: string,
  name: Name,
  table: Table,
): Table[Name] {
  if (typeof name === 'string' && Object.hasOwn(table, name)) return table[name]
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `${option}: expected ${Object.keys(table).join(' or ')}, got ${typeof name === 'string' ? name.slice(0, 40) : typeof name}`,
  )
}
