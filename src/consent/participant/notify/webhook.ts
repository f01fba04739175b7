// A notification over HTTP, signed as Standard Webhooks has it (standardwebhooks.com, specification, "Webhook
// headers" and "Signature scheme"): the receiver knows who sent it, and that it is not an old one.

import { createHmac } from 'node:crypto'
import { secretCopy } from '../../../secret-bytes.js'
import type { Delivery, Outcome } from './channel.js'
import type { WebhookOptions } from './options.js'

/** Answers that a later try can change (RFC 9110 section 15; RFC 6585 section 4). */
const LATER: ReadonlySet<number> = new Set([408, 425, 429])

export class Webhook implements Delivery {
  readonly channel = 'webhook'
  readonly #url: string
  readonly #secret: Buffer
  readonly #now: () => number

  constructor({ url, secret }: WebhookOptions, now: () => number) {
    this.#url = url
    this.#secret = secretCopy(secret)
    this.#now = now
  }

  async attempt(id: string, body: string, signal: AbortSignal): Promise<Outcome> {
    const timestamp = `${Math.floor(this.#now() / 1_000)}`
    let answer: Response
    try {
      answer = await fetch(this.#url, {
        method: 'POST',
        body,
        redirect: 'manual',
        signal,
        headers: {
          'content-type': 'application/json',
          'user-agent': 'mcbn',
          'webhook-id': id,
          'webhook-timestamp': timestamp,
          'webhook-signature': this.#sign(`${id}.${timestamp}.${body}`),
        },
      })
    } catch (error) {
      return { done: false, again: true, reason: reasonOf(error, signal) }
    }
    // What it says is not of interest, however long it is.
    await answer.body?.cancel().catch(() => undefined)
    const { status } = answer
    if (status >= 200 && status < 300) return { done: true }
    const again = status >= 500 || LATER.has(status)
    const seconds = Number(answer.headers.get('retry-after') ?? Number.NaN)
    return {
      done: false,
      again,
      reason: `status ${status}`,
      ...(again && seconds >= 0 && { waitMilliseconds: seconds * 1_000 }),
    }
  }

  close(): void {
    this.#secret.fill(0)
  }

  #sign(text: string): string {
    return `v1,${createHmac('sha256', this.#secret).update(text).digest('base64')}`
  }
}

/** The system's word for it; its sentence can hold the address. */
function reasonOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'no answer in time'
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
  return `no connection (${code})`
}
