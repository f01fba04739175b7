// Evidence of several platforms as one: its spelling; and a participant that wants two roots of trust, against an
// operator who owns one of them.

import { createTdxVerifier } from 'mcbn/consent'
import { beforeAll, describe, expect, it } from 'vitest'
import { reportData } from '../../../src/consent/attestation/hardware/binding.js'
import {
  createSeveralAttester,
  evidenceOfSeveral,
  jointFacts,
  severalEvidence,
} from '../../../src/consent/attestation/several.js'
import type { AttestedFacts, Attester } from '../../../src/consent/attestation/types.js'
import type { Participant } from '../../../src/consent/participant/participant.js'
import type { PolicyRole } from '../../../src/consent/policy/types.js'
import { requirePeer } from '../../support/peers.js'
import { CLIENT_IMAGE, SERVER_IMAGE, testNetwork } from '../network.js'
import { policyOf, refused, released } from '../participant/fixture.js'
import { aliceOf, piece, playSeveral, type Shown } from './several-fixture.js'
import { createIntel, type Intel, type QuoteSaid } from './tdx-signer.js'

describe('attestation/several: the spelling', () => {
  it.each([
    ['nothing', ''],
    ['one alone', '1.a5.token'],
    ['the same kind twice', '1.a1.x1.a1.y'],
    ['itself inside', '7.several1.x1.a1.y'],
    ['five', ['a', 'b', 'c', 'd', 'e'].map((kind) => `1.${kind}1.x`).join('')],
    ['a kind without token', '1.a1.x1.b'],
    ['a length past the end', '1.a1.x1.b9.y'],
    ['an empty text', '1.a0.1.b1.y'],
    ['a length in another spelling', '01.a1.x1.b1.y'],
    ['a length with a sign', '+1.a1.x1.b1.y'],
    ['a length of six digits', '100000.a1.x1.b1.y'],
    ['text behind', '1.a1.x1.b1.y.'],
    ['a kind that is no name', '2.A_1.x1.b1.y'],
    ['too much of it', `1.a1.x1.b65536.${'y'.repeat(65_536)}`],
  ])('refuses %s', (_, token) => {
    expect(() => evidenceOfSeveral({ kind: 'several', token })).toThrow(
      expect.objectContaining({ code: 'MCBN_EVIDENCE_REFUSED' }),
    )
  })

  it('gives back what was put together, in the order of kinds', () => {
    const all = [piece('intel-tdx', 'x'.repeat(20_000)), piece('azure-maa', 'a.b-c_d'), piece('b')]
    const evidence = severalEvidence(all)
    expect(evidence.kind).toBe('several')
    expect(evidence.token).toMatch(/^[A-Za-z0-9._-]+$/)
    expect(evidenceOfSeveral(evidence)).toEqual([all[1], all[2], all[0]])
    const large = [piece('a', 'x'.repeat(40_000)), piece('b', 'x'.repeat(40_000))]
    expect(() => severalEvidence(large)).toThrow(/at most 65536 characters/)
  })

  it('asks all attesters about the same, and has no evidence where one has none', async () => {
    const asked: string[] = []
    const attester = (kind: string): Attester => ({
      kind,
      evidence: async ({ nonce }) => {
        asked.push(`${kind} ${nonce}`)
        return piece(kind)
      },
    })
    const both = createSeveralAttester([attester('a'), attester('b')])
    const { token } = await both.evidence({ audience: 'x', nonce: 'n' })
    expect([token, asked]).toEqual(['1.a5.token1.b5.token', ['a n', 'b n']])
    const broken = { kind: 'c', evidence: () => Promise.reject(new Error('no device')) }
    const one = createSeveralAttester([attester('a'), broken])
    await expect(one.evidence({ audience: 'x', nonce: 'n' })).rejects.toThrow('no device')
    for (const wrong of [[], [attester('a')], [attester('a'), attester('a')], [both, broken]]) {
      expect(() => createSeveralAttester(wrong)).toThrow(/expected 2 to 4, each of another kind/)
    }
  })
})

