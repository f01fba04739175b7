// libcoap's example programs: CoAP over DTLS (RFC 7252 section 9), with OpenSSL and with GnuTLS.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as dtls from '../../src/dtls/index.js'
import { start } from '../support/process.js'
import { COAP_ANSWER, COAP_GET, COAP_KEY, libcoapServer } from './commands.js'
import { describeWithOptionalPeers } from './optional-peers.js'
import { connectTo, HINT, IDENTITY, LOOPBACK, refusedBy } from './support.js'

const key = Buffer.from(COAP_KEY)

/** Answers every confirmable request with 2.05 and a text (RFC 7252 section 3). */
function coapAnswer(request: Buffer, text: string): Buffer {
  const tokenLength = (request[0] ?? 0) & 0x0f
  const head = Buffer.from(request.subarray(0, 4 + tokenLength))
  head[0] = 0x60 | tokenLength // version 1, acknowledgement
  head[1] = 0x45 // 2.05 Content
  return Buffer.concat([head, Buffer.of(0xff), Buffer.from(text)])
}

async function coapServer(): Promise<{ port: number; facts: Promise<unknown> }> {
  const server = dtls.createServer({ psk: { [IDENTITY]: key }, pskIdentityHint: HINT })
  const facts = new Promise((resolve) => {
    server.on('secureConnection', (socket) => {
      resolve([socket.getProtocol(), socket.pskIdentity?.toString()])
      socket.on('message', (request) => socket.send(coapAnswer(request, 'an answer of mcbn')))
    })
  })
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  onTestFinished(() => server.close())
  return { port: (server.address() as AddressInfo).port, facts }
}

describe.each(['openssl', 'gnutls'])('interop/libcoap on %s', (library) => {
  const [client, server] = [`coap-client-${library}`, `coap-server-${library}`]

  describeWithOptionalPeers([client], client, () => {
    it('DTLS 1.2: gets its answer from an mcbn server', async () => {
      const { port, facts } = await coapServer()
      const peer = start(
        client,
        ['-k', COAP_KEY, '-u', IDENTITY, `coaps://${LOOPBACK}:${port}/anything`],
        { foreign: true },
      )
      await peer.output('an answer of mcbn')
      expect(await facts).toEqual(['DTLSv1.2', IDENTITY])
      expect((await peer.exited).code).toBe(0)
    })
  })

  describeWithOptionalPeers([server], server, () => {
    it.each([
      ['the default list', ''],
      ['PSK-AES128-CCM8 alone (RFC 7252 section 9.1.3.1)', 'PSK-AES128-CCM8'],
    ])('DTLS 1.2: answers an mcbn client with %s', async (_what, ciphers) => {
      const port = await libcoapServer(server)
      const connection = await connectTo('dtls', port, {
        ciphers,
        psk: (hint) => {
          expect(hint).toBe(HINT)
          return { identity: IDENTITY, key }
        },
      })
      connection.send(COAP_GET)
      await connection.receives(COAP_ANSWER)
      expect(connection.facts).toMatchObject({ protocol: 'DTLSv1.2', identity: IDENTITY })
      if (ciphers !== '') expect(connection.facts.cipher).toBe(ciphers)
    })

    it('DTLS 1.2: is refused by an mcbn client whose key differs, by name', async () => {
      const port = await libcoapServer(server)
      const psk = { identity: IDENTITY, key: Buffer.from('another text key') }
      expect((await refusedBy('dtls', port, { psk })).code).toBe('MCBN_PSK_MISMATCH')
    })
  })
})
