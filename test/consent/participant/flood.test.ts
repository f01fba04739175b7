// Strangers at the workload's own address: what they use up, and what they cannot.

import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../../src/consent/base/clock.js'
import { Gate } from '../../../src/consent/participant/gate.js'
import { serveParticipant } from '../../../src/consent/participant/http.js'
import { TrustedProxies } from '../../../src/consent/participant/sources.js'
import { sourceOf } from '../../../src/source.js'
import {
  ask,
  challenged,
  type Round,
  released,
  round,
  setup,
  tokenFor,
  workloadOf,
} from './fixture.js'

async function post(url: string, message: object, headers: Record<string, string> = {}) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(message),
  })
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

async function served(options: object = {}) {
  const alice = setup({ clock: systemClock })
  const server = await serveParticipant(alice.participant, { requestsPerSecond: 1, ...options })
  onTestFinished(async () => {
    await server.close()
    await alice.participant.close()
  })
  return { alice: { ...alice, clock: systemClock as never }, url: server.url }
}

/** What the workload has in common with the participant after a release. */
function secretsOf({ receiver, token, answer }: Round) {
  const { label, role, c, header, enc, ciphertext, dh } = released(answer)
  return receiver.openLease({ dh, role, label, c, token, header, enc, ciphertext }).lease
}

describe('participant/flood', () => {
  it('lets an instance renew that proves its lease, from an address that has used up all', async () => {
    const { alice, url } = await served()
    const first = await round(alice, 'client')
    const renews = secretsOf(first).renewal.toString('base64url')
    const { request: stranger } = await ask('client')
    const flood = await Promise.all(
      Array.from({ length: 15 }, () => post(`${url}/v1/request`, stranger)),
    )
    expect(flood.filter(({ status }) => status === 429)).toHaveLength(5)
    // Somebody who only says so is a stranger.
    const lying = { ...stranger, renews: stranger.r }
    expect((await post(`${url}/v1/request`, lying)).status).toBe(429)
    for (let at = 0; at < 10; at += 1) {
      await post(`${url}/v1/evidence`, { c: stranger.r, request: stranger, evidence: 1 })
    }

    const { request } = await ask('client', { renews })
    const challenge = await post(`${url}/v1/request`, request)
    expect(challenge.status).toBe(200)
    const c = String(challenge.body['c'])
    const token = await tokenFor(alice.participant, request, c, Date.now(), workloadOf('client'))
    const shown = { c, request, evidence: { kind: 'local', token } }
    expect((await post(`${url}/v1/evidence`, shown)).status).toBe(200)
    expect(alice.participant.leases()).toMatchObject([{ renewals: 1 }])
  })

  it('counts requests, evidence, status and withdrawal apart', async () => {
    const { url } = await served({ requestsPerSecond: 1 })
    const { request } = await ask('client')
    for (let at = 0; at < 12; at += 1) await post(`${url}/v1/request`, request)
    expect((await post(`${url}/v1/request`, request)).status).toBe(429)
    expect((await fetch(`${url}/v1/status`)).status).toBe(200)
    expect((await fetch(`${url}/v1/withdrawal`)).status).toBe(404)
    expect((await post(`${url}/v1/evidence`, {})).status).toBe(400)
  })

  it('keeps a place for a newcomer while strangers ask from 1,100 networks and leave each challenge open', async () => {
    const { alice, url } = await served({ trustedProxies: ['127.0.0.0/8'] })
    const { request } = await ask('client')
    const networks = Array.from({ length: 1_100 }, (_, at) => at).values()
    const strangers = Array.from({ length: 20 }, async () => {
      for (const at of networks) {
        const from = `2001:db8:${(at >> 4).toString(16)}:${(at & 15).toString(16)}::1`
        const { status } = await post(`${url}/v1/request`, request, { 'x-forwarded-for': from })
        // A site of 48 bits has asked no more than four networks of 64 may.
        expect(status).toBe(200)
      }
    })
    await Promise.all(strangers)
    released((await round(alice, 'client')).answer)
  })

  it('believes a proxy of the list, and nobody else, about who asks', async () => {
    const { url } = await served({ trustedProxies: ['127.0.0.0/8'] })
    const { request } = await ask('client')
    const from = (client: string) =>
      post(`${url}/v1/request`, request, { 'x-forwarded-for': client })
    for (let at = 0; at < 10; at += 1) await from('198.51.100.7')
    expect((await from('198.51.100.7')).status).toBe(429)
    expect((await from('198.51.100.8')).status).toBe(200)
    const direct = await served()
    const claimed = (client: string) =>
      post(`${direct.url}/v1/request`, request, { forwarded: `for=${client}` })
    for (let at = 0; at < 10; at += 1) await claimed(`198.51.100.${at}`)
    expect((await claimed('198.51.100.99')).status).toBe(429)
  })
})

describe('participant/gate', () => {
  it('keeps a place and a queue for holders of a lease', async () => {
    const gate = new Gate({ active: 2, waiting: 1 })
    const ends: (() => void)[] = []
    const began: string[] = []
    const start = (name: string, first: boolean) =>
      gate.run(first, () => {
        began.push(name)
        return new Promise<void>((resolve) => ends.push(resolve))
      })
    const all = ['a', 'b', 'c'].map((name) => start(name, false))
    expect([gate.isFull(false), gate.isFull(true)]).toEqual([true, false])
    all.push(start('lease 1', true), start('lease 2', true))
    expect(began).toEqual(['a', 'b', 'lease 1'])
    ends[0]?.()
    await expect.poll(() => began.at(-1)).toBe('lease 2')
    for (let at = 1; at < 5; at += 1) {
      await expect.poll(() => ends.length).toBeGreaterThan(at)
      ends[at]?.()
    }
    await Promise.all(all)
    expect(began).toEqual(['a', 'b', 'lease 1', 'lease 2', 'c'])
    expect(gate.isFull(false)).toBe(false)
  })
})

