// Two of three clouds: AMD's report, Azure's token, Amazon's document about one machine, against an operator who owns
// one of the three roots, and has real evidence of real machines.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type McbnError, measurementDigest, type VerifiersOptions } from 'mcbn/consent'
import { beforeAll, describe, expect, it } from 'vitest'
import { reportData } from '../../../src/consent/attestation/hardware/binding.js'
import { AWS_NITRO_ROOTS } from '../../../src/consent/attestation/hardware/nitro.js'
import { AMD_ROOTS } from '../../../src/consent/attestation/hardware/snp.js'
import { severalEvidence } from '../../../src/consent/attestation/several.js'
import type { Evidence } from '../../../src/consent/attestation/types.js'
import type { PolicyRole } from '../../../src/consent/policy/types.js'
import { jwt, rsaJwk, rsaKey } from '../../support/evidence.js'
import { requirePeer } from '../../support/peers.js'
import { seeded } from '../../support/random.js'
import { CLIENT_IMAGE, need, SERVER_IMAGE, testNetwork } from '../network.js'
import { policyOf, refused, released, rulesFor } from '../participant/fixture.js'
import { type Aws, createAws, register } from './nitro-signer.js'
import { type About, aliceOf, piece, playSeveral, type Shown } from './several-fixture.js'
import { type Amd, createAmd, type ReportSaid } from './snp-signer.js'

const AZURE = 'https://sharedweu.weu.attest.azure.net'
const STRANGER = 'https://mine.weu.attest.azure.net'
const KINDS = ['amd-sev-snp', 'aws-nitro-tpm', 'azure-maa'] as const
const MEASUREMENT = Buffer.alloc(48, 0x5e)
const IMAGES = [
  measurementDigest('amd-sev-snp', { measurement: MEASUREMENT }),
  measurementDigest('aws-nitro-tpm', { pcr4: register(4), pcr7: register(7) }),
]
const azureKey = rsaKey()
const network = testNetwork({
  fields: {
    roles: {
      client: { id: 'client.test', images: [CLIENT_IMAGE, ...IMAGES].sort() },
      server: { id: 'server.test', images: [SERVER_IMAGE] },
    },
  },
})

