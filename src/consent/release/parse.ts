// Reading the messages of a release. Each reader takes what JSON.parse gave and returns a fresh object with
// exactly the fields of messages.ts; texts are bounded by readMessage before anybody parses them.

import { LABEL } from '../../psk/share.js'
import type { Evidence } from '../attestation/types.js'
import { KEY_BYTES, SIGNATURE_BYTES } from '../base/keys.js'
import { readJson, Untrusted } from '../base/untrusted.js'
import { ROLES } from '../descriptor/types.js'
import {
  type LeaseReturn,
  REFUSAL_CODES,
  type Refused,
  type Release,
  type ReleaseChallenge,
  type ReleaseEvidence,
  type ReleaseHeader,
  type ReleaseRequest,
  SUITE,
  type Withdrawal,
} from './messages.js'

const CODE = 'MCBN_RELEASE_INVALID'

/** Largest message, in bytes of JSON: a token of 64 KiB and what stands around it. */
export const MESSAGE_MAX_BYTES = 96 * 1024
/** Longest token, in bytes. */
export const TOKEN_MAX_BYTES = 64 * 1024
/** Longest lease, and longest time to wait, in seconds. */
export const LEASE_MAX_SECONDS = 86_400
/** The last second of the year 9999. */
const LATEST_TIME = 253_402_300_799

/**
 * Reads the JSON of one message.
 *
 * @param source - UTF-8, at most 96 KiB.
 * @throws {McbnError} `MCBN_RELEASE_INVALID`.
 */
export function readMessage(source: string | Uint8Array): unknown {
  return readJson(source, MESSAGE_MAX_BYTES, 'message', CODE)
}

/** @throws {McbnError} `MCBN_RELEASE_INVALID` naming the field. */
export function parseReleaseRequest(source: unknown): ReleaseRequest {
  return requestOf(message(source, 'request'))
}

function requestOf(source: Untrusted): ReleaseRequest {
  const { v, dh, role, pk, suite, r, instance, renews } = source.fields(
    ['v', 'dh', 'role', 'pk', 'suite', 'r', 'instance'],
    ['renews'],
  )
  return {
    v: v.oneOf(['mcbn/1']),
    dh: dh.base64url(32),
    role: role.oneOf(ROLES),
    pk: pk.base64url(KEY_BYTES),
    suite: suite.oneOf([SUITE]),
    r: r.base64url(32),
    instance: instance.base64url(16),
    ...(renews && { renews: renews.base64url(32) }),
  }
}

/** @throws {McbnError} `MCBN_RELEASE_INVALID` naming the field. */
export function parseReleaseChallenge(source: unknown): ReleaseChallenge {
  const { c, expires } = message(source, 'challenge').fields(['c', 'expires'])
  return { c: c.base64url(32), expires: expires.integer(0, LATEST_TIME) }
}

/** @throws {McbnError} `MCBN_RELEASE_INVALID` naming the field; never showing the token. */
export function parseReleaseEvidence(source: unknown): ReleaseEvidence {
  const fields = message(source, 'evidence').fields(['c', 'request', 'evidence'])
  return {
    c: fields.c.base64url(32),
    request: requestOf(fields.request),
    evidence: parseEvidence(fields.evidence),
  }
}

/** @throws {McbnError} `MCBN_RELEASE_INVALID` naming the field. */
export function parseRelease(source: unknown): Release {
  const fields = message(source, 'release').fields([
    'v',
    'label',
    'dh',
    'role',
    'c',
    'tokenHash',
    'header',
    'enc',
    'ciphertext',
    'signature',
  ])
  return {
    v: fields.v.oneOf(['mcbn/1']),
    label: label(fields.label),
    dh: fields.dh.base64url(32),
    role: fields.role.oneOf(ROLES),
    c: fields.c.base64url(32),
    tokenHash: fields.tokenHash.base64url(32),
    header: parseHeader(fields.header),
    enc: fields.enc.base64url(32),
    ciphertext: fields.ciphertext.base64url(48),
    signature: fields.signature.base64url(SIGNATURE_BYTES),
  }
}

/** @throws {McbnError} `MCBN_RELEASE_INVALID` naming the field, and for an unsigned refusal but `busy`. */
export function parseRefused(source: unknown): Refused {
  const refused = message(source, 'refusal')
  const fields = refused.fields(['label', 'code'], ['retryAfter', 'signature'])
  const code = fields.code.oneOf(REFUSAL_CODES)
  if (code !== 'busy' && fields.signature === undefined) {
    refused.refuse(`a signature with the code ${code}`, 'none')
  }
  return {
    label: label(fields.label),
    code,
    ...(fields.retryAfter && { retryAfter: fields.retryAfter.integer(0, LEASE_MAX_SECONDS) }),
    ...(fields.signature && { signature: fields.signature.base64url(SIGNATURE_BYTES) }),
  }
}

/** Most releases of one lease that can be out at once; older ones of a workload are over. */
export const RETURN_MAX_PROOFS = 64

/** @throws {McbnError} `MCBN_RELEASE_INVALID` naming the field. */
export function parseLeaseReturn(source: unknown): LeaseReturn {
  const fields = message(source, 'return').fields(['v', 'dh', 'role', 'proofs'])
  return {
    v: fields.v.oneOf(['mcbn/1']),
    dh: fields.dh.base64url(32),
    role: fields.role.oneOf(ROLES),
    proofs: fields.proofs.list(1, RETURN_MAX_PROOFS).map((proof) => proof.base64url(32)),
  }
}

/** @throws {McbnError} `MCBN_RELEASE_INVALID` naming the field. */
export function parseWithdrawal(source: unknown): Withdrawal {
  const fields = message(source, 'withdrawal').fields([
    'v',
    'label',
    'dh',
    'withdrawnAt',
    'signature',
  ])
  return {
    v: fields.v.oneOf(['mcbn/1']),
    label: label(fields.label),
    dh: fields.dh.base64url(32),
    withdrawnAt: fields.withdrawnAt.integer(0, LATEST_TIME),
    signature: fields.signature.base64url(SIGNATURE_BYTES),
  }
}

function message(source: unknown, where: string): Untrusted {
  return new Untrusted(source, where, CODE)
}

function label(field: Untrusted): string {
  return field.text(LABEL, 'a label of a participant')
}

function parseEvidence(field: Untrusted): Evidence {
  const { kind, token } = field.fields(['kind', 'token'])
  return {
    kind: kind.text(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'a kind of evidence'),
    // A JWT in compact form (RFC 7515 section 7.1), or base64url of something else.
    token: token.text(/^[A-Za-z0-9._-]+$/, 'A-Z, a-z, 0-9, ., _, - only', TOKEN_MAX_BYTES),
  }
}

function parseHeader(field: Untrusted): ReleaseHeader {
  const fields = field.fields(['releaseId', 'epoch', 'issuedAt', 'notAfter', 'leaseSeconds'])
  return {
    releaseId: fields.releaseId.base64url(16),
    epoch: fields.epoch.integer(0, 0xffff_ffff),
    issuedAt: fields.issuedAt.integer(0, LATEST_TIME),
    notAfter: fields.notAfter.integer(0, LATEST_TIME),
    leaseSeconds: fields.leaseSeconds.integer(1, LEASE_MAX_SECONDS),
  }
}
