// The typed mirror of native/binding/. What is written here is what the addon does; nothing else in
// src/ may guess. The addon refuses objects with a field too few or too many (native/binding/fields.h). Methods never call back into JavaScript: results are taken.

import type { McbnErrorCode } from '../errors.js'
import type { PskHash, PskProtocol } from '../psk/types.js'

/** Why a session ended, or a context was refused. Becomes an McbnError in failure.ts. */
export interface NativeFailure {
  readonly code: McbnErrorCode
  readonly message: string
  /** OpenSSL's own words; empty when it had none. */
  readonly reason: string
  /** The alert sent or received, by name; empty when there was none. */
  readonly alert: string
}

/** What a held handshake waits for. A server has `identity`, a client may have `hint`. */
export interface NativeQuestion {
  /** Give it back with the answer; an answer to an older question is ignored. */
  readonly number: number
  readonly protocol: PskProtocol
  readonly identity?: Buffer
  readonly hint?: string
  /** Empty when the client sent none. */
  readonly servername: string
}

/** Becomes a client's; bytes are copied in. */
export interface NativeCredential {
  readonly identity: Uint8Array
  readonly key: Uint8Array
  readonly hash: PskHash
  /** By RFC 9258: DTLS 1.3 only. */
  readonly imported?: boolean
}

/** What a lookup came to. A failed one is an unknown identity to the peer. */
export type NativeAnswer =
  | {
      readonly key: Uint8Array
      readonly hash: PskHash
      readonly imported?: boolean
      /** Clients: the identity to use. */
      readonly identity?: Uint8Array
    }
  | { readonly key: Uint8Array; readonly hash: PskHash; readonly unknown: true }
  | 'failed'

export interface NativeOpened {
  readonly protocol: PskProtocol
  /** OpenSSL's name, for example `PSK-AES128-CCM8`. */
  readonly cipher: string
  /** The RFC's name, for example `TLS_PSK_WITH_AES_128_CCM_8`. */
  readonly standardCipher: string
  /** Empty when none was agreed. */
  readonly alpn: string
  readonly servername: string
  readonly identity: Buffer
  /** TLS 1.3, or RFC 7627 was agreed: exporters may be trusted. */
  readonly extendedMasterSecret: boolean
}

/** identity -> key inside the addon: a hit never runs JavaScript. Bytes are copied in. */
export interface NativeKeyTable {
  /** Also lifts a revocation. */
  set(identity: Uint8Array, key: Uint8Array, hash: PskHash, imported: boolean): void
  delete(identity: Uint8Array): boolean
  /** Refuses the identity, also when a lookup knows it, until it is set again. */
  revoke(identity: Uint8Array): void
  readonly size: number
}

/** How DTLS 1.3 exchanges keys. */
export interface NativeDtls13Options {
  readonly pskDheKe: boolean
  readonly pskKe: boolean
  /** In order of preference, by the IANA's names; empty: the defaults of native/dtls13/settings.h. */
  readonly groups: readonly string[]
  /** Milliseconds; 0: never. */
  readonly keyUpdateInterval: number
}

export interface NativeContextOptions {
  readonly server: boolean
  readonly datagram: boolean
  /** Nothing older than TLS 1.3, or DTLS 1.3. */
  readonly min13: boolean
  readonly max12: boolean
  /** Empty: the defaults of native/session/context.cc. */
  readonly ciphers: string
  /** Empty: none. */
  readonly identityHint: string
  readonly alpn: readonly string[]
  /** DTLS 1.3 is spoken, beside DTLS 1.2 unless `min13`. */
  readonly dtls13?: NativeDtls13Options
  /** Servers: where hits are answered. */
  readonly keys?: NativeKeyTable
  /** A miss becomes a question; without it a miss is an unknown identity. */
  readonly ask: boolean
  /** Unknown identities look like wrong keys; otherwise they get unknown_psk_identity. */
  readonly conceal: boolean
}

export interface NativeContext {
  readonly failure: NativeFailure | undefined
}

/**
 * What native/binding/contract.cc exports. TypeScript has the same as constants, since it needs some of them
 * for every message; test/native/contract.test.ts compares.
 */
export interface NativeContract {
  readonly events: Readonly<Record<string, number>>
  readonly eventRowLength: number
  readonly noDetail: number
  readonly ready: Readonly<Record<string, number>>
  readonly readyRange: number
  readonly frame: Readonly<Record<string, number>>
  readonly defaults: Readonly<Record<string, number>>
  readonly bounds: Readonly<Record<string, { readonly min: number; readonly max: number }>>
  readonly figures: Readonly<Record<'endpoint' | 'session' | 'udp', object>>
}

/** Bits of the number that the methods of NativeTlsSession return: what can be taken now. */
export const READY = {
  ciphertext: 1,
  plaintext: 2,
  opened: 4,
  question: 8,
  closed: 16,
  failed: 32,
  keylog: 64,
  /** Plaintext is left that the lent buffer had no room for: receive() again. */
  more: 128,
} as const
