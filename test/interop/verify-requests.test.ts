// A stranger's HelloVerifyRequest between mcbn and servers of other libraries: one before the server's, one behind
// it. Each connects, also those that count their HelloVerifyRequests by themselves, except where the server ends
// the handshake over a foreign cookie.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { MESSAGE, recordsOf, TYPE, verifyRequest } from '../support/dtls-wire.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { COAP_GET } from './commands.js'
import { OLDER_SERVERS, OLDER_SUITE, warnOfLacking } from './older-servers.js'
import { connectTo, IDENTITY, refusedBy } from './support.js'

const isVerifyRequest = (datagram: Buffer): boolean =>
  recordsOf(datagram).some(
    ({ type, epoch, fragment }) =>
      type === TYPE.handshake && epoch === 0 && fragment[0] === MESSAGE.helloVerifyRequest,
  )

describe.each(OLDER_SERVERS)('interop/verify requests: $name', (server) => {
  warnOfLacking(server)

  it.skipIf(server.lacks).each(['before', 'behind'] as const)(
    'connects with a stranger’s HelloVerifyRequest %s its own',
    { timeout: 60_000 },
    async (when) => {
      const { port, heard, says } = await server.serve()
      const proxy = await LossyProxy.start(port)
      let forged = 0
      proxy.pass = (datagram, direction) => {
        if (direction === 'to client' && isVerifyRequest(datagram) && forged === 0) {
          forged += 1
          if (when === 'before') proxy.inject(verifyRequest(0), 'to client')
          else setImmediate(() => proxy.inject(verifyRequest(0), 'to client'))
        }
        return true
      }
      const { suite = OLDER_SUITE, mtu, refuses, key } = server
      const psk = key && { psk: { identity: IDENTITY, key } }
      const options = { ciphers: suite, ...(mtu && { mtu }), ...psk }
      if (refuses && when === 'before') {
        const error = await refusedBy('dtls', proxy.port, options)
        return expect(error.alert).toBe(refuses)
      }
      const client = await connectTo('dtls', proxy.port, options)
      const text = says ?? `after it ${randomUUID()}`
      client.send(says ? COAP_GET : text)
      await (heard ? heard(text) : client.receives(text))
      expect(forged).toBe(1)
    },
  )
})