describe('participant/sources', () => {
  it('counts IPv6 by 64 bits and by 48', () => {
    expect(sourceOf('2001:db8:1:2:3:4:5:6')).toEqual({
      own: '2001:db8:1:2::/64',
      site: '2001:db8:1::/48',
    })
    expect(sourceOf('192.0.2.1')).toEqual({ own: '192.0.2.1' })
    // An IPv4 host behind NAT64 (RFC 6052).
    expect(sourceOf('64:ff9b::c000:201')).toEqual({ own: '64:ff9b::c000:201' })
  })

  const proxies = new TrustedProxies(['10.0.0.0/8', 'fd00::/8', '192.0.2.1'])
  it.each<[string, string, object, string]>([
    [
      'a stranger by its address, whatever it says',
      '203.0.113.9',
      { xForwardedFor: '1.2.3.4' },
      '203.0.113.9',
    ],
    ['what a proxy says', '10.1.1.1', { xForwardedFor: '203.0.113.5' }, '203.0.113.5'],
    [
      'the nearest that is not a proxy',
      '10.1.1.1',
      { xForwardedFor: '6.6.6.6, 203.0.113.5, 10.2.2.2' },
      '203.0.113.5',
    ],
    [
      'Forwarded before the older header',
      '192.0.2.1',
      { forwarded: 'for=203.0.113.5', xForwardedFor: '6.6.6.6' },
      '203.0.113.5',
    ],
    [
      'IPv6 with a port (RFC 7239 section 6)',
      'fd00::1',
      { forwarded: 'proto=http;For="[2001:db8::7]:4711"' },
      '2001:db8::7',
    ],
    ['IPv4 with a port', '::ffff:10.0.0.1', { forwarded: 'for="203.0.113.5:80"' }, '203.0.113.5'],
    ['the proxy where it hides who asks', '10.1.1.1', { forwarded: 'for=_hidden' }, '10.1.1.1'],
    ['the proxy where it says nonsense', '10.1.1.1', { xForwardedFor: '<script>' }, '10.1.1.1'],
    ['the proxy where it says nothing', '10.1.1.1', {}, '10.1.1.1'],
    [
      'no more than sixteen hops',
      '10.1.1.1',
      { xForwardedFor: `6.6.6.6, ${'10.0.0.9, '.repeat(20)}10.0.0.9` },
      '10.0.0.9',
    ],
  ])('takes %s', (_, remote, headers, client) => {
    expect(proxies.clientOf(remote, headers)).toBe(client)
  })

  it.each(['example.org', '10.0.0.0/33', '10.0.0.0/8/8', '', '::/129', '10.0.0.0/x'])(
    'refuses %j as a proxy',
    (entry) => {
      expect(() => new TrustedProxies([entry])).toThrow(
        expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
      )
    },
  )
})

describe('participant/lease return', () => {
  const giveBack = (role: 'client' | 'server', ...proofs: Buffer[]) => ({
    v: 'mcbn/1',
    dh: Buffer.alloc(32, 1).toString('base64url'),
    role,
    proofs: proofs.map((proof) => proof.toString('base64url')),
  })

  it('frees the place at once, for the holder of its secret, once', async () => {
    const alice = setup()
    const first = await round(alice, 'client')
    const { giveBack: proof, renewal } = secretsOf(first)
    const other = workloadOf('client', { instance: '2' })
    expect((await round(alice, 'client', other)).answer).toMatchObject({ code: 'policy' })
    // The operator has seen all messages, and has neither.
    expect(await alice.participant.giveBack(giveBack('client', Buffer.alloc(32), renewal))).toEqual(
      {
        returned: 0,
      },
    )
    expect(await alice.participant.giveBack(giveBack('server', proof))).toEqual({ returned: 0 })
    expect(alice.participant.leases()).toHaveLength(1)
    expect(await alice.participant.giveBack(giveBack('client', proof))).toEqual({ returned: 1 })
    expect(alice.participant.leases()).toEqual([])
    expect(await alice.participant.giveBack(giveBack('client', proof))).toEqual({ returned: 0 })
    released((await round(alice, 'client', other)).answer)
    expect(alice.audit.of('lease-ended')).toMatchObject([{ role: 'client', reason: 'returned' }])
  })

  it('frees nothing while another process on the machine has the share', async () => {
    const alice = setup()
    const one = secretsOf(await round(alice, 'client'))
    const two = secretsOf(await round(alice, 'client'))
    await alice.participant.giveBack(giveBack('client', two.giveBack))
    expect(alice.participant.leases()).toHaveLength(1)
    await alice.participant.giveBack(giveBack('client', one.giveBack))
    expect(alice.participant.leases()).toEqual([])
  })

  it('still counts after a restart what was not given back', async () => {
    const before = setup()
    const { giveBack: proof } = secretsOf(await round(before, 'client'))
    const after = setup({ leases: before.participant.leases() })
    expect(await after.participant.giveBack(giveBack('client', proof))).toEqual({ returned: 1 })
  })

  it('takes no nonsense', async () => {
    const alice = setup()
    await expect(alice.participant.giveBack({ proofs: 1 })).rejects.toThrow(
      expect.objectContaining({ code: 'MCBN_RELEASE_INVALID' }),
    )
    for (const hostile of [
      null,
      7,
      'x',
      { proofs: [{}] },
      { request: null },
      { role: 'client', renews: {} },
    ]) {
      expect(alice.participant.isOfHolder(hostile)).toBe(false)
    }
    challenged(alice.participant.request((await ask('client')).request))
  })
})