describe.runIf(requirePeer('openssl'))('attestation/several: two roots of trust', () => {
  /** openssl's certificates begin when they are made, which on a busy machine is minutes after this line. */
  const now = Date.now() + 86_400_000
  let intel: Intel
  let image: string
  let network: ReturnType<typeof testNetwork>

  beforeAll(async () => {
    intel = createIntel(now)
    image = (await tdxFacts()).imageDigest ?? ''
    network = testNetwork({
      fields: {
        roles: {
          client: { id: 'client.test', images: [CLIENT_IMAGE, image].sort() },
          server: { id: 'server.test', images: [SERVER_IMAGE] },
        },
      },
    })
  })

  function quoteAbout(about: { audience: string; nonce: string }, said: QuoteSaid = {}): string {
    const mrConfigId = network?.verified.hashHex.padEnd(96, '0')
    const reported = { reportData: reportData(about), ...(mrConfigId && { mrConfigId }) }
    const quote = intel.quote({ ...reported, ...said })
    const collateral = Buffer.from(JSON.stringify(intel.collateral()))
    return Buffer.concat([quote, collateral]).toString('base64url')
  }

  async function tdxFacts(): Promise<AttestedFacts> {
    const about = { audience: 'mcbn://a/b', nonce: 'n'.repeat(43) }
    const evidence = piece('intel-tdx', quoteAbout(about))
    return await createTdxVerifier({ roots: [intel.root] }).verify(evidence, { ...about, now })
  }

  function alice(rules: Partial<PolicyRole> = {}) {
    const both = {
      images: [CLIENT_IMAGE, image],
      attestation: ['intel-tdx', 'local'],
      platforms: { 'intel-tdx': {} },
      rootsOfTrust: 2,
      ...rules,
    }
    const { roles, ...rest } = policyOf({}, {}, network)
    const client = { ...roles.client, ...both }
    const policy = policyOf({ ...rest, roles: { client: client as PolicyRole } }, {}, network)
    return aliceOf(network, policy, { tdx: { roots: [intel.root] } }, now)
  }

  const play = (participant: Participant, shown: Shown) =>
    playSeveral({ participant, network, now, shown })

  const both =
    (said: QuoteSaid = {}, changes: object = {}): Shown =>
    async (about) =>
      severalEvidence([
        piece('intel-tdx', quoteAbout(about, said)),
        piece('local', await about.local(changes)),
      ])

  it('gives nothing to one of them alone, nor to one beside a lie about the other', async () => {
    const { participant } = alice({ instances: 9 })
    let details: readonly string[] = []
    participant.on('refused', (told) => {
      details = told.details
    })
    const onlyTdx: Shown = async (about) => piece('intel-tdx', quoteAbout(about))
    const onlyLocal: Shown = async ({ local }) => piece('local', await local())
    for (const shown of [onlyTdx, onlyLocal]) {
      expect(refused(await play(participant, shown)).code).toBe('policy')
      expect(details).toEqual([expect.stringMatching(/^rootsOfTrust: expected evidence of 2, got/)])
    }
    // The operator owns one root, and says what it likes about its key; the other's is about another key.
    const other = { audience: 'mcbn://test network/alice', nonce: 'o'.repeat(43) }
    const forged: Shown = async ({ local }) =>
      severalEvidence([piece('intel-tdx', quoteAbout(other)), piece('local', await local())])
    expect(refused(await play(participant, forged)).code).toBe('policy')
    expect(details).toEqual([expect.stringMatching(/report data/)])
    // Each is judged by its own section, all the way.
    for (const [shown, reason] of [
      [both({ mrConfigId: '00'.repeat(48) }), /^intel-tdx: mr_config_id: expected/],
      [both({}, { args: ['sh'] }), /^local: args/],
      [both({}, { imageDigest: SERVER_IMAGE }), /^local: image_digest/],
      [both({}, { instance: '' }), /^local: instance_id/],
    ] as const) {
      expect(refused(await play(participant, shown)).code).toBe('policy')
      expect(details.join('\n')).toMatch(reason)
    }
    expect(participant.leases()).toEqual([])
  })

  it('gives its share to a workload for which both vouch, and notes who did', async () => {
    const { participant, audit } = alice()
    released(await play(participant, both()))
    const [lease] = participant.leases()
    expect(lease).toMatchObject({ issuer: expect.stringMatching(/Intel \+ https/), renewals: 0 })
    expect(audit.of('released')).toMatchObject([
      {
        kind: 'several',
        parts: [
          expect.stringMatching(/^intel-tdx of Intel: b3b3/),
          expect.stringMatching(/^local of https/),
        ],
      },
    ])
    // The same machine again is a renewal, not another one.
    released(await play(participant, both()))
    expect(participant.leases()).toMatchObject([{ renewals: 1 }])
  })

  it('counts machines by all that vouch: one that lies makes no two of them one', async () => {
    const { participant } = alice()
    released(await play(participant, both()))
    // Another TDX machine; the local issuer, which the operator owns, calls it by the name of the first.
    expect(refused(await play(participant, both({ rtmr3: 0xc0 }))).code).toBe('policy')
    expect(participant.leases()).toHaveLength(1)
  })

  it('lets a person decide about what each of them says', async () => {
    const { participant } = alice({ approval: 'manual', instances: 2 })
    expect(refused(await play(participant, both())).code).toBe('manual')
    const [pending] = participant.pending()
    expect(pending?.facts.platform.claims).toMatchObject({
      'intel-tdx.image_digest': image,
      'intel-tdx.tcb_status': 'UpToDate',
      'local.image_digest': CLIENT_IMAGE,
      'local.args': ['node', '/app/client.js'],
    })
    await participant.approve(pending?.id ?? '')
    released(await play(participant, both()))
    expect(refused(await play(participant, both({ rtmr3: 0xc0 }))).code).toBe('manual')
  })

  it('passes over what its policy does not name, and takes one where one is enough', async () => {
    const { participant } = alice({ attestation: ['local'], rootsOfTrust: 1 })
    const withStranger: Shown = async ({ local }) =>
      severalEvidence([piece('azure-maa', 'forged'), piece('local', await local())])
    released(await play(participant, withStranger))
    expect(participant.leases()).toMatchObject([{ issuer: 'https://issuer.test' }])
    const strangers: Shown = async () => severalEvidence([piece('azure-maa'), piece('intel-tdx')])
    expect(refused(await play(participant, strangers)).code).toBe('policy')
  })

  it('refuses a policy whose kinds have fewer roots than it asks for', () => {
    const tdxTwice = {
      attestation: ['intel-tdx', 'intel-ita'],
      platforms: {
        'intel-tdx': {},
        'intel-ita': { issuers: ['https://portal.trustauthority.test'] },
      },
    }
    expect(() => alice(tdxTwice)).toThrow(/rootsOfTrust: expected at most 1, since/)
    expect(() => alice({ rootsOfTrust: 3 })).toThrow(/rootsOfTrust: expected at most 2/)
  })

  it('is the facts themselves where there is one', async () => {
    const facts = await tdxFacts()
    expect(jointFacts([facts])).toBe(facts)
    expect(jointFacts([facts, { ...facts, instance: undefined }]).instance).toBeUndefined()
  })
})
