// The options of joining, checked once where the public call comes in.

import { randomBytes } from 'node:crypto'
import { types } from 'node:util'
import { McbnError } from '../../errors.js'
import { refuseUnknown } from '../../option-names.js'
import {
  choiceOption,
  functionOption,
  integerOption,
  MAX_MILLISECONDS,
  objectOption,
  typeName,
} from '../../options.js'
import { decodeHex } from '../../psk/hex.js'
import type { Attester } from '../attestation/types.js'
import { toBase64url } from '../base/base64url.js'
import { type Clock, systemClock } from '../base/clock.js'
import { type VerifiedDescriptor, verifySignedDescriptor } from '../descriptor/signed.js'
import { ROLES, type Role } from '../descriptor/types.js'
import { RETRY_DEFAULTS, type RetryOptions } from './backoff.js'
import { participantUrl } from './http.js'
import { untilAborted } from './sleep.js'
import {
  JOIN_DEFAULTS,
  JOIN_OPTIONS,
  type JoinOptions,
  type ParticipantAddresses,
  type ParticipantResolver,
  type Progress,
  type WorkloadAudit,
} from './types.js'

/** {@link JoinOptions} with nothing left open. */
export interface JoinSettings {
  readonly role: Role
  /** Base64url of 16 bytes. */
  readonly instance: string
  readonly attester: Attester
  readonly urlsOf: (label: string, signal: AbortSignal) => Promise<readonly URL[]>
  readonly requestTimeout: number
  readonly deadline: number
  readonly retry: Required<RetryOptions>
  readonly clock: Clock
  readonly onProgress: ((progress: Progress) => void) | undefined
  readonly audit: WorkloadAudit | undefined
}

/** Milliseconds: what a timer takes. */
const MILLISECONDS = { min: 1, max: MAX_MILLISECONDS, unit: 'ms' } as const

/**
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`; `MCBN_DESCRIPTOR_INVALID`.
 */
export function resolveJoin(options: JoinOptions): {
  readonly settings: JoinSettings
  readonly verified: VerifiedDescriptor
} {
  objectOption('options', options)
  refuseUnknown('join', options, JOIN_OPTIONS)
  const { attester, participants, clock, audit } = options
  const verified = pinnedDescriptor(options.descriptor, options.descriptorHash)
  if (options.role === undefined) {
    throw new McbnError('MCBN_OPTION_TYPE', "role: expected 'client' or 'server', got undefined")
  }
  const role = choiceOption('role', options.role, ROLES, 'client')
  objectOption('attester', attester)
  functionOption('attester.evidence', attester.evidence)
  return {
    verified,
    settings: {
      role,
      instance: toBase64url(randomBytes(16)),
      attester,
      urlsOf: addressesOf(participants, verified),
      requestTimeout: integerOption(
        'requestTimeout',
        options.requestTimeout,
        MILLISECONDS,
        JOIN_DEFAULTS.requestTimeout,
      ),
      deadline: integerOption('deadline', options.deadline, MILLISECONDS, JOIN_DEFAULTS.deadline),
      retry: retryOption(options.retry),
      clock: clock ?? systemClock,
      onProgress: functionOption('onProgress', options.onProgress),
      audit,
    },
  }
}

/**
 * @param hash - 32 bytes or 64 lower-case hex digits.
 * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID` unless it is the pinned one, signed by all; `MCBN_OPTION_TYPE`.
 */
export function pinnedDescriptor(descriptor: unknown, hash: unknown): VerifiedDescriptor {
  return verifySignedDescriptor(descriptor, { descriptorHash: hashOption(hash) })
}

function hashOption(hash: unknown): Uint8Array {
  if (typeof hash === 'string') {
    return decodeHex(hash, 'descriptorHash', 'MCBN_OPTION_RANGE', 'lower')
  }
  // Without a pin everybody could sign their own network and have it joined.
  if (types.isUint8Array(hash)) return hash
  throw new McbnError(
    'MCBN_OPTION_TYPE',
    `descriptorHash: expected 32 bytes or 64 hex digits, got ${typeName(hash)}`,
  )
}

function retryOption(retry: RetryOptions | undefined): Required<RetryOptions> {
  if (retry === undefined) return RETRY_DEFAULTS
  objectOption('retry', retry)
  refuseUnknown('retry', retry, RETRY_DEFAULTS)
  const { initial, max, jitter = RETRY_DEFAULTS.jitter } = retry
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) {
    throw new McbnError('MCBN_OPTION_RANGE', 'retry.jitter: expected a number from 0 to 1')
  }
  return {
    initial: integerOption('retry.initial', initial, MILLISECONDS, RETRY_DEFAULTS.initial),
    max: integerOption('retry.max', max, MILLISECONDS, RETRY_DEFAULTS.max),
    jitter,
  }
}

function addressesOf(
  addresses: ParticipantAddresses,
  { descriptor }: VerifiedDescriptor,
): (label: string, signal: AbortSignal) => Promise<readonly URL[]> {
  if (typeof addresses === 'function') {
    return async (label, signal) => {
      return (await found(addresses, label, signal)).map((url) => participantUrl(url, label))
    }
  }
  objectOption('participants', addresses)
  const urls = new Map(
    Object.entries(addresses).map(([label, url]) => [label, [participantUrl(url, label)]] as const),
  )
  const labels = descriptor.participants.map(({ label }) => label)
  for (const label of urls.keys()) {
    if (labels.includes(label)) continue
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `participants.${label.slice(0, 63)}: expected labels of the descriptor (${labels.join(', ')})`,
    )
  }
  const missing = labels.filter((label) => !urls.has(label))
  if (urls.size < descriptor.t) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `participants: expected the URLs of at least ${descriptor.t}, got ${urls.size}; missing: ${missing.join(', ')}`,
    )
  }
  return async (label) => urls.get(label) ?? []
}

async function found(
  resolver: ParticipantResolver,
  label: string,
  signal: AbortSignal,
): Promise<readonly (string | URL)[]> {
  try {
    return await untilAborted(resolver(label, { signal }), signal)
  } catch (cause) {
    if (cause instanceof McbnError) throw cause
    const message = `${label}: expected addresses from the resolver, got an error`
    throw new McbnError('MCBN_DISCOVERY_FAILED', message, { cause })
  }
}
