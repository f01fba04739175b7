// The descriptor D: what all participants sign before any share is released. Everything in it is
// public. Bytes are base64url without padding (RFC 4648 section 5); times are seconds since 1970.

import type { UnixSeconds } from '../base/time.js'

/** n-of-n: every share is needed. t-of-n: any `t` of them, from a ceremony without a dealer. */
export type DescriptorMode = 'n-of-n' | 't-of-n'

/** The two ends of a connection. A client never listens, a server never connects. */
export const ROLES = ['client', 'server'] as const
export type Role = (typeof ROLES)[number]

/** The protocols that a network's keys are made for; each has its own key. */
export const NETWORK_PROTOCOLS = ['tls13', 'tls12', 'dtls12'] as const
export type NetworkProtocol = (typeof NETWORK_PROTOCOLS)[number]

/** One participant as the descriptor knows it. */
export interface DescriptorParticipant {
  /** 1 to 63 of `a-z 0-9 . _ -`, the first a letter or digit; unique. */
  readonly label: string
  /** Ed25519 public key (RFC 8032), 32 bytes: signs descriptor, releases, refusals, withdrawals. */
  readonly ed25519: string
  /** X25519 public key (RFC 7748), 32 bytes: ceremonies seal to it. */
  readonly x25519: string
  /**
   * 32 bytes. n-of-n: the SHA-256 commitment to the share. t-of-n: the verifying share, a ristretto255
   * element (RFC 9496).
   */
  readonly commitment: string
}

/** What all participants agree on about one role. Each participant's own policy can only narrow it. */
export interface DescriptorRole {
  /** The public name that enters the connection's identity; 1 to 255 bytes of UTF-8. */
  readonly id: string
  /** Image digests, `sha256:` and 64 lower-case hex digits; at least one. Never tags. */
  readonly images: readonly string[]
}

/** The document itself. Its canonical form (RFC 8785) is what is hashed and signed. */
export interface Descriptor {
  readonly version: 'mcbn/1'
  /** The network's name: 1 to 255 bytes of UTF-8 in normal form C. */
  readonly network: string
  /** 0 to 4,294,967,295; every epoch has fresh shares. */
  readonly epoch: number
  readonly mode: DescriptorMode
  /** How many shares are needed: n for n-of-n, 2 to n for t-of-n. */
  readonly t: number
  /** 2 to 64, sorted bytewise by label. */
  readonly participants: readonly DescriptorParticipant[]
  /** t-of-n only: the t commitments of the joint polynomial; the first is the group key. */
  readonly group?: readonly string[]
  readonly roles: { readonly client: DescriptorRole; readonly server: DescriptorRole }
  /** At least one, unique, in the order of {@link NETWORK_PROTOCOLS}. */
  readonly protocols: readonly NetworkProtocol[]
  /** Inclusive; outside it nothing is released and every lease ends. */
  readonly validity: { readonly notBefore: UnixSeconds; readonly notAfter: UnixSeconds }
}

/** A descriptor as it is handed around: the document and the Ed25519 signature of each participant. */
export interface SignedDescriptor {
  readonly descriptor: Descriptor
  /** By label: Ed25519 over lp("mcbn/1 sign descriptor") || dh; base64url, 64 bytes. */
  readonly signatures: Readonly<Record<string, string>>
}