describe.runIf(requirePeer('openssl'))('attestation/several: two of three clouds', () => {
  /** openssl's certificates begin when they are made, which on a busy machine is minutes after this line. */
  const now = Date.now() + 86_400_000
  let amd: Amd
  let aws: Aws
  /** Whether Azure's keys can be fetched. */
  let reachable = true

  beforeAll(() => {
    amd = createAmd()
    aws = createAws(now)
  })

  /** What is trusted: the makers' real roots too, so that real evidence is refused for what it is about. */
  const trusted = (): VerifiersOptions => ({
    snp: { roots: [...AMD_ROOTS, amd.root] },
    nitro: { roots: [...AWS_NITRO_ROOTS, aws.der(0)] },
    keySets: {
      cooldown: 0,
      fetch: async () => {
        if (!reachable) throw new TypeError('fetch failed')
        return new Response(JSON.stringify({ keys: [rsaJwk(azureKey, 'azure')] }))
      },
    },
  })

  function alice(rules: Partial<PolicyRole> = {}, time = now) {
    const client: PolicyRole = {
      images: [CLIENT_IMAGE, ...IMAGES],
      attestation: KINDS,
      platforms: { 'amd-sev-snp': {}, 'aws-nitro-tpm': {}, 'azure-maa': { issuers: [AZURE] } },
      rootsOfTrust: 2,
      ...rules,
    }
    const policy = policyOf({ roles: { client: rulesFor('client', client) } }, {}, network)
    const { participant, audit } = aliceOf(network, policy, trusted(), time)
    let details: readonly string[] = []
    participant.on('refused', (told) => {
      details = told.details
    })
    const play = (shown: Shown) => playSeveral({ participant, network, now: time, shown })
    /** @returns why, and with which code. */
    const no = async (shown: Shown) => `${refused(await play(shown)).code} ${details.join('\n')}`
    return { participant, audit, play, no }
  }

  const byAmd = (about: About, said: ReportSaid = {}): Evidence =>
    piece(
      'amd-sev-snp',
      amd.token(reportData(about), { hostData: network.verified.hashHex, ...said }),
    )
  const byAmazon = (about: About, registers?: ReadonlyMap<number, Buffer>): Evidence =>
    piece('aws-nitro-tpm', aws.document(aws.tpmFields(reportData(about), registers)))
  const byAzure = (about: About, changed: object = {}): Evidence => {
    const seconds = Math.floor(now / 1000)
    const claims = {
      ...{ iss: AZURE, iat: seconds, nbf: seconds, exp: seconds + 3_600 },
      'x-ms-attestation-type': 'sevsnpvm',
      'x-ms-sevsnpvm-is-debuggable': false,
      'x-ms-sevsnpvm-launchmeasurement': MEASUREMENT.toString('hex'),
      'x-ms-sevsnpvm-hostdata': network.verified.hashHex,
      'x-ms-sevsnpvm-migration-allowed': false,
      'x-ms-sevsnpvm-reportdata': reportData(about).toString('hex'),
      'x-ms-sevsnpvm-reportid': '1d'.repeat(32),
      'x-ms-sevsnpvm-vmpl': 0,
      ...changed,
    }
    return piece('azure-maa', jwt({ alg: 'RS256', kid: 'azure', typ: 'JWT' }, claims, azureKey))
  }
  const by = { 'amd-sev-snp': byAmd, 'aws-nitro-tpm': byAmazon, 'azure-maa': byAzure }
  const of =
    (...kinds: readonly (keyof typeof by)[]): Shown =>
    async (about) =>
      severalEvidence(kinds.map((kind) => by[kind](about)))
  const PAIRS = [
    ['amd-sev-snp', 'aws-nitro-tpm'],
    ['amd-sev-snp', 'azure-maa'],
    ['aws-nitro-tpm', 'azure-maa'],
  ] as const

  it('gives nothing for one of them alone, nor for two of one maker', async () => {
    const { no, participant } = alice({
      attestation: [...KINDS, 'aws-nitro'],
      platforms: {
        'amd-sev-snp': {},
        'aws-nitro': {},
        'aws-nitro-tpm': {},
        'azure-maa': { issuers: [AZURE] },
      },
    })
    for (const kind of KINDS) {
      expect(await no(async (about) => by[kind](about))).toMatch(/rootsOfTrust: expected.* 2/)
    }
    const enclave = (about: About) =>
      piece('aws-nitro', aws.document(aws.fields(reportData(about))))
    const amazonTwice: Shown = async (about) => severalEvidence([enclave(about), byAmazon(about)])
    expect(await no(amazonTwice)).toMatch(/rootsOfTrust: expected evidence of 2, got "?Amazon/)
    expect(participant.leases()).toEqual([])
  })

  it('gives nothing where one of two is about another key, participant or machine', async () => {
    const { no, participant } = alice({ instances: 9 })
    const another = (about: About): About => ({ ...about, nonce: 'o'.repeat(43) })
    const bobs = (about: About): About => ({ ...about, audience: 'mcbn://test network/bob' })
    for (const [first, second] of PAIRS) {
      for (const other of [another, bobs]) {
        const forged: Shown = async (about) =>
          severalEvidence([by[first](about), by[second](other(about))])
        expect(await no(forged)).toMatch(/^policy .*(report data|user_data|reportdata)/)
        const mirrored: Shown = async (about) =>
          severalEvidence([by[first](other(about)), by[second](about)])
        expect(await no(mirrored)).toMatch(/^policy .*(report data|user_data|reportdata)/)
      }
    }
    // Each is judged by its own section of the policy.
    for (const [one, reason] of [
      [(about: About) => byAmd(about, { debug: true }), /amd-sev-snp: dbgstat/],
      [(about: About) => byAmd(about, { vmpl: 1 }), /amd-sev-snp: vmpl/],
      [
        (about: About) => byAmd(about, { hostData: '0d'.repeat(32) }),
        /amd-sev-snp: host_data: expected/,
      ],
    ] as const) {
      const shown: Shown = async (about) => severalEvidence([one(about), byAmazon(about)])
      expect(await no(shown)).toMatch(reason)
    }
    const otherImage: Shown = async (about) =>
      severalEvidence([byAmd(about), byAmazon(about, new Map([[4, register(9)]]))])
    expect(await no(otherImage)).toMatch(/aws-nitro-tpm: image_digest/)
    const stranger: Shown = async (about) =>
      severalEvidence([byAmd(about), byAzure(about, { iss: STRANGER })])
    expect(await no(stranger)).toMatch(/iss/)
    expect(participant.leases()).toEqual([])
  })

  it('gives nothing for real machines that are others: public samples beside the root that lies', async () => {
    const sample = (name: string) => readFileSync(join(import.meta.dirname, 'samples', name))
    const certificates = sample('amd/milan-ask-ark.pem')
      .toString()
      .match(/(?<=-----BEGIN CERTIFICATE-----)[^-]+/g)
    const chain = certificates?.map((text) => Buffer.from(text, 'base64')) ?? []
    const report = [sample('amd/milan-report.bin'), sample('amd/milan-vcek.der'), ...chain]
    const realAmd = piece('amd-sev-snp', Buffer.concat(report).toString('base64url'))
    const realAmazon = piece('aws-nitro', sample('aws/enclave-debug.bin').toString('base64url'))
    // When Amazon's document was made; AMD's certificates are valid then, too.
    const { no, participant } = alice(
      {
        attestation: ['amd-sev-snp', 'aws-nitro', 'local'],
        platforms: { 'amd-sev-snp': {}, 'aws-nitro': {} },
      },
      1_731_627_989_450,
    )
    const beside =
      (...real: readonly Evidence[]): Shown =>
      async ({ local }) =>
        severalEvidence([...real, piece('local', await local())])
    expect(await no(beside(realAmd))).toMatch(/^policy .*report data: expected the audience/)
    expect(await no(beside(realAmazon))).toMatch(/^policy .*user_data: expected the audience/)
    expect(await no(beside(realAmd, realAmazon))).toMatch(/^policy .*report data/)
    // Nor with what they say of themselves changed to this round.
    const altered: Shown = async (about) => {
      const bytes = Buffer.concat(report)
      bytes.set(reportData(about), 0x50)
      return severalEvidence([
        piece('amd-sev-snp', bytes.toString('base64url')),
        piece('local', await about.local()),
      ])
    }
    expect(await no(altered)).toMatch(/report signature/)
    expect(participant.leases()).toEqual([])
  })

  it('gives nothing for two of which one byte was flipped, in either', async () => {
    const { no, participant } = alice({ instances: 9 })
    const random = seeded(12)
    for (const [first, second] of PAIRS) {
      for (const flipped of [first, second]) {
        const shown: Shown = async (about) => {
          const good = { [first]: by[first](about), [second]: by[second](about) }
          const { token } = need(new Map(Object.entries(good)), flipped)
          // A JWT is text; its middle is the payload.
          const isText = flipped === 'azure-maa'
          const bytes = Buffer.from(token, isText ? 'latin1' : 'base64url')
          const at = Math.floor(random() * bytes.length)
          bytes[at] = (bytes[at] ?? 0) ^ 0x01
          const altered = bytes.toString(isText ? 'latin1' : 'base64url')
          return severalEvidence(Object.values({ ...good, [flipped]: piece(flipped, altered) }))
        }
        for (let times = 0; times < 8; times += 1) {
          // A letter that no token has is refused before anybody looks at evidence.
          const said = await no(shown).catch(({ code }: McbnError) => code)
          expect(said).toMatch(/^(policy|MCBN_RELEASE_INVALID)/)
        }
      }
    }
    expect(participant.leases()).toEqual([])
  })

  it('gives its share where any two vouch, or all, and notes who did', async () => {
    const { play, participant, audit } = alice({ instances: 4 })
    for (const kinds of [...PAIRS, KINDS]) released(await play(of(...kinds)))
    // A machine that leaves one of them out is another one: caps count it by all that vouched.
    expect(participant.leases().map(({ renewals }) => renewals)).toEqual([0, 0, 0, 0])
    const parts = audit.of('released').map((line) => (line as { parts?: unknown }).parts)
    expect(parts[3]).toEqual([
      expect.stringMatching(/^amd-sev-snp of AMD: 1d1d/),
      expect.stringMatching(/^aws-nitro-tpm of AWS: i-1-tpm2/),
      expect.stringMatching(/^azure-maa of https:\/\/sharedweu.*: 1d1d/),
    ])
    released(await play(of(...KINDS)))
    expect(
      participant
        .leases()
        .map(({ renewals }) => renewals)
        .sort(),
    ).toEqual([0, 0, 0, 1])
  })

  it('asks nobody to wait for a cloud that was not shown, and only then', async () => {
    const { play } = alice({ instances: 2 })
    reachable = false
    try {
      // Keys that could not be fetched say nothing about the evidence: come again.
      expect(refused(await play(of(...KINDS))).code).toBe('busy')
      released(await play(of('amd-sev-snp', 'aws-nitro-tpm')))
    } finally {
      reachable = true
    }
    released(await play(of(...KINDS)))
  })
})
