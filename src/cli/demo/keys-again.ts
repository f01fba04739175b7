// A joined network shows its keys to nobody, as it should. To search for them, the workload goes the same way
// once more, message by message: shares, then keys. They stay in this process.

import { timingSafeEqual } from 'node:crypto'
import { verifySignedDescriptor } from '../../consent/descriptor/signed.js'
import { deriveNetworkKeys } from '../../consent/shares/keys.js'
import type { JoinOptions, Network } from '../../consent/workload/index.js'
import { askForShare } from '../../consent/workload/round.js'

/** @returns the shares that the network was made of, and every key of it. */
export async function keysOfNetwork(
  network: Network,
  options: JoinOptions,
  addresses: Readonly<Record<string, string>>,
): Promise<Uint8Array[]> {
  const verified = verifySignedDescriptor(options.descriptor)
  const { t } = verified.descriptor
  const labels = network.leases.slice(0, t).map(({ label }) => label)
  const shares = new Map<string, Uint8Array>()
  for (const label of labels) {
    const result = await askForShare({
      verified,
      label,
      role: options.role,
      instance: Buffer.alloc(16, 1).toString('base64url'),
      renews: undefined,
      attester: options.attester,
      urls: [new URL(addresses[label] ?? '')],
      signal: AbortSignal.timeout(5_000),
      onSent: () => 0,
      onChallenge: () => undefined,
    })
    if ('refused' in result) throw new Error(`${label} refused the share that it gave before`)
    shares.set(label, result.released.share)
  }
  const { keys, kcv } = deriveNetworkKeys(verified, shares)
  if (!timingSafeEqual(Buffer.from(kcv), Buffer.from(network.kcv))) {
    throw new Error('expected the keys of the network, got others')
  }
  return [...shares.values(), ...Object.values(keys)]
}
