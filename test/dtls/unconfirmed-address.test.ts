// How an address is confirmed, and what a session may do from one that is not.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { TYPE } from '../support/dtls-wire.js'
import { waitFor } from '../support/wait.js'
import { heardBy, open, text } from './moving-peer.js'
import { LOOPBACK, rawSocket } from './support.js'

describe('dtls/unconfirmed address', () => {
  it('confirms the address that the application saw, not one that the peer named since', async () => {
    const { server, port, peer, socket } = await open()
    const [first, second] = [await rawSocket(), await rawSocket()]
    const changed = once(socket, 'addressChange')
    first.send(peer.protect(TYPE.applicationData, text('from the first')), port, LOOPBACK)
    await changed
    // The proof comes from elsewhere: the message is there before the news of its address.
    socket.on('message', () => socket.confirmAddress())
    const changedAgain = once(socket, 'addressChange')
    const proof = peer.protect(TYPE.applicationData, text('proof'))
    const heard = heardBy(second)
    second.send(proof, port, LOOPBACK)
    await changedAgain
    expect(socket.remotePort).toBe(second.address().port)
    for (let i = 0; i < 20; i += 1) socket.send('0123456789')
    await waitFor('the limit', () => (server.stats.dropped['unconfirmedAddress'] ?? 0) > 0)
    await sleep(50)
    expect(heard.reduce((sum, each) => sum + each.length, 0)).toBeLessThanOrEqual(3 * proof.length)
  })

  it('hands out what came together before it names another address', async () => {
    const { peer, port, socket } = await open()
    const told: string[] = []
    socket.on('messages', (batch) => told.push(...batch.map(String)))
    socket.on('addressChange', () => told.push('moved'))
    const moved = await rawSocket()
    peer.send(peer.protect(TYPE.applicationData, text('before')))
    moved.send(peer.protect(TYPE.applicationData, text('with it')), port, LOOPBACK)
    // Both are in one batch.
    const until = Date.now() + 50
    while (Date.now() < until);
    await waitFor('all', () => told.length === 3)
    expect(told).toEqual(['before', 'with it', 'moved'])
  })
})
