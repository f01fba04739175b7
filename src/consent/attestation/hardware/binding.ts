// How evidence that has one field of free bytes is about one release by one participant only.

import { createHash } from 'node:crypto'
import { lengthPrefixed } from '../../../psk/encoding.js'
import { refused } from '../refuse.js'
import type { EvidenceRequest } from '../types.js'

/** Bytes of REPORTDATA, in SEV-SNP reports and TDX quotes alike. */
export const REPORT_DATA_BYTES = 64

/**
 * SHA-256(lp("mcbn/1 report data") || lp(audience) || lp(nonce)), then 32 zero bytes. The nonce covers
 * descriptor, role, challenge and the key that the share is sealed to, see `releaseNonce`.
 */
export function reportData({
  audience,
  nonce,
}: Pick<EvidenceRequest, 'audience' | 'nonce'>): Buffer {
  const data = Buffer.alloc(REPORT_DATA_BYTES)
  createHash('sha256')
    .update(lengthPrefixed('mcbn/1 report data'))
    .update(lengthPrefixed(audience))
    .update(lengthPrefixed(nonce))
    .digest()
    .copy(data)
  return data
}

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, naming `field`, unless `found` is this challenge's report data. */
export function checkReportData(
  field: string,
  found: Buffer,
  expected: Pick<EvidenceRequest, 'audience' | 'nonce'>,
): void {
  if (found.equals(reportData(expected))) return
  throw refused(field, 'expected the audience and nonce of this challenge')
}
