// Somebody without a key, who tries whether identities exist. No mcbn client: it sends what it likes.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DtlsServerOptions } from '../../src/dtls/index.js'
import { DtlsPeer } from '../support/dtls-peer.js'

export const KNOWN = 'Client1'
export const UNKNOWN = 'Client2'
export type Who = typeof KNOWN | typeof UNKNOWN

export const KEY = randomBytes(32)
/** Keys, in every way in which a server can have them. */
export const SOURCES: Readonly<Record<string, DtlsServerOptions['psk']>> = {
  'a table': { [KNOWN]: KEY },
  'a function': ({ identityText }) => (identityText === KNOWN ? KEY : null),
  'a function that takes its time': ({ identityText }) =>
    sleep(5).then(() => (identityText === KNOWN ? KEY : null)),
}

/** A client with another key than the server's, up to its last flight. */
export async function prober(port: number, who: Who): Promise<DtlsPeer> {
  const peer = await DtlsPeer.create({ port, identity: Buffer.from(who), key: randomBytes(32) })
  await peer.hello()
  return peer
}
