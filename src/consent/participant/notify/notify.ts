// Tells people that somebody waits for their yes. Beside the participant, not in it: a release waits for no
// notification, and one that fails refuses nobody.

import { systemClock } from '../../base/clock.js'
import type { Participant } from '../participant.js'
import type { PendingRequest } from '../types.js'
import { Channel, type Delivery } from './channel.js'
import { Command } from './command.js'
import {
  type NotificationResult,
  type NotifiedRequest,
  type NotifyOptions,
  type PendingNotification,
  resolveNotifyOptions,
} from './options.js'
import { Webhook } from './webhook.js'

export interface PendingNotifier {
  /** Since the start: notifications that arrived, and that were given up. */
  readonly counters: { readonly delivered: number; readonly failed: number }
  /** Gives up what is on its way, and tells nothing more. */
  close(): Promise<void>
}

/** Requests that one notification names. */
const MOST_REQUESTS = 20

/**
 * Notifies of requests that wait for a person, each once: by a signed webhook, by a command, or both.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` naming what is wrong; `MCBN_OPTION_CONFLICT` without a channel.
 */
export function notifyOfPending(participant: Participant, options: NotifyOptions): PendingNotifier {
  const { webhook, command, tries, timeout, pause, ...rest } = resolveNotifyOptions(options)
  const clock = rest.clock ?? systemClock
  const counters = { delivered: 0, failed: 0 }
  const onResult = (result: NotificationResult): void => {
    counters[result.error === undefined ? 'delivered' : 'failed'] += 1
    // A listener's exception is its owner's to hear of, and stops no other notification.
    queueMicrotask(() => rest.onResult?.(result))
  }
  const bodyFor = (ids: readonly string[]): string | undefined => {
    const waiting = participant.pending()
    const fresh = waiting.filter(({ id }) => ids.includes(id))
    if (fresh.length === 0) return undefined
    const { label, network, epoch, descriptorHash } = participant.status()
    const requests = fresh.slice(0, MOST_REQUESTS).map(notified)
    const data = { label, network, epoch, descriptorHash, requests, waiting: waiting.length }
    const timestamp = new Date(clock.wall()).toISOString()
    return JSON.stringify({
      type: 'consent.pending',
      timestamp,
      data,
    } satisfies PendingNotification)
  }
  const deliveries: Delivery[] = [
    ...(webhook === undefined ? [] : [new Webhook(webhook, () => clock.wall())]),
    ...(command === undefined ? [] : [new Command(command)]),
  ]
  const channels = deliveries.map(
    (delivery) => new Channel(delivery, { clock, tries, timeout, pause, bodyFor, onResult }),
  )
  const onPending = ({ id, times }: PendingRequest): void => {
    if (times > 1) return
    for (const channel of channels) channel.add(id)
  }
  participant.on('pending', onPending)
  return {
    get counters() {
      return { ...counters }
    },
    async close() {
      participant.off('pending', onPending)
      await Promise.all(channels.map((channel) => channel.close()))
    },
  }
}

function notified({ id, role, facts, firstAskedAt }: PendingRequest): NotifiedRequest {
  const { kind, imageDigest, project, instance } = facts
  return {
    ...{ id, role, kind, firstAskedAt },
    ...(imageDigest !== undefined && { imageDigest }),
    ...(project !== undefined && { project }),
    ...(instance !== undefined && { instance }),
  }
}
