// Azure Attestation and Intel Trust Authority: tokens of their form, signed here; a real one of Intel's is in
// ita-sample.test.ts. Each character is changed once.

import { execFileSync } from 'node:child_process'
import { constants, createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createItaVerifier,
  createMaaVerifier,
  createVerifiers,
  McbnError,
  measurementDigest,
  reportData,
  type Verifier,
} from 'mcbn/consent'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evaluatePolicy } from '../../../src/consent/policy/evaluate.js'
import { parsePolicy } from '../../../src/consent/policy/parse.js'
import {
  type Claims,
  EXPECTED,
  expectRefused,
  jwt,
  NOW,
  rsaJwk,
  rsaKey,
  verify,
} from '../../support/evidence.js'
import { requirePeer } from '../../support/peers.js'
import { NOON, verifiedDescriptor } from '../policy/fixture.js'

const AZURE = 'https://sharedeus2.eus2.attest.azure.net'
const INTEL = 'https://portal.trustauthority.intel.com'
const HEX = (byte: string, bytes: number) => byte.repeat(bytes)
const ABOUT = reportData(EXPECTED).toString('hex')
const azureKey = rsaKey()
const intelKey = rsaKey()

const times = { iat: NOW / 1000, nbf: NOW / 1000, exp: NOW / 1000 + 28_800 }
const domain = (changed: Claims = {}): Claims => ({
  attester_tcb_status: 'UpToDate',
  tdx_mrtd: HEX('a1', 48),
  tdx_rtmr0: HEX('b0', 48),
  tdx_rtmr1: HEX('b1', 48),
  tdx_rtmr2: HEX('b2', 48),
  tdx_rtmr3: HEX('b3', 48),
  tdx_mrconfigid: HEX('00', 48),
  tdx_td_attributes_debug: false,
  tdx_report_data: ABOUT,
  ...changed,
})
const snp = (changed: Claims = {}): Claims => ({
  iss: AZURE,
  ...times,
  'x-ms-attestation-type': 'sevsnpvm',
  'x-ms-compliance-status': 'azure-compliant-uvm',
  'x-ms-sevsnpvm-is-debuggable': false,
  'x-ms-sevsnpvm-launchmeasurement': HEX('5e', 48),
  'x-ms-sevsnpvm-hostdata': HEX('0d', 32),
  'x-ms-sevsnpvm-migration-allowed': false,
  'x-ms-sevsnpvm-reportdata': ABOUT,
  'x-ms-sevsnpvm-reportid': HEX('1d', 32),
  'x-ms-sevsnpvm-vmpl': 0,
  'x-ms-runtime': { keys: [] },
  ...changed,
})
const azureTdx = (changed?: Claims) => ({
  iss: AZURE,
  ...times,
  'x-ms-attestation-type': 'tdxvm',
  ...domain(changed),
})
const intel = (changed: Claims = {}, tdx: Claims = {}): Claims => ({
  iss: INTEL,
  ...times,
  ver: '2.0.0',
  tdx: domain({ tdx_is_debuggable: false, ...tdx }),
  ...changed,
})

const byAzure = (claims: Claims, header: Claims = {}) =>
  jwt(
    { alg: 'RS256', jku: `${AZURE}/certs`, kid: 'azure', typ: 'JWT', ...header },
    claims,
    azureKey,
  )
const pss = (key: KeyObject) => (input: string) =>
  sign('sha384', Buffer.from(input), {
    key,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
  })
const byIntel = (claims: Claims, header: Claims = {}, key = intelKey) =>
  jwt(
    { alg: 'PS384', jku: `${INTEL}/certs`, kid: 'intel', typ: 'JWT', ...header },
    claims,
    pss(key),
  )

const asked: string[] = []
const sets: Record<string, unknown> = {
  [`${AZURE}/certs`]: { keys: [rsaJwk(azureKey, 'azure')] },
  [`${INTEL}/certs`]: { keys: [{ ...rsaJwk(intelKey, 'intel'), alg: 'PS384' }] },
}
const keySets = {
  cooldown: 0,
  fetch: async (address: unknown): Promise<Response> => {
    asked.push(`${address}`)
    return new Response(JSON.stringify(sets[`${address}`] ?? {}))
  },
}
const maa = (): Verifier => createMaaVerifier({ issuers: [AZURE], ...keySets })
const ita = (): Verifier => createItaVerifier({ issuers: [INTEL], ...keySets })

