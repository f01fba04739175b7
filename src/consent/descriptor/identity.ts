import { createHash } from 'node:crypto'
import { lengthPrefixed } from '../../psk/encoding.js'

/** Characters of base64url that a connection's identity keeps: 132 bits. */
const IDENTITY_CHARACTERS = 22

/**
 * The PSK identity of connections between two roles of one descriptor: opaque on the wire, since it travels
 * in the clear (RFC 4279 section 5.1), and another one for every epoch.
 *
 * `mcbn1.` and 22 characters of base64url(SHA-256(lp("mcbn/1 id") || dh || lp(client id) || lp(server id))).
 *
 * @param descriptorHash - dh, 32 bytes.
 */
export function connectionIdentity(
  descriptorHash: Uint8Array,
  clientId: string,
  serverId: string,
): string {
  const digest = createHash('sha256')
    .update(lengthPrefixed('mcbn/1 id'))
    .update(descriptorHash)
    .update(lengthPrefixed(clientId))
    .update(lengthPrefixed(serverId))
    .digest('base64url')
  return `mcbn1.${digest.slice(0, IDENTITY_CHARACTERS)}`
}
