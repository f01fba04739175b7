// A client is led back to itself (the Selfie attack, RFC 9257 section 4.2): both ends of a network have
// the same key, so only the roles keep a workload from talking to itself.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { listen } from '../../tls/support.js'
import { rejection } from '../workload/connections.js'
import { consentRig } from '../workload/rig.js'

describe('attack 25: reflection', () => {
  it('finds no client that listens: the library does not let it', async () => {
    const rig = await consentRig()
    const client = await rig.join('client')
    for (const listening of [
      () => client.tls.createServer({}),
      () => client.dtls.createServer({}),
    ]) {
      expect(listening).toThrow(
        expect.objectContaining({
          code: 'MCBN_OPTION_CONFLICT',
          message: expect.stringMatching(
            /this workload joined as client; a client of a network only connects, it never listens, so that nobody can make it talk to itself/,
          ),
        }),
      )
    }
  })

  it('finds no server that connects', async () => {
    const rig = await consentRig()
    const server = await rig.join('server')
    expect(() => server.tls.connect({ port: 1 })).toThrow(/it never connects, so that nobody/)
    expect(() => server.dtls.connect({ port: 1 })).toThrow(/it never connects, so that nobody/)
  })

  it("cannot be had for evidence of the other role: the server's image does not become a client", async () => {
    const rig = await consentRig()
    rig.workloads.client = rig.workloads.server
    const error = await rejection(rig.join('client'))
    expect(error).toMatchObject({
      code: 'MCBN_CONSENT_INSUFFICIENT',
      refused: expect.arrayContaining([expect.objectContaining({ code: 'policy' })]),
    })
  })

  it("gives a TLS client its own bytes back: they are no server's", async () => {
    const rig = await consentRig()
    const client = await rig.join('client')
    const port = await listen(createServer((socket) => socket.on('error', () => {}).pipe(socket)))
    for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
      const socket = client.tls.connect({ host: '127.0.0.1', port, maxVersion })
      const error = await rejection(socket.opened)
      expect(['MCBN_PROTOCOL_ERROR', 'MCBN_HANDSHAKE_FAILED']).toContain(error.code)
    }
  })

  it('gives a DTLS client its own datagrams back', async () => {
    const rig = await consentRig()
    const client = await rig.join('client')
    const mirror = createSocket('udp4', (message, { port, address }) => {
      mirror.send(message, port, address)
    })
    mirror.bind(0, '127.0.0.1')
    await once(mirror, 'listening')
    const socket = client.dtls.connect({
      host: '127.0.0.1',
      port: mirror.address().port,
      handshakeTimeout: 1_500,
    })
    const error = await rejection(socket.opened)
    expect(['MCBN_PROTOCOL_ERROR', 'MCBN_HANDSHAKE_FAILED', 'MCBN_HANDSHAKE_TIMEOUT']).toContain(
      error.code,
    )
    mirror.close()
  })
})
