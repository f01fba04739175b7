// How a participant says no. The wire gets a code, signed, so that nobody else can say no in its name;
// the reasons stay here, for the people behind it.

import { McbnError } from '../../errors.js'
import type { AttestedFacts } from '../attestation/types.js'
import { fromBase64url } from '../base/base64url.js'
import type { Clock } from '../base/clock.js'
import { isX25519PublicKey, KEY_BYTES, type ParticipantKeys } from '../base/keys.js'
import type { Refused, ReleaseEvidence, ReleaseRequest } from '../release/messages.js'
import { LEASE_MAX_SECONDS, parseReleaseRequest } from '../release/parse.js'
import { refusedHash, signRefusal } from '../release/sign.js'
import type { Journal } from './journal.js'
import { BUSY_RETRY_SECONDS, type Objection } from './terms.js'
import type { RefusedRequest } from './types.js'

export interface RefusalsOptions {
  readonly label: string
  /** Hash of the participant's own descriptor: for another network a refusal says nothing. */
  readonly dh: Buffer
  readonly clock: Clock
  readonly journal: Journal
  /** Told about every refusal of evidence, except those that send somebody to wait for a person. */
  readonly onRefused: (refused: RefusedRequest) => void
}

export class Refusals {
  readonly #options: RefusalsOptions

  constructor(options: RefusalsOptions) {
    this.#options = options
  }

  /** Before any evidence: the sender can be anybody, so it is only counted. */
  early(request: ReleaseRequest, objection: Objection, keys: ParticipantKeys | undefined): Refused {
    this.#options.journal.refusedEarly(objection.code)
    return this.#signed(refusedHash(request), objection, keys)
  }

  /** After evidence was shown; with its facts once it has been verified. */
  late(
    request: ReleaseRequest,
    evidence: ReleaseEvidence,
    objection: Objection,
    keys: ParticipantKeys | undefined,
    facts?: AttestedFacts,
  ): Refused {
    const { clock, journal, onRefused } = this.#options
    const { code, details } = objection
    const { role } = request
    const known = facts === undefined ? {} : { facts }
    const refused: RefusedRequest = { role, code, details, ...known, at: clock.wall() }
    journal.refused(refused)
    if (code !== 'manual') onRefused(refused)
    return this.#signed(refusedHash(request, evidence), objection, keys)
  }

  /** Unsigned: it has to cost nothing. */
  busy(): Refused {
    this.#options.journal.refusedEarly('busy')
    return { label: this.#options.label, code: 'busy', retryAfter: BUSY_RETRY_SECONDS }
  }

  #signed(
    refusedBytes: Buffer,
    { code, retryAfter }: Objection,
    keys: ParticipantKeys | undefined,
  ): Refused {
    const { label, dh } = this.#options
    const seconds = Math.min(retryAfter ?? 0, LEASE_MAX_SECONDS)
    const refused = { label, code, ...(retryAfter !== undefined && { retryAfter: seconds }) }
    if (code === 'busy' || keys === undefined) return refused
    return signRefusal(refused, { dh, refused: refusedBytes }, keys.ed25519)
  }
}

/** What could not be refused with a signature, since nothing says which request it answers. */
export function noSuchChallenge(): never {
  throw new McbnError(
    'MCBN_RELEASE_INVALID',
    'evidence: expected an open challenge, got one that was never given, has expired or was answered already; send a new request',
  )
}

/** Consent that ended between two awaits. */
export class TakenBack extends Error {
  readonly objection: Objection

  constructor(objection: Objection) {
    super()
    this.objection = objection
  }
}

/** @throws {McbnError} `MCBN_RELEASE_INVALID`, for a key too that nobody may seal to. */
export function readRequest(message: unknown): ReleaseRequest {
  const request = parseReleaseRequest(message)
  if (isX25519PublicKey(fromBase64url(request.pk, KEY_BYTES) as Buffer)) return request
  throw new McbnError(
    'MCBN_RELEASE_INVALID',
    'request.pk: expected an X25519 public key (canonical, not of low order), got other bytes',
  )
}
