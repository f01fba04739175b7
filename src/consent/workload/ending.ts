// What sockets and calls are told when consent is no more.

import { McbnError } from '../../errors.js'
import type { EndReason } from './types.js'

/** The error for everything that needed a consent that has ended. */
export function endedError(reason: EndReason): McbnError {
  return new McbnError('MCBN_CONSENT_ENDED', `the consent of epoch ${reason.epoch} ${why(reason)}`)
}

/** The reason as the end of a sentence about a network or an epoch. */
export function why({ code, labels }: EndReason): string {
  const who = labels.length > 0 ? labels.join(', ') : 'all participants'
  switch (code) {
    case 'withdrawn':
      return `was withdrawn by ${who}; another epoch without them is needed`
    case 'unrenewed':
      return `could not be renewed with ${who}: they refused, or somebody keeps their answers back`
    case 'expired':
      return `expired (${who}): the machine was paused, its clock was set, or the validity is over`
    case 'closed':
      return 'was given up by this workload'
  }
}
