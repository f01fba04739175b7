// The types by which callers hand over keys: what a server looks up, what a client presents.
// Types and names only: rules about sizes and content live in key.ts and identity.ts.

import type { OptionTable } from '../option-names.js'

/**
 * A pre-shared key: 16 to 512 bytes, from a uniform random source, one per pair of peers (RFC 9257
 * section 4). Shorter, longer and all-zero keys are refused with `MCBN_KEY_INVALID`.
 * mcbn copies what it keeps; the caller owns and may wipe the array once the call has returned.
 */
export type PskKey = Uint8Array

/** The hash a (D)TLS 1.3 PSK is bound to (RFC 8446 section 4.2.11). (D)TLS 1.2 ignores it. */
export type PskHash = 'sha256' | 'sha384'

/** A protocol version, spelled as node:tls spells it. */
export type PskProtocol = 'TLSv1.3' | 'TLSv1.2' | DtlsVersion

/** A DTLS version, spelled as node:tls spells TLS's. */
export type DtlsVersion = 'DTLSv1.2' | 'DTLSv1.3'

/** What a server knows about one identity. */
export interface PskEntry<Peer = undefined> {
  /** 16 to 512 bytes, see {@link PskKey}; copied. */
  readonly key: PskKey
  /** Whatever the application wants to find on the socket again; mcbn never looks into it. */
  readonly peer?: Peer
  /**
   * Only TLS 1.3 and DTLS 1.3 cipher suites of this hash can use the key (RFC 8446 section 4.2.11).
   * @defaultValue 'sha256'
   */
  readonly hash?: PskHash
  /**
   * The key was made by `importPsk` for DTLS 1.3, and the binder says so (RFC 9258 section 5.2): the peer must have
   * imported it too. Refused with `MCBN_OPTION_CONFLICT` where DTLS 1.3 is not spoken; OpenSSL, which has the other
   * versions, cannot say it.
   * @defaultValue false
   */
  readonly imported?: boolean
}

/** @internal */
export const PSK_ENTRY_FIELDS = {
  key: undefined,
  peer: undefined,
  hash: 'sha256',
  imported: false,
} as const satisfies OptionTable<PskEntry>

/** One handshake's question: which key belongs to this identity? */
export interface PskQuery {
  /**
   * The identity as it came: 1 to 256 bytes, with TLS 1.3 up to 64,000, any values, NUL included. Chosen
   * by the peer.
   */
  readonly identity: Buffer
  /**
   * `identity` read as UTF-8 (RFC 4279 section 5.1). Bytes that are not UTF-8 become U+FFFD, so
   * different identities can have the same text: look up by `identity` where bytes matter.
   */
  readonly identityText: string
  /** The version being negotiated: a key belongs to one. */
  readonly protocol: PskProtocol
  /** The peer's address; empty where the stream below has none. */
  readonly remoteAddress: string
  /** The peer's port; 0 where the stream below has none. */
  readonly remotePort: number
  /** The name the client asked for (RFC 6066 section 3), unverified; absent when it sent none. */
  readonly servername?: string
  /** Aborted when the handshake ends before the answer is there; pass it on to database calls. */
  readonly signal: AbortSignal
}

/** A key, a key with more about its owner, or `null` for an unknown identity. */
export type PskAnswer<Peer = undefined> = PskKey | PskEntry<Peer> | null

/**
 * Finds the key of an identity, at once or later. Called once per handshake, never while OpenSSL
 * is on the stack. Throwing fails that one handshake with `MCBN_LOOKUP_FAILED`; taking longer than
 * `lookupTimeout` fails it with `MCBN_LOOKUP_TIMEOUT`.
 */
export type PskLookup<Peer = undefined> = (
  query: PskQuery,
) => PskAnswer<Peer> | Promise<PskAnswer<Peer>>

/** Keys by identity, compared as UTF-8 bytes. A hit never runs JavaScript in a handshake. */
export type PskTable<Peer = undefined> =
  | Readonly<Record<string, PskKey | PskEntry<Peer>>>
  | ReadonlyMap<string, PskKey | PskEntry<Peer>>

/** What a server's `psk` option takes. */
export type PskSource<Peer = undefined> = PskTable<Peer> | PskLookup<Peer>

/** What a client presents to prove who it is. */
export interface PskCredential {
  /**
   * Public name of the key, sent in the clear: 1 to 256 bytes, a string as UTF-8, without NUL. A client
   * that may speak TLS 1.3 takes up to 64,000 bytes, NUL included, and then speaks nothing else.
   * Refused otherwise with `MCBN_IDENTITY_INVALID`.
   */
  readonly identity: string | Uint8Array
  /** 16 to 512 bytes, see {@link PskKey}; copied. */
  readonly key: PskKey
  /**
   * Only TLS 1.3 and DTLS 1.3 cipher suites of this hash can use the key (RFC 8446 section 4.2.11).
   * @defaultValue 'sha256'
   */
  readonly hash?: PskHash
  /** As in {@link PskEntry}. @defaultValue false */
  readonly imported?: boolean
}

/** @internal */
export const PSK_CREDENTIAL_FIELDS = {
  identity: undefined,
  key: undefined,
  hash: 'sha256',
  imported: false,
} as const satisfies OptionTable<PskCredential>

/** What a client's lookup is told besides the hint. */
export interface PskClientContext {
  /**
   * The version that the key is for. A TLS client of both versions asks once, for 'TLSv1.3'. A DTLS client of
   * both asks for each that it tries; keys for one are not for the other (RFC 9258 section 5.1).
   */
  readonly protocol: PskProtocol
}

/**
 * Chooses a credential by the server's identity hint (RFC 4279 section 5.2), at once or later.
 * `hint` is `undefined` when the server sent none; TLS 1.3 and DTLS 1.3 have no hints.
 */
export type PskClientLookup = (
  hint: string | undefined,
  context: PskClientContext,
) => PskCredential | null | Promise<PskCredential | null>

/** What a client's `psk` option takes. */
export type PskClientSource = PskCredential | PskClientLookup
