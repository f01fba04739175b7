import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { Role } from '../../../src/consent/descriptor/types.js'
import type { Network } from '../../../src/consent/workload/index.js'
import * as plainTls from '../../../src/tls/index.js'
import { waitFor } from '../../support/wait.js'
import { echoDtls, echoTls, endOf, openDtls, openTls, rejection, talk } from './connections.js'
import { FakeClock } from './fake-clock.js'
import { consentRig } from './rig.js'

const conflict = (message: RegExp) =>
  expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT', message: expect.stringMatching(message) })

async function pair(options: Parameters<typeof consentRig>[0] = {}) {
  const rig = await consentRig(options)
  const [client, server] = await Promise.all([rig.join('client'), rig.join('server')])
  return { rig, client, server }
}

describe('consent/network', () => {
  it('confines each role to its own end', async () => {
    const { client, server } = await pair()
    const tries: readonly (readonly [() => unknown, string, Role])[] = [
      [() => client.tls.createServer({}), 'tls.createServer', 'client'],
      [() => client.dtls.createServer({}), 'dtls.createServer', 'client'],
      [() => server.tls.connect({ port: 1 }), 'tls.connect', 'server'],
      [() => server.dtls.connect({ port: 1 }), 'dtls.connect', 'server'],
    ]
    for (const [attempt, call, role] of tries) {
      expect(attempt).toThrow(conflict(new RegExp(`^${call}: this workload joined as ${role}; `)))
    }
  })

  it('has its own keys and takes no other', async () => {
    const { client, server } = await pair()
    const psk = { identity: 'x', key: Buffer.alloc(32, 7) }
    expect(() => client.tls.connect({ port: 1, psk } as never)).toThrow(
      conflict(/^psk: expected none/),
    )
    expect(() => client.dtls.connect({ port: 1, psk } as never)).toThrow(conflict(/^psk/))
    expect(() => server.tls.createServer({ psk } as never)).toThrow(conflict(/^psk/))
    expect(() => server.dtls.createServer({ psk } as never)).toThrow(conflict(/^psk/))
  })

  it('refuses protocols that the descriptor does not have', async () => {
    const { client, server } = await pair({ fields: { protocols: ['tls13'] } })
    expect(() => client.dtls.connect({ port: 1 })).toThrow(conflict(/^dtls: .*\(tls13\)/))
    expect(() => server.dtls.createServer({})).toThrow(conflict(/^dtls/))
    const old = { maxVersion: 'TLSv1.2' } as const
    expect(() => client.tls.connect({ port: 1, ...old })).toThrow(conflict(/^tls: .*\(tls13\)/))
    expect(() => server.tls.createServer(old)).toThrow(conflict(/^tls/))
    const { port } = await echoTls(server)
    expect((await openTls(client, port)).getProtocol()).toBe('TLSv1.3')
  })

  it('speaks DTLS alone where the descriptor says so', async () => {
    const { client, server } = await pair({ fields: { protocols: ['dtls12'] } })
    expect(() => client.tls.connect({ port: 1 })).toThrow(conflict(/^tls: .*\(dtls12\)/))
    const { port } = await echoDtls(server)
    expect((await openDtls(client, port)).getProtocol()).toBe('DTLSv1.2')
    // No descriptor has a key for DTLS 1.3.
    const newer = { minVersion: 'DTLSv1.3' } as never
    expect(() => client.dtls.connect(newer)).toThrow(conflict(/^minVersion: expected none/))
    expect(() => server.dtls.createServer(newer)).toThrow(conflict(/^minVersion/))
  })

  it('refuses strangers, and peers that know only the identity', async () => {
    const { client, server } = await pair()
    const { port, failures } = await echoTls(server)
    for (const identity of ['stranger', client.identity]) {
      const psk = { identity, key: Buffer.alloc(32, 7) }
      const error = await rejection(plainTls.connect({ port, host: '127.0.0.1', psk }).opened)
      expect(['MCBN_HANDSHAKE_FAILED', 'MCBN_PSK_MISMATCH']).toContain(error.code)
    }
    await waitFor('the server told of both', () => failures.length === 2)
    expect(await talk(await openTls(client, port))).toBe('hello')
  })

  it('forgets sockets as they close: hundreds of connections leave nothing', async () => {
    const { client, server } = await pair()
    const { port } = await echoTls(server)
    for (let round = 0; round < 15; round += 1) {
      const sockets = await Promise.all(
        Array.from({ length: 20 }, () => openTls(client, port, { maxVersion: 'TLSv1.3' })),
      )
      for (const socket of sockets) socket.destroy()
    }
    await waitFor('all are forgotten', () => client.connections === 0 && server.connections === 0)
  })

  it('ends connections whose handshake is under way when consent ends', async () => {
    const { server } = await pair()
    // Nothing else would end it.
    const { server: listener, port } = await echoTls(server, { handshakeTimeout: 0 })
    const silent = connectTcp(port, '127.0.0.1')
    silent.on('error', () => {})
    await Promise.all([once(silent, 'connect'), once(listener, 'connection')])
    const closed = once(silent, 'close')
    await server.close()
    await closed
  })

  it('ends clients that are still connecting', async () => {
    const { client } = await pair()
    const holder = (await import('node:net')).createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as { port: number }
    const socket = client.tls.connect({ host: '127.0.0.1', port })
    const opened = rejection(socket.opened)
    await once(holder, 'connection')
    await client.close()
    expect((await opened).code).toBe('MCBN_CONSENT_ENDED')
    holder.close()
  })

  it('does not end a program that listens to no errors', async () => {
    const { client, server } = await pair()
    const { port } = await echoTls(server)
    const socket = await openTls(client, port)
    socket.removeAllListeners('error')
    // Not by once(): that would listen to errors itself.
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
    await client.close()
    await closed
    expect(socket.errored).toMatchObject({ code: 'MCBN_CONSENT_ENDED' })
  })

  it('is disposed of by await using', async () => {
    const rig = await consentRig()
    let kept: Network | undefined
    {
      await using network = await rig.join('server')
      kept = network
    }
    expect((await kept.ended).code).toBe('closed')
  })

  it('lets data through in both directions without its own limit', async () => {
    const { client, server } = await pair()
    const { port } = await echoTls(server)
    const socket = await openTls(client, port)
    const sent = Buffer.alloc(3_000_000, 'x')
    let received = 0
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (received === sent.length) socket.end()
    })
    const end = endOf(socket)
    socket.cork()
    for (let at = 0; at < sent.length; at += 100_000) socket.write(sent.subarray(at, at + 100_000))
    socket.uncork()
    expect(await end).toBeUndefined()
    expect(received).toBe(sent.length)
  })
})

