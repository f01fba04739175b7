import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createParticipant } from '../../../src/consent/index.js'
import { parseRefused, parseRelease } from '../../../src/consent/release/parse.js'
import { refusedHash, verifyRefusal, verifyRelease } from '../../../src/consent/release/sign.js'
import { need, testNetwork } from '../network.js'
import {
  ask,
  challenged,
  factsOf,
  HeldVerifier,
  IMAGES,
  network,
  openedShare,
  policyOf,
  refused,
  released,
  round,
  rulesFor,
  setup,
  TestClock,
  tokenFor,
  workloadOf,
} from './fixture.js'

describe('participant/release', () => {
  it('gives its share, sealed and signed, to the workload that the policy names', async () => {
    const alice = setup()
    const played = await round(alice, 'client')
    const release = parseRelease(JSON.parse(JSON.stringify(released(played.answer))))
    verifyRelease(release, network.verified, {
      label: 'alice',
      role: 'client',
      c: Buffer.from(played.c, 'base64url'),
      token: played.token,
    })
    const share = await openedShare(played, release)
    expect(share).toEqual(need(network.shares, 'alice'))
    const issuedAt = alice.clock.wall() / 1000
    expect(release.header).toMatchObject({
      epoch: 1,
      issuedAt,
      notAfter: issuedAt + 600,
      leaseSeconds: 600,
    })
    expect(alice.audit.of('released')).toMatchObject([
      { role: 'client', releaseId: release.header.releaseId, imageDigest: IMAGES.client },
    ])
    expect(alice.participant.leases()).toMatchObject([
      { role: 'client', renewals: 0, expiresAt: release.header.notAfter * 1000 },
    ])
    expect(alice.participant.status().counters).toMatchObject({ requests: 1, released: 1 })
  })

  it('renews in another round, as the same lease', async () => {
    const alice = setup()
    const first = released((await round(alice, 'server')).answer)
    alice.clock.pass(400_000)
    const second = released((await round(alice, 'server')).answer)
    expect(second.header.releaseId).not.toBe(first.header.releaseId)
    expect(alice.participant.leases()).toMatchObject([{ renewals: 1 }])
    expect(alice.audit.of('renewed')).toHaveLength(1)
    expect(alice.participant.status().counters).toMatchObject({ released: 2, renewed: 1 })
  })

  it('writes the line of the audit before the share leaves; no line, no share', async () => {
    const audit = { append: () => Promise.reject(new Error('disk full')) }
    const alice = setup({ audit })
    expect(refused((await round(alice, 'client')).answer)).toMatchObject({ code: 'busy' })
    expect(alice.participant.leases()).toEqual([])
  })

  it.each<readonly [string, Parameters<typeof policyOf>[0], number]>([
    ['the lease', { leaseSeconds: 60 }, 60],
    ['the end of the window', { window: { notAfter: '2027-03-05T12:01:40Z' } }, 100],
    ['the end of the day', { window: { daily: { from: '08:00', to: '12:02' } } }, 120],
    ['a night that ends', { window: { daily: { from: '22:00', to: '12:02' } } }, 120],
    ['the end of an allowed day', { window: { days: ['fri'] }, leaseSeconds: 86_400 }, 43_200],
  ])('ends a lease with %s', async (_, rest, seconds) => {
    const alice = setup({ policy: policyOf(rest) })
    const { header } = released((await round(alice, 'client')).answer)
    expect(header.leaseSeconds).toBe(seconds)
    expect(header.notAfter).toBe(header.issuedAt + seconds)
  })

  it('ends a lease with the descriptor, and gives nothing outside it', async () => {
    const now = new TestClock().wall() / 1000
    const own = testNetwork({ fields: { validity: { notBefore: now, notAfter: now + 30 } } })
    const policy = policyOf({}, {}, own)
    const alice = setup({ network: own, policy })
    const workload = workloadOf('client', {}, own)
    const { header } = released((await round(alice, 'client', workload)).answer)
    expect(header).toMatchObject({ notAfter: now + 30, leaseSeconds: 30 })
    const { request } = await ask('client', { dh: own.verified.hash.toString('base64url') })
    alice.clock.pass(30_001)
    expect(refused(alice.participant.request(request))).toMatchObject({ code: 'policy' })
    alice.clock.pass(-40_000)
    expect(refused(alice.participant.request(request))).toMatchObject({
      code: 'not-yet',
      retryAfter: 10,
    })
  })

  it('says not-yet outside the window, and when to ask again', async () => {
    const window = { daily: { from: '13:00', to: '14:00' } }
    const alice = setup({ policy: policyOf({ window }) })
    expect(refused((await round(alice, 'client')).answer)).toMatchObject({
      code: 'not-yet',
      retryAfter: 3600,
    })
  })

  it('takes no more than so many to verify at once, and spends no challenge when it answers busy', async () => {
    const verifier = new HeldVerifier(() => factsOf('client', clock.wall()))
    const limits = { verifying: 2, waiting: 1 }
    const { participant, clock, audit } = setup({ verifiers: [verifier], limits })
    const challenges = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const { request } = await ask('client')
        return { request, c: challenged(participant.request(request)).c }
      }),
    )
    const evidence = { kind: 'local', token: 'held' }
    const [one, two, three, four] = challenges.map((asked) =>
      participant.evidence({ ...asked, evidence }),
    )
    expect(await four).toMatchObject({ code: 'busy' })
    expect(verifier.waiting).toBe(2)
    verifier.release()
    await Promise.all([one, two])
    expect(verifier.waiting).toBe(1)
    verifier.release()
    expect(await three).toMatchObject({ label: 'alice', role: 'client' })
    const again = participant.evidence({ ...challenges[3], evidence })
    await new Promise(setImmediate)
    verifier.release()
    released(await again)
    expect(audit.of('released').length + audit.of('renewed').length).toBe(4)
  })

  it('counts hostile messages instead of writing a line for each', async () => {
    const { participant, audit, clock } = setup({ limits: { refusalsPerMinute: 5 } })
    for (let at = 0; at < 100; at += 1) {
      expect(() => participant.request({ hostile: at })).toThrow(
        expect.objectContaining({ code: 'MCBN_RELEASE_INVALID' }),
      )
    }
    for (let at = 0; at < 20; at += 1) {
      const { request } = await ask('client')
      const { c } = challenged(participant.request(request))
      const evidence = { kind: 'local', token: 'not.a.token' }
      expect(await participant.evidence({ c, request, evidence })).toMatchObject({ code: 'policy' })
    }
    expect(audit.lines.map(({ type }) => type)).toEqual(['started', ...Array(5).fill('refused')])
    clock.pass(60_000)
    expect(audit.of('counted')).toEqual([
      { type: 'counted', counts: { malformed: 100, 'refused policy': 15 } },
    ])
    expect(participant.status().counters).toMatchObject({
      malformed: 100,
      evidenceRefused: 20,
      refused: { policy: 20 },
    })
  })
})

