import { joinEpoch, Network } from './network.js'
import { resolveJoin } from './options.js'
import type { JoinOptions } from './types.js'

/**
 * Joins a network: asks all participants at once, verifies what they release, and derives the keys as soon
 * as enough of them agree. Until then there is no key, and nothing listens.
 *
 * Those that are silent, busy, wait for a person, or name a time are asked again, with growing waits,
 * until `deadline`. A message that was altered on the way blames nobody; a validly signed, bad share
 * blames its participant: where all are needed joining stops, otherwise it goes on with the others.
 *
 * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID`, `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`;
 * `MCBN_ATTESTER_FAILED`; `MCBN_SHARE_INVALID` with `participant`; the signal's reason.
 * {@link InsufficientConsentError} `MCBN_CONSENT_INSUFFICIENT` with `refused` and `silent`: whom to ask.
 */
export async function join(options: JoinOptions): Promise<Network> {
  const { settings, verified } = resolveJoin(options)
  const network = new Network(verified, settings)
  await joinEpoch(network, options.signal)
  return network
}
