// Clients with a connection ID that change their port, on a server with several I/O threads: the new port's hash
// may be another thread's, the ID leads to the one that has the session.

import { describe, expect, it } from 'vitest'
import { createServer } from '../../src/dtls/index.js'
import { Nat } from '../support/nat.js'
import { dialOpen, echo, freshKey, identity, roundTrip } from './support.js'

const CLIENTS = 8
const MOVES = 4
const key = freshKey()

describe('dtls/ioThreads and connectionId', () => {
  it.skipIf(process.platform !== 'linux').each([2, 3])(
    'clients that change their port stay with their thread, of %i',
    async (ioThreads) => {
      const { server, port } = await echo({
        psk: { [identity]: key },
        ioThreads,
        connectionId: true,
      })
      const nats = await Promise.all(Array.from({ length: CLIENTS }, () => Nat.start(port)))
      const clients = await Promise.all(
        nats.map((nat) => dialOpen({ port: nat.port, psk: { identity, key }, connectionId: true })),
      )
      const before = server.stats.sessionsByThread
      expect(before).toHaveLength(ioThreads)
      for (let move = 1; move <= MOVES; move += 1) {
        await Promise.all(nats.map((nat) => nat.move()))
        await Promise.all(clients.map((client, index) => roundTrip(client, `${index}, ${move}`)))
      }
      // The hash alone would not find the right thread for all of them each time.
      expect(server.stats).toMatchObject({
        sessions: CLIENTS,
        sessionsByThread: before,
        handshakesCompleted: CLIENTS,
      })
      expect(server.stats.dropped['unknownConnectionId']).toBe(0)
      for (const { connectionId } of clients) {
        expect(connectionId?.remote[0]).toBeLessThan(ioThreads)
      }
    },
  )

  it('an ID of no byte cannot lead to one of several threads', () => {
    expect(() => createServer({ psk: {}, ioThreads: 2, connectionId: 0 })).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' }),
    )
    expect(() => createServer({ psk: {}, ioThreads: 1, connectionId: 0 })).not.toThrow()
    expect(() => createServer({ psk: {}, ioThreads: 2, connectionId: 1 })).not.toThrow()
  })
})