describe('participant/refusal', () => {
  it('signs refusals for exactly one request, and says only the code', async () => {
    const alice = setup()
    const workload = workloadOf('client', { imageDigest: `sha256:${'bb'.repeat(32)}` })
    const { answer, request, c, token } = await round(alice, 'client', workload)
    const refusal = parseRefused(JSON.parse(JSON.stringify(refused(answer))))
    expect(Object.keys(refusal).sort()).toEqual(['code', 'label', 'signature'])
    const shown = { c, evidence: { kind: 'local', token } }
    const verifies = (...sent: Parameters<typeof refusedHash>) =>
      verifyRefusal(refusal, network.verified, { refused: refusedHash(...sent) })
    expect(verifies(request, shown)).toBe(true)
    const { request: other } = await ask('client')
    // Anyone who alters anything on the way gets a refusal of something else, and cannot pass it on.
    expect(verifies(other, shown)).toBe(false)
    expect(verifies({ ...request, pk: other.pk }, shown)).toBe(false)
    expect(verifies(request)).toBe(false)
    expect(verifies(request, { ...shown, c: other.r })).toBe(false)
    expect(verifies(request, { c, evidence: { kind: 'local', token: `${token}x` } })).toBe(false)
    const [line] = alice.audit.of('refused')
    expect(JSON.stringify(line)).toContain('image')
  })

  it.each([
    ['another descriptor', { dh: Buffer.alloc(32, 7).toString('base64url') }],
    ['a role that the policy does not have', { role: 'server' }],
  ] as const)('gives no challenge to a request about %s', async (_, changes) => {
    const policy = policyOf({ roles: { client: rulesFor('client') } })
    const alice = setup({ policy })
    const { request } = await ask('client', changes)
    const answer = refused(alice.participant.request(request))
    expect(answer.code).toBe('policy')
    expect(verifyRefusal(answer, network.verified, { refused: refusedHash(request) })).toBe(true)
    expect(alice.participant.status().counters.challenges).toBe(0)
  })

  it('says busy when the verifier fails for its own reasons', async () => {
    const verifier = { kind: 'local', verify: () => Promise.reject(new Error('no network')) }
    const alice = setup({ verifiers: [verifier] })
    expect(refused((await round(alice, 'client')).answer)).toMatchObject({ code: 'busy' })
    expect(alice.participant.status().counters.evidenceRefused).toBe(0)
  })

  it('refuses kinds of evidence that it has no verifier for', async () => {
    const { participant, clock } = setup()
    const { request } = await ask('client')
    const { c } = challenged(participant.request(request))
    const token = await tokenFor(participant, request, c, clock.wall(), workloadOf('client'))
    const evidence = { kind: 'gcp-cs-oidc', token }
    expect(await participant.evidence({ c, request, evidence })).toMatchObject({ code: 'policy' })
  })
})

