// A client keeps a session of better days and comes back with it after the withdrawal. Sessions cannot be
// resumed at all: each connection proves the key anew, and there is none.

import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { deriveNetworkKeys } from '../../../src/consent/shares/keys.js'
import { echoTls, openTls, talk } from '../workload/connections.js'
import { FakeClock } from '../workload/fake-clock.js'
import { consentRig } from '../workload/rig.js'

const VERSIONS = [
  ['TLSv1.3', 'tls13', 'TLS_AES_128_GCM_SHA256'],
  ['TLSv1.2', 'tls12', 'ECDHE-PSK-CHACHA20-POLY1305'],
] as const

describe('attack 22: withdrawn, but an old ticket', () => {
  it.each(VERSIONS)(
    'gets no ticket on %s to begin with, and no entry with what it has',
    async (version, protocol, ciphers) => {
      const clock = new FakeClock()
      const rig = await consentRig({ clock })
      const server = await rig.join('server')
      const { port, server: listener } = await echoTls(server)
      // A client that does what it likes, with the right key: a workload gone bad.
      const { keys } = deriveNetworkKeys(rig.network.verified, rig.network.shares)
      const psk = Buffer.from(keys[protocol] ?? [])
      const sessions: Buffer[] = []
      const dial = (session?: Buffer): TLSSocket => {
        const socket = connect({
          host: '127.0.0.1',
          port,
          minVersion: version,
          maxVersion: version,
          ciphers,
          pskCallback: () => ({ identity: server.identity, psk }),
          checkServerIdentity: () => undefined,
          ...(session && { session }),
        })
        socket.on('error', () => {})
        socket.on('session', (ticket) => sessions.push(ticket))
        return socket
      }
      const good = dial()
      await once(good, 'secureConnect')
      good.write('hello')
      await once(good, 'data')
      // OpenSSL calls every TLS 1.3 handshake with a PSK resumed, so there the ticket itself is looked for;
      // on TLS 1.2 a client is handed its session anyway, and what counts is the next time.
      const kept = sessions.at(-1) ?? good.getSession()
      if (version === 'TLSv1.3') expect(sessions).toEqual([])
      const again = dial(kept)
      await once(again, 'secureConnect')
      if (version === 'TLSv1.2') expect(again.isSessionReused()).toBe(false)

      for (const participant of rig.participants.values()) await participant.withdraw()
      const gone = Promise.all([good, again].map((socket) => once(socket, 'close')))
      clock.advance(600_000 * 0.61)
      expect((await server.ended).code).toBe('withdrawn')
      await gone
      expect(listener.listening).toBe(false)
      const late = dial(kept)
      const opened = await Promise.race([
        once(late, 'secureConnect').then(() => true),
        new Promise((resolve) => late.once('close', () => resolve(false))),
      ]).catch(() => false)
      expect(opened).toBe(false)
    },
  )

  it('nor may a client of the library come back: its network has ended too', async () => {
    const clock = new FakeClock()
    const rig = await consentRig({ clock })
    const [client, server] = await Promise.all([rig.join('client'), rig.join('server')])
    const { port } = await echoTls(server)
    expect(await talk(await openTls(client, port))).toBe('hello')
    for (const participant of rig.participants.values()) await participant.withdraw()
    clock.advance(600_000 * 0.61)
    await Promise.all([client.ended, server.ended])
    expect(() => client.tls.connect({ host: '127.0.0.1', port })).toThrow(
      expect.objectContaining({
        code: 'MCBN_CONSENT_ENDED',
        message: expect.stringMatching(/was withdrawn by .*; another epoch without them is needed/),
      }),
    )
  })
})