const TDX_IMAGE = measurementDigest('intel-tdx', {
  mrtd: Buffer.alloc(48, 0xa1),
  rtmr0: Buffer.alloc(48, 0xb0),
  rtmr1: Buffer.alloc(48, 0xb1),
  rtmr2: Buffer.alloc(48, 0xb2),
})
const SNP_IMAGE = measurementDigest('amd-sev-snp', { measurement: Buffer.alloc(48, 0x5e) })

describe('attestation/services', () => {
  it('calls an image by one name, whichever evidence speaks of it', async () => {
    const facts = [
      await verify(maa(), byAzure(azureTdx())),
      await verify(ita(), byIntel(intel())),
      await verify(ita(), byIntel({ ...intel(), ...domain(), tdx: undefined })),
      await verify(maa(), byAzure(snp())),
    ]
    expect(facts.map(({ imageDigest }) => imageDigest)).toEqual([
      TDX_IMAGE,
      TDX_IMAGE,
      TDX_IMAGE,
      SNP_IMAGE,
    ])
    expect(facts.map(({ debug }) => debug)).toEqual(Array(4).fill('disabled-since-boot'))
    expect(facts.map(({ instance }) => instance)).toEqual([
      ...Array(3).fill(HEX('b3', 48)),
      HEX('1d', 32),
    ])
    expect(facts[1]).toMatchObject({
      kind: 'intel-ita',
      issuer: INTEL,
      hardware: 'INTEL_TDX',
      platform: { name: 'intel-ita', claims: { attester_tcb_status: 'UpToDate', ver: '2.0.0' } },
    })
    expect(facts[3]?.platform.claims).not.toHaveProperty('x-ms-runtime')
  })

  it.each([
    ['azure-maa', maa, byAzure(snp())],
    ['intel-ita', ita, byIntel(intel())],
  ])('refuses %s with any one character changed', async (_kind, make, good) => {
    const verifier = make()
    await verify(verifier, good)
    const accepted: number[] = []
    for (let at = 0; at < good.length; at++) {
      const bytes = Buffer.from(good)
      bytes[at] = (bytes[at] ?? 0) ^ 0x01
      const outcome = await verify(verifier, `${bytes}`).then(
        () => 'accepted',
        ({ code }: McbnError) => code,
      )
      if (outcome !== 'MCBN_EVIDENCE_REFUSED') accepted.push(at)
    }
    expect(accepted).toEqual([])
    expect(good.length).toBeGreaterThan(1_000)
  })

  it.each<[string, () => Verifier, string, RegExp]>([
    [
      'about another nonce',
      maa,
      byAzure(snp({ 'x-ms-sevsnpvm-reportdata': HEX('ab', 64) })),
      /report data/,
    ],
    [
      'about another nonce (TDX)',
      ita,
      byIntel(intel({}, { tdx_report_data: HEX('ab', 64) })),
      /tdx_report_data/,
    ],
    ['about nothing', maa, byAzure(azureTdx({ tdx_report_data: undefined })), /tdx_report_data/],
    [
      'in upper case',
      ita,
      byIntel(intel({}, { tdx_report_data: ABOUT.toUpperCase() })),
      /lower-case/,
    ],
    ['of another issuer', maa, byAzure(snp({ iss: 'https://mine.eus.attest.azure.net' })), /iss/],
    ['of the other service', ita, byAzure(snp()), /alg/],
    [
      'by RS256 where PS384 is used',
      ita,
      jwt({ alg: 'RS256', kid: 'intel' }, intel(), intelKey),
      /alg/,
    ],
    ['by PS384 where RS256 is used', maa, byIntel(snp(), { kid: 'azure' }, azureKey), /alg/],
    ['without signature (RFC 8725 section 3.1)', maa, `${byAzure(snp(), { alg: 'none' })}`, /alg/],
    [
      'with another address of keys',
      maa,
      byAzure(snp(), { jku: 'https://evil.example/certs' }),
      /jku/,
    ],
    ['that brings a key', maa, byAzure(snp(), { jwk: rsaJwk(azureKey, 'azure') }), /jwk/],
    ['that brings a chain', ita, byIntel(intel(), { x5c: ['AA'] }), /x5c/],
    ['by an unknown key', ita, byIntel(intel(), { kid: 'other' }), /kid/],
    ['by another key', ita, byIntel(intel(), {}, azureKey), /signature/],
    [
      'about an SGX enclave',
      maa,
      byAzure(snp({ 'x-ms-attestation-type': 'sgx' })),
      /attestation-type/,
    ],
    ['that has expired', maa, byAzure(snp({ exp: NOW / 1000 - 61 })), /exp/],
    ['of the future', ita, byIntel(intel({ iat: NOW / 1000 + 61 })), /iat/],
    ['that says its domain twice', ita, byIntel(intel(domain())), /tdx: expected its claims once/],
    ['without a register', ita, byIntel(intel({}, { tdx_rtmr1: undefined })), /tdx_rtmr1/],
    [
      'with a text for a truth',
      ita,
      byIntel(intel({}, { tdx_td_attributes_debug: 'false' })),
      /debug/,
    ],
  ])('refuses one %s', async (_name, make, token, message) => {
    await expectRefused(make(), token, message)
  })

  it('says of one that can be debugged that it can, and of one that says nothing that it may', async () => {
    const debug = async (verifier: Verifier, token: string) => (await verify(verifier, token)).debug
    const flag = 'x-ms-sevsnpvm-is-debuggable'
    expect(await debug(maa(), byAzure(snp({ [flag]: true })))).toBe('enabled')
    expect(await debug(maa(), byAzure(snp({ [flag]: undefined })))).toBeUndefined()
    expect(await debug(ita(), byIntel(intel({}, { tdx_is_debuggable: true })))).toBe('enabled')
    const silent = { tdx_is_debuggable: undefined, tdx_td_attributes_debug: undefined }
    expect(await debug(ita(), byIntel(intel({}, silent)))).toBeUndefined()
  })

  it('says the same of a machine by every token, so that an approval holds at renewal', async () => {
    const nonce = 'm'.repeat(43)
    const data = reportData({ ...EXPECTED, nonce }).toString('hex')
    const later = { iat: NOW / 1000 + 30, nbf: NOW / 1000 + 30, exp: NOW / 1000 + 99, jti: 'two' }
    const pairs = [
      [
        maa(),
        byAzure(snp({ jti: 'one', nonce: 'x' })),
        byAzure(snp({ ...later, 'x-ms-sevsnpvm-reportdata': data })),
      ],
      [
        ita(),
        byIntel(intel({ jti: 'one', verifier_instance_ids: ['a'] })),
        byIntel(intel({ ...later, verifier_instance_ids: ['b'] }, { tdx_report_data: data })),
      ],
    ] as const
    for (const [verifier, first, second] of pairs) {
      const once = await verify(verifier, first)
      const again = await verify(verifier, second, { nonce })
      expect(again.platform).toEqual(once.platform)
      expect(again.attestedAt).not.toBe(once.attestedAt)
    }
  })

  it('asks each issuer at its own address, and trusts hosts only', async () => {
    asked.length = 0
    await verify(maa(), byAzure(snp()))
    expect(asked).toEqual([`${AZURE}/certs`])
    for (const issuer of ['http://a.example', 'https://a.example/x', 'https://A.example', 7]) {
      expect(() => createMaaVerifier({ issuers: [issuer as string] })).toThrow(/issuers\[0\]/)
    }
    expect(() => createItaVerifier({ issuers: [] })).toThrow(McbnError)
  })

  it('is judged by its section: issuer, TCB, debugging, what it was started for, an instance', async () => {
    const images = [TDX_IMAGE, SNP_IMAGE]
    const named = verifiedDescriptor(1, undefined, images)
    const client = {
      images,
      attestation: ['azure-maa', 'intel-ita'],
      platforms: { 'azure-maa': { issuers: [AZURE] }, 'intel-ita': { issuers: [INTEL] } },
    }
    const file = { version: 'mcbn/1', network: 'example', descriptorHash: named.hashHex }
    const policy = parsePolicy({ ...file, roles: { client } })
    expect([...createVerifiers(policy, { keySets }).keys()]).toEqual(['azure-maa', 'intel-ita'])
    const host = { 'x-ms-sevsnpvm-hostdata': named.hashHex }
    const config = { tdx_mrconfigid: named.hashHex.padEnd(96, '0') }
    const judge = async (verifier: Verifier, token: string) => {
      const facts = await verify(verifier, token)
      const timely = { ...facts, attestedAt: NOON, expiresAt: NOON + 1000 }
      const asking = { role: 'client', facts: timely, now: NOON, descriptor: named } as const
      const verdict = evaluatePolicy(policy, asking)
      return verdict.allowed ? [] : verdict.details.map((line) => line.split(':')[0])
    }
    expect(await judge(maa(), byAzure(snp(host)))).toEqual([])
    expect(await judge(maa(), byAzure(azureTdx(config)))).toEqual([])
    expect(await judge(ita(), byIntel(intel({}, config)))).toEqual([])
    const other = 'https://mine.eus.attest.azure.net'
    sets[`${other}/certs`] = sets[`${AZURE}/certs`]
    const anybody = createMaaVerifier({ issuers: [other], ...keySets })
    const theirs = byAzure(snp({ ...host, iss: other }), { jku: `${other}/certs` })
    expect(await judge(anybody, theirs)).toEqual(['issuer'])
    expect(await judge(maa(), byAzure(snp()))).toEqual(['x-ms-sevsnpvm-hostdata'])
    const level = { ...host, 'x-ms-sevsnpvm-vmpl': 1 }
    expect(await judge(maa(), byAzure(snp(level)))).toEqual(['x-ms-sevsnpvm-vmpl'])
    const old = { ...config, attester_tcb_status: 'OutOfDate' }
    expect(await judge(ita(), byIntel(intel({}, old)))).toEqual(['attester_tcb_status'])
    expect(await judge(ita(), byIntel(intel()))).toEqual(['tdx_mrconfigid'])
    const debugged = { ...config, tdx_is_debuggable: true }
    expect(await judge(ita(), byIntel(intel({}, debugged)))).toEqual(['dbgstat'])
    const nameless = { ...config, tdx_rtmr3: HEX('00', 48) }
    expect(await judge(maa(), byAzure(azureTdx(nameless)))).toEqual(['instance_id'])
  })

  it('needs issuers in the policy, and says the nearest thing to mend', () => {
    const section = (rules: object) => () =>
      parsePolicy({
        version: 'mcbn/1',
        network: 'example',
        descriptorHash: 'ab'.repeat(32),
        roles: {
          client: {
            images: [TDX_IMAGE],
            attestation: ['intel-ita'],
            platforms: { 'intel-ita': rules },
          },
        },
      })
    expect(section({})).toThrow(/platforms\.intel-ita\.issuers: expected a value, got none/)
    expect(section({ issuers: ['http://x.example'] })).toThrow(/issuers\[0\]: expected https:\/\//)
    expect(section({ issuer: [INTEL] })).toThrow(
      /issuer: there is no such field; did you mean issuers\?/,
    )
    expect(() => createVerifiers({ roles: { client: { attestation: ['azure-maa'] } } })).toThrow(
      /azure-maa needs issuers/,
    )
  })
})

describe.runIf(requirePeer('openssl'))('attestation/services: keys in certificates', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcbn-maa-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  let wrapped: KeyObject
  let x5c: string

  beforeAll(() => {
    const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', 'key.pem', '-outform', 'DER']
    const request = ['req', '-x509', ...made, '-subj', '/CN=azure', '-out', 'key.der']
    execFileSync('openssl', request, { cwd: folder, stdio: 'pipe' })
    wrapped = createPrivateKey(readFileSync(join(folder, 'key.pem')))
    x5c = readFileSync(join(folder, 'key.der')).toString('base64')
  })

  it('takes a set whose keys are in x5c alone, as Azure has it (RFC 7517 section 4.7)', async () => {
    const issuer = 'https://certificates.eus.attest.azure.net'
    const junk = { kty: 'RSA', kid: 'junk', x5c: ['AAAA'] }
    sets[`${issuer}/certs`] = { keys: [junk, { kty: 'RSA', kid: 'wrapped', x5c: [x5c] }] }
    const verifier = createMaaVerifier({ issuers: [issuer], ...keySets })
    const token = (kid: string) => jwt({ alg: 'RS256', kid }, snp({ iss: issuer }), wrapped)
    expect(await verify(verifier, token('wrapped'))).toMatchObject({ issuer })
    await expectRefused(verifier, token('junk'), /kid/)
  })
})