describe('participant/itself', () => {
  it('shows no secret to inspect and JSON, and forgets share and keys when closed', async () => {
    const share = need(network.shares, 'alice')
    const alice = setup()
    await round(alice, 'client')
    const shown = [
      inspect(alice.participant, { depth: 10, showHidden: true }),
      JSON.stringify(alice.participant),
      JSON.stringify(alice.audit.lines),
    ].join('\n')
    for (const encoding of ['hex', 'base64', 'base64url', 'latin1'] as const) {
      expect(shown).not.toContain(share.toString(encoding))
    }
    await alice.participant.close()
    const { request } = await ask('client')
    expect(refused(alice.participant.request(request))).toEqual({
      label: 'alice',
      code: 'busy',
      retryAfter: 2,
    })
    expect(alice.audit.lines.at(-1)?.type).toBe('stopped')
    await expect(alice.participant.withdraw()).rejects.toThrow(
      expect.objectContaining({ code: 'MCBN_SOCKET_CLOSED' }),
    )
  })

  it('sends no share of zeros when it is closed while sealing', async () => {
    const verifier = new HeldVerifier(() => factsOf('client', clock.wall()))
    const { participant, clock } = setup({ verifiers: [verifier] })
    const { request } = await ask('client')
    const { c } = challenged(participant.request(request))
    const answer = participant.evidence({ c, request, evidence: { kind: 'local', token: 'held' } })
    verifier.release()
    await Promise.resolve()
    await participant.close()
    expect(refused(await answer).code).toBe('busy')
  })

  it('leaves the share it was given to its owner', () => {
    const share = Buffer.from(need(network.shares, 'alice'))
    const { participant } = setup({ share })
    void participant.close()
    expect(share).toEqual(need(network.shares, 'alice'))
  })

  it('tells people what happens', async () => {
    const alice = setup()
    const heard: string[] = []
    for (const event of ['released', 'refused', 'withdrawn'] as const) {
      alice.participant.on(event, () => heard.push(event))
    }
    let changes = 0
    alice.participant.on('changed', () => {
      changes += 1
    })
    await round(alice, 'client')
    await round(alice, 'client', workloadOf('client', { debug: 'enabled' }))
    await alice.participant.withdraw()
    await new Promise(setImmediate)
    expect(heard).toEqual(['released', 'refused', 'withdrawn'])
    expect(changes).toBe(3)
  })

  it.each<readonly [string, () => unknown, string]>([
    [
      "another's keys",
      () => setup({ label: 'alice', keys: need(network.keys, 'bob') }),
      'MCBN_OPTION_CONFLICT',
    ],
    ["another's share", () => setup({ share: need(network.shares, 'bob') }), 'MCBN_SHARE_INVALID'],
    [
      "another network's policy",
      () => setup({ policy: policyOf({}, {}, testNetwork()) }),
      'MCBN_POLICY_INVALID',
    ],
    ['no verifier', () => setup({ verifiers: [] }), 'MCBN_OPTION_CONFLICT'],
    [
      'a limit out of range',
      () => setup({ limits: { challengeSeconds: 121 } }),
      'MCBN_OPTION_RANGE',
    ],
    [
      'a stranger',
      () =>
        createParticipant({
          descriptor: network.verified,
          label: 'mallory',
          keys: need(network.keys, 'bob'),
          share: need(network.shares, 'bob'),
          policy: policyOf(),
          verifiers: [],
        }),
      'MCBN_OPTION_CONFLICT',
    ],
  ])('does not start with %s', (_, make, code) => {
    expect(make).toThrow(expect.objectContaining({ code }))
  })
})
