// New keys for a session that is open.

import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { booleanOption, objectOption } from '../options.js'
import type { SessionFacts } from './session-facts.js'
import type { SocketHome } from './socket-home.js'

/** In which directions {@link DtlsSocket.updateKeys} renews the keys. */
export interface DtlsKeyUpdateOptions {
  /**
   * Asks the peer to send with new keys too.
   *
   * @defaultValue true
   */
  readonly both?: boolean
}

const KEY_UPDATE_OPTIONS = { both: true } as const satisfies OptionTable<DtlsKeyUpdateOptions>

/** @throws {McbnError} `MCBN_OPTION_CONFLICT` with DTLS 1.2; `MCBN_OPTION_TYPE`, `MCBN_OPTION_UNKNOWN`. */
export function updateKeysOf(
  { thread, endpoint }: SocketHome,
  session: number,
  { terms }: SessionFacts,
  options: DtlsKeyUpdateOptions,
): void {
  objectOption('options', options)
  refuseUnknown('updateKeys', options, KEY_UPDATE_OPTIONS)
  const both = booleanOption('both', options.both, KEY_UPDATE_OPTIONS.both)
  if (terms.protocol === 'DTLSv1.2') {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      "updateKeys: expected a session of DTLS 1.3 (minVersion: 'DTLSv1.3'); DTLS 1.2 has the same keys to its end",
    )
  }
  thread.flush()
  thread.native.updateKeys(endpoint, session, both)
}
