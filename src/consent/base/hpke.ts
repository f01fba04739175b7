// HPKE (RFC 9180) as everywhere in mcbn/1: base mode; who sent something is told by signatures.

import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_DHKEM_X25519_HKDF_SHA256 } from 'hpke'

/** DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: `SUITE` in the messages of a release. */
export const hpkeSuite = new CipherSuite(
  KEM_DHKEM_X25519_HKDF_SHA256,
  KDF_HKDF_SHA256,
  AEAD_AES_256_GCM,
)