describe('consent/network redundancy', () => {
  it('tells each change of how many agree, and none when the network has ended', async () => {
    const clock = new FakeClock()
    const rig = await consentRig({ t: 2, labels: ['alice', 'bob', 'carol', 'dave'], clock })
    const network = await rig.join('client')
    const told: (readonly [number, number, number])[] = []
    network.on('redundancy', ({ have, need, of }) => void told.push([have, need, of]))
    await waitFor('all four leases', () => network.redundancy.have === 4)
    for (const [at, label] of ['dave', 'carol'].entries()) {
      await rig.participants.get(label)?.withdraw()
      clock.advance(366_000)
      await waitFor(`${label} to be gone, and the others renewed`, () => {
        const { leases } = network
        return leases.length === 3 - at && leases.every(({ renewals }) => renewals > at)
      })
    }
    expect(network.redundancy).toEqual({ have: 2, need: 2, of: 4 })
    // Two came while it was joined already, or three; each change is told once.
    const have = told.map(([number]) => number)
    expect(have.slice(-3)).toEqual([4, 3, 2])
    expect(told.every(([, need, of]) => need === 2 && of === 4)).toBe(true)
    for (let at = 1; at < have.length; at++) expect(have[at]).not.toBe(have[at - 1])
    await rig.participants.get('bob')?.withdraw()
    clock.advance(366_000)
    await network.ended
    expect(told).toHaveLength(have.length)
  })
})
