// Path validation of certificates (RFC 5280 section 6) by OpenSSL, see native/trust/certificate_path.h.

import { loadAddon } from './load.js'

/** All certificates and lists in DER. */
export interface NativePathRequest {
  readonly leaf: Uint8Array
  readonly intermediates: readonly Uint8Array[]
  /** Trusted, self-signed. */
  readonly roots: readonly Uint8Array[]
  /** Where there are some, every certificate but the root needs one. */
  readonly crls: readonly Uint8Array[]
  /** Whole seconds since 1970: validity is judged as of then. */
  readonly time: number
  /** RFC 5280 to the letter. */
  readonly strict: boolean
  /** Whether the leaf has to have the key usage digitalSignature. */
  readonly digitalSignature: boolean
}

export interface NativePath {
  /** OpenSSL's words; empty: the chain is good. */
  readonly failure: string
  /** Of the certificate that failed; 0 is the leaf. */
  readonly depth: number
  /** The leaf's extensions, each with its object identifier in dots; only of a good chain. */
  readonly extensions: readonly (readonly [oid: string, value: Buffer])[]
}

/** @throws {McbnError} `MCBN_ADDON_UNAVAILABLE`. */
export function validatePath(request: NativePathRequest): NativePath {
  return loadAddon().validatePath(request)
}
