import { describe, expect, it } from 'vitest'
import type { Network } from '../../../src/consent/workload/index.js'
import { waitFor } from '../../support/wait.js'
import { type TestNetwork, testNetwork } from '../network.js'
import {
  echoDtls,
  echoTls,
  endOf,
  openDtls,
  openTls,
  rejection,
  talk,
  talkDtls,
} from './connections.js'
import { FakeClock } from './fake-clock.js'
import { consentRig } from './rig.js'

const OVERLAP = 10_000
/** A policy's default. */
const LEASE_MS = 600_000

/** Two epochs by the same people, and workloads that ask each epoch's participants. */
async function twoEpochs(clock?: FakeClock) {
  const options = clock === undefined ? {} : { clock }
  const first = await consentRig(options)
  const next = testNetwork({ keys: first.network.keys, fields: { epoch: 2 } })
  // The machines go on with the environment that they were started with, and tell it in every token.
  const policy = { predecessors: [first.network.verified.hashHex] }
  const second = await consentRig({ ...options, network: next, issuer: first.issuer, policy })
  let asked = first
  const participants = async (label: string) => [`${asked.urls[label]}`]
  const [client, server] = await Promise.all([
    first.join('client', { participants }),
    first.join('server', { participants }),
  ])
  const turn = (): void => {
    asked = second
  }
  return { first, second, next, client, server, turn }
}

async function advanced(network: Network, next: TestNetwork, overlap = OVERLAP): Promise<void> {
  await network.advance(next.signed, { overlap })
}

describe('consent/epochs', () => {
  it('moves over without an interruption: both epochs are served during the overlap', async () => {
    const clock = new FakeClock()
    const { next, client, server, turn } = await twoEpochs(clock)
    const tls = await echoTls(server)
    const dtls = await echoDtls(server)
    const old = await openTls(client, tls.port)
    const oldDatagrams = await openDtls(client, dtls.port)
    const before = { identity: client.identity, kcv: client.kcv }
    turn()
    const epochs: number[] = []
    server.on('advanced', (epoch) => epochs.push(epoch))
    await advanced(server, next)
    expect(server.epoch).toBe(2)
    expect(epochs).toEqual([2])
    // A client that has not moved yet still gets in.
    const late = await openTls(client, tls.port)
    expect(late.pskIdentity?.toString()).toBe(before.identity)
    await advanced(client, next)
    expect(client.identity).not.toBe(before.identity)
    expect(client.kcv).not.toBe(before.kcv)
    expect(client.kcv).toBe(server.kcv)
    const fresh = await openTls(client, tls.port)
    expect(fresh.pskIdentity?.toString()).toBe(client.identity)
    const freshDatagrams = await openDtls(client, dtls.port)
    expect(await talk(old)).toBe('hello')
    expect(await talk(fresh)).toBe('hello')
    const ends = [old, late, oldDatagrams].map(endOf)
    clock.advance(OVERLAP + 1)
    for (const error of await Promise.all(ends)) {
      expect(error?.code).toBe('MCBN_CONSENT_ENDED')
      expect(error?.message).toMatch(/epoch 1/)
    }
    expect(await talk(fresh)).toBe('hello')
    expect(await talkDtls(freshDatagrams)).toBe('hello')
    expect(server.connections).toBe(2)
  })

  it('refuses the old epoch once the overlap is over', async () => {
    const clock = new FakeClock()
    const { next, client, server, turn } = await twoEpochs(clock)
    const { port } = await echoTls(server)
    turn()
    await advanced(server, next)
    clock.advance(OVERLAP + 1)
    const error = await rejection(client.tls.connect({ host: '127.0.0.1', port }).opened)
    expect(['MCBN_HANDSHAKE_FAILED', 'MCBN_PSK_MISMATCH']).toContain(error.code)
  })

  it('stays in its epoch when the next one cannot be joined', async () => {
    const { next, client, server, turn, second } = await twoEpochs()
    const { port } = await echoTls(server)
    turn()
    for (const participant of second.participants.values()) await participant.withdraw()
    const error = await rejection(client.advance(next.signed))
    expect(error.code).toBe('MCBN_CONSENT_INSUFFICIENT')
    expect(client.epoch).toBe(1)
    expect(await talk(await openTls(client, port))).toBe('hello')
  })

  it('takes only a later epoch of the same network by the same people, unless it is pinned', async () => {
    const { first, client } = await twoEpochs()
    const { keys } = first.network
    const wrong: readonly (readonly [TestNetwork, RegExp])[] = [
      [testNetwork({ keys }), /epoch: expected one after 1, got 1/],
      [testNetwork({ keys, fields: { epoch: 0 } }), /epoch: expected one after 1, got 0/],
      [
        testNetwork({ keys, fields: { epoch: 2, network: 'another' } }),
        /network: expected the same/,
      ],
      [testNetwork({ fields: { epoch: 2 } }), /alice: expected the same participant and key/],
      [
        testNetwork({ keys, labels: ['alice', 'bob'], fields: { epoch: 2 } }),
        /carol: expected the same participant/,
      ],
    ]
    for (const [network, message] of wrong) {
      const error = await rejection(client.advance(network.signed))
      expect(error.code).toBe('MCBN_DESCRIPTOR_INVALID')
      expect(error.message).toMatch(message)
    }
    const others = testNetwork({ fields: { epoch: 2 } })
    const pin = '00'.repeat(32)
    const error = await rejection(client.advance(others.signed, { descriptorHash: pin }))
    expect(error.message).toMatch(/expected hash 0000/)
    expect(client.epoch).toBe(1)
  })

  it('advances once at a time, and not after its end', async () => {
    const { next, client, turn } = await twoEpochs()
    turn()
    const going = client.advance(next.signed)
    expect((await rejection(client.advance(next.signed))).code).toBe('MCBN_OPTION_CONFLICT')
    await going
    await client.close()
    expect((await rejection(client.advance(next.signed))).code).toBe('MCBN_CONSENT_ENDED')
  })

  it('gives up joining the next epoch when the network ends meanwhile', async () => {
    const { next, client, turn } = await twoEpochs()
    turn()
    const going = rejection(client.advance(next.signed))
    await client.close()
    expect((await going).code).toBe('MCBN_CONSENT_ENDED')
  })

  it('ends the old epoch during the overlap as soon as its own leases end', async () => {
    const clock = new FakeClock()
    const { next, client, server, turn } = await twoEpochs(clock)
    const { port } = await echoTls(server)
    const old = await openTls(client, port)
    turn()
    await advanced(client, next, 3_600_000)
    const end = endOf(old)
    // The old epoch's participants are not asked any more: somebody else answers at their addresses.
    clock.advance(LEASE_MS * 0.61)
    await waitFor('the new epoch is renewed', () =>
      client.leases.every(({ renewals }) => renewals === 1),
    )
    expect(old.destroyed).toBe(false)
    clock.advance(LEASE_MS * 0.4)
    expect((await end)?.message).toMatch(/epoch 1 could not be renewed/)
    expect(client.leases).toHaveLength(3)
    expect(client.epoch).toBe(2)
  })
})
