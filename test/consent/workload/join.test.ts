import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { AuditLog } from '../../../src/consent/audit/log.js'
import type { Progress } from '../../../src/consent/workload/index.js'
import { InsufficientConsentError, join } from '../../../src/consent/workload/index.js'
import { freeTcpPort } from '../../support/ports.js'
import { waitFor } from '../../support/wait.js'
import { need, testNetwork } from '../network.js'
import { echoDtls, echoTls, openDtls, openTls, rejection, talk, talkDtls } from './connections.js'
import { consentRig } from './rig.js'

describe('consent/join', () => {
  it('joins when all agree, with equal key check values, and connects by TLS 1.3, TLS 1.2 and DTLS', async () => {
    const rig = await consentRig()
    const [client, server] = await Promise.all([rig.join('client'), rig.join('server')])
    expect(client.kcv).toMatch(/^[0-9a-f]{64}$/)
    expect(client.kcv).toBe(server.kcv)
    expect(client.identity).toBe(rig.network.verified.identity)
    expect(client.leases.map(({ label }) => label).sort()).toEqual(['alice', 'bob', 'carol'])
    const { port } = await echoTls(server)
    const newest = await openTls(client, port)
    expect(newest.getProtocol()).toBe('TLSv1.3')
    expect(newest.getCipher()?.name).toBe('TLS_AES_128_GCM_SHA256')
    expect(await talk(newest)).toBe('hello')
    const older = await openTls(client, port, { maxVersion: 'TLSv1.2' })
    expect(older.getProtocol()).toBe('TLSv1.2')
    expect(older.getCipher()?.name).toMatch(/^(ECDHE|DHE)-PSK-/)
    expect(await talk(older)).toBe('hello')
    const udp = await echoDtls(server)
    const datagrams = await openDtls(client, udp.port)
    expect(datagrams.pskIdentity?.toString()).toBe(client.identity)
    expect(await talkDtls(datagrams)).toBe('hello')
    expect(client.connections).toBe(3)
    newest.destroy()
    await waitFor('the closed socket is forgotten', () => client.connections === 2)
  })

  it('joins by any two of three without a dealer in sight, and takes the third as one more lease', async () => {
    const rig = await consentRig({ t: 2 })
    const [client, server] = await Promise.all([rig.join('client'), rig.join('server')])
    expect(client.kcv).toBe(server.kcv)
    await waitFor('the third lease', () => client.leases.length === 3)
    const { port } = await echoTls(server)
    expect(await talk(await openTls(client, port))).toBe('hello')
  })

  it('gives the same keys whichever two of three release', async () => {
    const rig = await consentRig({ t: 2 })
    const pairs = [
      ['alice', 'bob'],
      ['bob', 'carol'],
      ['alice', 'carol'],
    ]
    const values = new Set<string>()
    for (const pair of pairs) {
      const participants = Object.fromEntries(pair.map((label) => [label, `${rig.urls[label]}`]))
      const network = await rig.join('client', { participants })
      values.add(network.kcv)
      await network.close()
    }
    expect(values.size).toBe(1)
  })

  it('tells each step with each participant', async () => {
    const rig = await consentRig()
    const steps: Progress[] = []
    await rig.join('client', { onProgress: (progress) => steps.push(progress) })
    for (const label of ['alice', 'bob', 'carol']) {
      const states = steps.filter((step) => step.label === label).map(({ state }) => state)
      expect(states).toEqual(['asking', 'attesting', 'released'])
    }
    expect(steps.at(-1)?.leaseFor).toBeGreaterThan(590_000)
  })

  it('asks again while a participant is silent, and joins when it is back', async () => {
    const rig = await consentRig()
    let asked = 0
    const steps: Progress[] = []
    const away = `http://127.0.0.1:${await freeTcpPort()}`
    const network = await rig.join('client', {
      participants: async (label) => {
        if (label !== 'bob') return [`${rig.urls[label]}`]
        asked += 1
        return asked < 3 ? [away] : [`${rig.urls['bob']}`]
      },
      onProgress: (progress) => steps.push(progress),
    })
    expect(network.leases).toHaveLength(3)
    const silent = steps.filter(({ state }) => state === 'silent')
    expect(silent).toHaveLength(2)
    expect(silent[0]).toMatchObject({ label: 'bob', code: 'MCBN_CONNECTION_FAILED' })
    expect(silent[0]?.retryIn).toBeGreaterThan(0)
  })

  it('tries the addresses of a participant in turn', async () => {
    const rig = await consentRig()
    const away = `http://127.0.0.1:${await freeTcpPort()}`
    const network = await rig.join('client', {
      participants: async (label) => [away, `${rig.urls[label]}`],
    })
    expect(network.leases).toHaveLength(3)
  })

  it('takes a resolver that throws, hangs or finds nothing as a participant that is silent', async () => {
    const rig = await consentRig()
    const codes: string[] = []
    let asked = 0
    const network = await rig.join('client', {
      requestTimeout: 2_000,
      participants: (label) => {
        if (label !== 'bob') return Promise.resolve([`${rig.urls[label]}`])
        asked += 1
        if (asked === 1) return Promise.reject(new Error('no such service'))
        if (asked === 2) return Promise.resolve([])
        if (asked === 3) return new Promise(() => {})
        return Promise.resolve([`${rig.urls['bob']}`])
      },
      onProgress: ({ label, state, code }) => {
        if (label === 'bob' && state === 'silent') codes.push(`${code}`)
      },
    })
    expect(network.leases).toHaveLength(3)
    expect(codes).toEqual([
      'MCBN_DISCOVERY_FAILED',
      'MCBN_DISCOVERY_FAILED',
      'MCBN_DISCOVERY_FAILED',
    ])
  })

  it('waits for a person, and joins once that person agrees', async () => {
    const rig = await consentRig({ rulesOf: { carol: { approval: 'manual' } } })
    const steps: Progress[] = []
    const joining = rig.join('client', {
      deadline: 20_000,
      onProgress: (progress) => steps.push(progress),
    })
    const carol = need(rig.participants, 'carol')
    const request = await waitFor('somebody waits', () => carol.pending()[0])
    await waitFor('the refusal', () => steps.some(({ code }) => code === 'manual'))
    await carol.approve(request.id)
    expect((await joining).leases).toHaveLength(3)
  })

  it('says of a person who has not decided that nobody refused', () => {
    const refused = [
      { label: 'bob', code: 'policy', retryAfter: 60 },
      { label: 'carol', code: 'manual', retryAfter: 5 },
    ] as const
    const nobody = { silent: [], unattested: [], blamed: [] }
    const error = new InsufficientConsentError({ need: 3, have: 1, refused, ...nobody })
    expect(error.message).toBe(
      'expected the shares of 3 participants, got 1: bob refused (policy), carol has not decided yet (waits for a person)',
    )
    expect(error.toJSON()).toMatchObject({ refused })
  })

  it('names who refused and who was silent when there is not enough consent, and has no key then', async () => {
    const rig = await consentRig({ rulesOf: { bob: { projects: ['another-project'] } } })
    const away = `http://127.0.0.1:${await freeTcpPort()}`
    const error = await rejection<InsufficientConsentError>(
      join(rig.options('client', { participants: { ...rig.urls, carol: away }, deadline: 1_000 })),
    )
    expect(error.code).toBe('MCBN_CONSENT_INSUFFICIENT')
    expect(error.kind).toBe('consent')
    expect(error).toMatchObject({ need: 3, refused: [{ label: 'bob', code: 'policy' }] })
    // Alice has not been heard to the end: nobody waits for her any more, and nobody calls her silent.
    expect(error.silent).not.toContain('alice')
    expect(error.message).toMatch(
      /expected the shares of 3 participants, got \d: bob refused \(policy\)/,
    )
  })

  it('gives up at its deadline, naming the silent one', async () => {
    const rig = await consentRig()
    const away = `http://127.0.0.1:${await freeTcpPort()}`
    const error = await rejection<InsufficientConsentError>(
      join(rig.options('client', { participants: { ...rig.urls, carol: away }, deadline: 1_500 })),
    )
    expect(error).toMatchObject({ need: 3, have: 2, refused: [], silent: ['carol'] })
    expect(error.message).toBe('expected the shares of 3 participants, got 2: carol gave no answer')
    expect(error.cause).toMatchObject({ code: 'MCBN_CONNECTION_FAILED' })
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ need: 3, have: 2, silent: ['carol'] })
  })

  it('refuses a descriptor that is not the pinned one, and a missing pin', async () => {
    const rig = await consentRig()
    const other = testNetwork()
    const swapped = rig.options('client', { descriptor: other.signed })
    expect((await rejection(join(swapped))).code).toBe('MCBN_DESCRIPTOR_INVALID')
    const unpinned = rig.options('client', { descriptorHash: undefined as never })
    expect((await rejection(join(unpinned))).code).toBe('MCBN_OPTION_TYPE')
  })

  it('checks its options where they come in', async () => {
    const rig = await consentRig()
    const wrong: readonly (readonly [object, string, RegExp])[] = [
      [{ role: 'both' }, 'MCBN_OPTION_RANGE', /^role: expected 'client' or 'server'/],
      [{ role: undefined }, 'MCBN_OPTION_TYPE', /^role/],
      [{ participants: { alice: rig.urls['alice'] } }, 'MCBN_OPTION_RANGE', /missing: bob, carol/],
      [{ participants: { ...rig.urls, dave: 'http://x' } }, 'MCBN_OPTION_RANGE', /dave/],
      [{ participants: { ...rig.urls, bob: 'ftp://x' } }, 'MCBN_OPTION_RANGE', /participants.bob/],
      [{ participants: { ...rig.urls, bob: 'http://u:p@x' } }, 'MCBN_OPTION_RANGE', /without user/],
      [{ retry: { jitter: 2 } }, 'MCBN_OPTION_RANGE', /retry.jitter/],
      [{ deadline: 0 }, 'MCBN_OPTION_RANGE', /deadline/],
      [{ attester: undefined }, 'MCBN_OPTION_TYPE', /attester/],
      [{ descriptorHash: 'AB'.repeat(32) }, 'MCBN_OPTION_RANGE', /descriptorHash/],
    ]
    for (const [changed, code, message] of wrong) {
      const error = await rejection(join(rig.options('client', changed)))
      expect(error.code, error.message).toBe(code)
      expect(error.message).toMatch(message)
    }
  })

  it('stops at once when the signal aborts, with its reason', async () => {
    const rig = await consentRig()
    const away = `http://127.0.0.1:${await freeTcpPort()}`
    const controller = new AbortController()
    const joining = join(
      rig.options('client', {
        participants: { ...rig.urls, carol: away },
        signal: controller.signal,
      }),
    )
    setTimeout(() => controller.abort(new Error('enough')), 100)
    expect((await rejection<Error>(joining)).message).toBe('enough')
  })

  it('says that the machine gives no evidence, instead of blaming participants', async () => {
    const rig = await consentRig()
    const attester = {
      kind: 'local',
      evidence: () => Promise.reject(new Error('no such device')),
    }
    const error = await rejection(join(rig.options('client', { attester })))
    expect(error.code).toBe('MCBN_ATTESTER_FAILED')
    expect(error.cause).toMatchObject({ message: 'no such device' })
  })

  it('shows no key in inspect or JSON, and writes none to the audit', async () => {
    const rig = await consentRig()
    const audit = AuditLog.inMemory()
    const network = await rig.join('server', { audit })
    await network.close()
    const lines = [...audit.recent()].sort((a, b) => a.seq - b.seq)
    expect(lines.map(({ event }) => event)).toEqual([
      'released',
      'released',
      'released',
      'joined',
      'ended',
    ])
    expect(lines[3]).toMatchObject({ kcv: network.kcv, role: 'server', epoch: 1 })
    await audit.verify()
    const shown = `${inspect(network, { depth: 12, showHidden: true })}${JSON.stringify(network)}${JSON.stringify(lines)}`
    for (const share of rig.network.shares.values()) {
      expect(shown).not.toContain(share.toString('hex'))
      expect(shown).not.toContain(share.toString('base64url'))
    }
    expect(JSON.parse(JSON.stringify(network))).toMatchObject({ epoch: 1, role: 'server' })
  })
})
