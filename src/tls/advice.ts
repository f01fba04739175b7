// Options of node:tls, node:net and node:http that people bring along, and what to do instead.

import { adviceFor, type OptionAdvice } from '../option-names.js'

const NO_CERTIFICATES =
  'a pre-shared key takes the place of certificates: leave it out, or use node:tls'
const NO_RESUMPTION =
  'sessions are never resumed, so that a revoked key cannot come back: leave it out'
const USE_VERSIONS = "use minVersion and maxVersion, 'TLSv1.2' or 'TLSv1.3'"
const HOST_AND_PORT = 'it is an option of node:http: give tls.connect host, port and psk only'

/** For `tls.connect` and `tls.createServer`. */
export const TLS_ADVICE: OptionAdvice = {
  ...adviceFor(
    [
      'ca',
      'cert',
      'checkServerIdentity',
      'crl',
      'key',
      'passphrase',
      'pfx',
      'rejectUnauthorized',
      'requestCert',
      'requestOCSP',
      'secureContext',
      'sigalgs',
      'SNICallback',
    ],
    NO_CERTIFICATES,
  ),
  ...adviceFor(['session', 'sessionIdContext', 'sessionTimeout', 'ticketKeys'], NO_RESUMPTION),
  ...adviceFor(['secureProtocol', 'secureOptions'], USE_VERSIONS),
  ...adviceFor(['agent', 'auth', 'headers', 'method', 'protocol', 'socketPath'], HOST_AND_PORT),
  pskCallback: 'use psk, a credential or a function that gives one',
  pskIdentity: 'use psk: { identity, key }',
  honorCipherOrder: "a server's order of ciphers always counts: leave it out",
  timeout: 'for the handshake use handshakeTimeout, later call setTimeout on the socket',
  maxConnections: 'set the property of that name on the server',
}
