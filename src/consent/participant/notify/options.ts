// How a person hears that a request waits: options, and what is sent.

import { isAbsolute } from 'node:path'
import { McbnError } from '../../../errors.js'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { integerOption } from '../../../options.js'
import type { Clock } from '../../base/clock.js'
import type { UnixMilliseconds } from '../../base/time.js'

/** A request that waits, in what leaves the machine. Arguments and environment stay on the page. */
export interface NotifiedRequest {
  readonly id: string
  readonly role: string
  /** What kind of evidence it is, e.g. `gcp-cs-oidc`. */
  readonly kind: string
  readonly imageDigest?: string
  readonly project?: string
  readonly instance?: string
  readonly firstAskedAt: UnixMilliseconds
}

/** One notification: the body of the webhook, and what the command reads from stdin, as JSON. */
export interface PendingNotification {
  readonly type: 'consent.pending'
  /** RFC 3339, UTC. */
  readonly timestamp: string
  readonly data: {
    readonly label: string
    readonly network: string
    readonly epoch: number
    readonly descriptorHash: string
    /** New since the notification before, the latest first; at most 20. */
    readonly requests: readonly NotifiedRequest[]
    /** All that wait now. */
    readonly waiting: number
  }
}

/** What came of one notification. */
export interface NotificationResult {
  readonly channel: 'webhook' | 'command'
  /** Requests that it was about. */
  readonly requests: number
  readonly tries: number
  /** Absent: delivered. Holds no path of the address, which often is a secret. */
  readonly error?: string
}

export interface WebhookOptions {
  /** `https:` or `http:`; redirects are not followed. Its path and query are told to nobody else. */
  readonly url: string
  /**
   * 24 to 64 bytes that the receiver has too; copied. The body is signed by them as Standard Webhooks has it:
   * HMAC-SHA256 over id, time and body, in `webhook-id`, `webhook-timestamp` and `webhook-signature`.
   */
  readonly secret: Uint8Array
}

/** For `notifyOfPending`; at least one of `webhook` and `command`. */
export interface NotifyOptions {
  readonly webhook?: WebhookOptions
  /**
   * Absolute path of a program and its arguments, run without a shell. It gets the notification on stdin and of
   * the environment only `PATH`, `HOME`, `LANG`, `TZ`; exit code 0 is success. Its output goes nowhere.
   */
  readonly command?: readonly string[]
  /** Most tries of one notification, 1 to 20. @defaultValue 5 */
  readonly tries?: number
  /** Milliseconds for one try. @defaultValue 10_000 */
  readonly timeout?: number
  /** Least milliseconds between two notifications of a channel; what comes between goes with the next. @defaultValue 5_000 */
  readonly pause?: number
  /** Told what came of each. */
  readonly onResult?: (result: NotificationResult) => void
  /** @defaultValue the machine's */
  readonly clock?: Clock
}

const OPTIONS = {
  webhook: undefined,
  command: undefined,
  tries: undefined,
  timeout: undefined,
  pause: undefined,
  onResult: undefined,
  clock: undefined,
} as const satisfies OptionTable<NotifyOptions>

/** The one place where defaults are written. */
export const NOTIFY_DEFAULTS = { tries: 5, timeout: 10_000, pause: 5_000 } as const

const RANGES = { tries: [1, 20], timeout: [1, 600_000], pause: [0, 86_400_000] } as const
/** As Standard Webhooks recommends. */
const [LEAST_SECRET, MOST_SECRET] = [24, 64]

export type ResolvedNotifyOptions = NotifyOptions &
  Readonly<Record<keyof typeof NOTIFY_DEFAULTS, number>>

/** @throws {McbnError} `MCBN_OPTION_UNKNOWN`, `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_CONFLICT` without a channel. */
export function resolveNotifyOptions(options: NotifyOptions): ResolvedNotifyOptions {
  refuseUnknown('notifyOfPending', options, OPTIONS)
  const { webhook, command } = options
  if (webhook === undefined && command === undefined) {
    throw new McbnError('MCBN_OPTION_CONFLICT', 'expected webhook or command, got neither')
  }
  if (webhook !== undefined) checkWebhook(webhook)
  if (command !== undefined) checkCommand(command)
  const numbers: Record<string, number> = {}
  for (const name of Object.keys(NOTIFY_DEFAULTS) as (keyof typeof NOTIFY_DEFAULTS)[]) {
    const [min, max] = RANGES[name]
    numbers[name] = integerOption(name, options[name], { min, max }, NOTIFY_DEFAULTS[name])
  }
  return { ...options, ...numbers } as ResolvedNotifyOptions
}

function checkWebhook(webhook: WebhookOptions): void {
  refuseUnknown('webhook', webhook, { url: undefined, secret: undefined })
  const { url, secret } = webhook
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined
  // Never the address itself in a message: it is a secret with many services.
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    throw outOfRange('webhook.url', 'an http: or https: address')
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw outOfRange('webhook.url', 'an address without user and password')
  }
  const length = secret instanceof Uint8Array ? secret.length : -1
  if (length < LEAST_SECRET || length > MOST_SECRET) {
    const got = length < 0 ? 'something else' : `${length}`
    throw outOfRange('webhook.secret', `${LEAST_SECRET} to ${MOST_SECRET} bytes, got ${got}`)
  }
}

function checkCommand(command: readonly string[]): void {
  // No NUL: the system's strings end there.
  const text = (part: unknown) => typeof part === 'string' && !part.includes('\0')
  const texts = Array.isArray(command) && command.every(text)
  if (texts && command[0] !== undefined && isAbsolute(command[0])) return
  throw outOfRange('command', 'an absolute path and arguments')
}

function outOfRange(name: string, expected: string): McbnError {
  return new McbnError('MCBN_OPTION_RANGE', `${name}: expected ${expected}`)
}
