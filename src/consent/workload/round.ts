// One round with one participant: request, challenge, evidence, release. The operator carries all of it;
// what comes out has been signed by the participant for exactly this round, opened, and checked against
// the descriptor.

import { randomBytes } from 'node:crypto'
import { McbnError } from '../../errors.js'
import type { Attester, Evidence } from '../attestation/types.js'
import { toBase64url } from '../base/base64url.js'
import type { ElapsedMilliseconds } from '../base/time.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { Role } from '../descriptor/types.js'
import type {
  Refused,
  Release,
  ReleaseEvidence,
  ReleaseHeader,
  ReleaseRequest,
} from '../release/messages.js'
import { SUITE } from '../release/messages.js'
import { audience, releaseNonce } from '../release/nonce.js'
import { parseRefused, parseRelease, parseReleaseChallenge } from '../release/parse.js'
import {
  generateReceiver,
  type LeaseSecrets,
  type OpenedShare,
  type Receiver,
} from '../release/seal.js'
import { refusedHash, verifyRefusal, verifyRelease } from '../release/sign.js'
import { checkReleasedShare } from '../shares/check.js'
import { InvalidShareError } from '../shares/problem.js'
import { type Answer, postJson } from './http.js'
import { untilAborted } from './sleep.js'

export interface RoundCall {
  readonly verified: VerifiedDescriptor
  readonly label: string
  readonly role: Role
  /** The workload's name for this process, base64url of 16 bytes. */
  readonly instance: string
  readonly attester: Attester
  /** The secret of the release before, while there is a lease. */
  readonly renews: Buffer | undefined
  /** Where the participant may be, in the order to be tried. */
  readonly urls: readonly URL[]
  /** Ends the round early. */
  readonly signal: AbortSignal
  /** Called when a request leaves. @returns the stopwatch's time: the lease counts from then. */
  readonly onSent: () => ElapsedMilliseconds
  readonly onChallenge: () => void
}

/** A share that is what the participant committed to. The caller owns and wipes it. */
export interface Released {
  readonly share: Buffer
  /** What it has in common with the participant. */
  readonly lease: LeaseSecrets
  readonly header: ReleaseHeader
  readonly sentAt: ElapsedMilliseconds
}

export type RoundResult = { readonly released: Released } | { readonly refused: Refused }

/**
 * @throws {McbnError} `MCBN_SHARE_INVALID` with `participant` when it signed a bad share; that is blame.
 * Everything else can be the operator's doing, or chance, and blames nobody: `MCBN_RELEASE_INVALID`,
 * `MCBN_CONNECTION_FAILED`, `MCBN_ATTESTER_FAILED`.
 */
export async function askForShare(call: RoundCall): Promise<RoundResult> {
  const { verified, label, role, instance } = call
  const receiver = await generateReceiver()
  const request: ReleaseRequest = {
    v: 'mcbn/1',
    dh: toBase64url(verified.hash),
    role,
    pk: toBase64url(receiver.publicKey),
    suite: SUITE,
    r: toBase64url(randomBytes(32)),
    instance,
    ...(call.renews && { renews: toBase64url(call.renews) }),
  }
  const opening = await firstAnswer(call, request)
  if (isRefusal(opening.body)) return { refused: refusalOf(call, opening.body, request) }
  demandSuccess(label, opening)
  const { c } = parseReleaseChallenge(opening.body)
  call.onChallenge()
  const { kind, token } = await evidenceFor(call, {
    audience: audience(verified.descriptor.network, label),
    nonce: releaseNonce({ ...request, label, c }),
  })
  const shown = { c, request, evidence: { kind, token } }
  const answer = await postJson(opening.url, 'v1/evidence', shown, call.signal)
  if (isRefusal(answer.body)) return { refused: refusalOf(call, answer.body, request, shown) }
  demandSuccess(label, answer)
  const release = parseRelease(answer.body)
  verifyRelease(release, verified, { label, role, c, token })
  const { share, lease } = openedShare(call, receiver, release, token)
  return { released: { share, lease, header: release.header, sentAt: opening.sentAt } }
}

/** Tries the addresses in turn until one answers. */
async function firstAnswer(
  call: RoundCall,
  request: ReleaseRequest,
): Promise<Answer & { readonly url: URL; readonly sentAt: ElapsedMilliseconds }> {
  let last = new McbnError('MCBN_DISCOVERY_FAILED', `${call.label}: expected an address, got none`)
  for (const url of call.urls) {
    const sentAt = call.onSent()
    try {
      return { ...(await postJson(url, 'v1/request', request, call.signal)), url, sentAt }
    } catch (error) {
      if (!(error instanceof McbnError) || call.signal.aborted) throw error
      last = error
    }
  }
  throw last
}

/** What it says besides is a stranger's text, and not repeated. */
function demandSuccess(label: string, { status }: Answer): void {
  if (status === 200) return
  throw invalid(label, `expected an answer, got HTTP status ${status}; see its own log`)
}

function isRefusal(body: unknown): boolean {
  return body !== null && typeof body === 'object' && Object.hasOwn(body, 'code')
}

/** A refusal that may be believed. Anybody on the way could say `policy`, and `busy` claims nothing. */
function refusalOf(
  { verified, label }: RoundCall,
  body: unknown,
  request: ReleaseRequest,
  shown?: ReleaseEvidence,
): Refused {
  const refused = parseRefused(body)
  if (refused.label !== label) {
    throw invalid(label, 'expected its own refusal, got that of another participant')
  }
  const unsigned = refused.code === 'busy' && refused.signature === undefined
  if (!unsigned && !verifyRefusal(refused, verified, { refused: refusedHash(request, shown) })) {
    throw invalid(label, 'expected a refusal signed by it, of what was sent')
  }
  return refused
}

async function evidenceFor(
  { attester, signal }: RoundCall,
  about: { readonly audience: string; readonly nonce: string },
): Promise<Evidence> {
  try {
    return await untilAborted(attester.evidence({ ...about, signal }), signal)
  } catch (cause) {
    if (cause instanceof McbnError && cause.code === 'MCBN_ATTESTER_FAILED') throw cause
    throw new McbnError(
      'MCBN_ATTESTER_FAILED',
      `the attester (${attester.kind}) gave no evidence`,
      {
        cause,
      },
    )
  }
}

/** From here on the participant is to blame: it signed this for our challenge, key and evidence. */
function openedShare(
  { verified, label, role }: RoundCall,
  receiver: Receiver,
  release: Release,
  token: string,
): OpenedShare {
  const { c, header, enc, ciphertext } = release
  let opened: OpenedShare
  try {
    opened = receiver.openLease({
      dh: verified.hash,
      role,
      label,
      c,
      token,
      header,
      enc,
      ciphertext,
    })
  } catch {
    // Evidence with our key in its nonce was accepted, so it was our key to seal to.
    const detail = 'expected a share sealed to the key of the request, got something else'
    throw new InvalidShareError(label, 'malformed', detail)
  }
  try {
    checkReleasedShare(verified, label, opened.share)
    return opened
  } catch (error) {
    opened.share.fill(0)
    throw error
  }
}

function invalid(label: string, problem: string): McbnError {
  return new McbnError('MCBN_RELEASE_INVALID', `${label}: ${problem}`)
}
