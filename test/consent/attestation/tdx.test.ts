// Intel TDX: the quote of a real machine with Intel's collateral, its bytes changed one by one; and quotes of both
// versions, signed here in Intel's formats: every way in which a quote, its certificates or Intel's statements can
// be wrong, up to the policy.

import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTdxVerifier, createTsmAttester, McbnError, type Verifier } from 'mcbn/consent'
import { beforeAll, describe, expect, it } from 'vitest'
import { pinnedRoots } from '../../../src/consent/attestation/chain.js'
import { reportData } from '../../../src/consent/attestation/hardware/binding.js'
import { INTEL_ROOTS, verifyTdx } from '../../../src/consent/attestation/hardware/tdx.js'
import { evaluatePolicy } from '../../../src/consent/policy/evaluate.js'
import { parsePolicy } from '../../../src/consent/policy/parse.js'
import { EXPECTED, expectRefused, verify } from '../../support/evidence.js'
import { requirePeer } from '../../support/peers.js'
import { NOON, verifiedDescriptor } from '../policy/fixture.js'
import { acceptedFlips, refusalBy } from './refusal.js'
import { type CollateralSaid, createIntel, type Intel, type QuoteSaid } from './tdx-signer.js'

describe("attestation/tdx: a real machine's quote", () => {
  const sample = (name: string) => readFileSync(join(import.meta.dirname, 'samples/intel', name))
  const collateral = JSON.stringify(JSON.parse(sample('tdx-collateral.json').toString()))
  const good = Buffer.concat([sample('tdx-quote.bin'), Buffer.from(collateral)])
  const roots = pinnedRoots(INTEL_ROOTS)
  /** When its collateral is in date. */
  const THEN = Date.UTC(2025, 8, 10)

  function refusalOf(bytes: Buffer, now = THEN): string | undefined {
    return refusalBy(() => verifyTdx(bytes, roots, now))
  }

  it("verifies it under Intel's root and reads it", () => {
    const { facts } = verifyTdx(good, roots, THEN)
    expect(facts).toMatchObject({
      hardware: 'INTEL_TDX',
      debug: 'disabled-since-boot',
      instance: expect.stringMatching(/^287a9242edd8c842/),
    })
    expect(facts.platform.claims).toMatchObject({
      version: 4,
      tcb_status: 'UpToDate',
      tcb_date: '2024-03-13T00:00:00Z',
      tcb_evaluation_data_number: 17,
      fmspc: '20a06f000000',
      tee_tcb_svn: '0601040000000000'.padEnd(32, '0'),
    })
  })

  it('refuses it with any one byte flipped (each of them with MCBN_EVERY_BYTE=1)', async () => {
    // All of them take a minute of a processor.
    const step = process.env['MCBN_EVERY_BYTE'] === '1' ? 1 : 17
    const accepted = await acceptedFlips(good, refusalOf, step)
    expect({ bytes: good.length, accepted }).toEqual({ bytes: 18_729, accepted: [] })
  })

  it('judges it as of the time that it is given', async () => {
    expect(refusalOf(good, Date.UTC(2025, 8, 1))).toMatch(/not yet valid/)
    expect(refusalOf(good, Date.UTC(2025, 9, 3))).toMatch(/out of date|has expired/)
    await expectRefused(createTdxVerifier(), good.toString('base64url'), /report data/, {
      now: THEN,
    })
  })
})

describe.runIf(requirePeer('openssl'))('attestation/tdx: quotes made here', () => {
  /** openssl's certificates begin when they are made, which on a busy machine is minutes after this line. */
  const now = Date.now() + 86_400_000
  const ABOUT = reportData(EXPECTED)
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  let intel: Intel

  beforeAll(() => {
    intel = createIntel(now)
  })

  const evidence = (
    said: QuoteSaid = {},
    about: CollateralSaid = {},
    change: (collateral: Record<string, string>) => object = (collateral) => collateral,
  ) =>
    Buffer.concat([
      intel.quote({ reportData: ABOUT, ...said }),
      Buffer.from(JSON.stringify(change(intel.collateral(about)))),
    ])
  const token = (...said: Parameters<typeof evidence>) => evidence(...said).toString('base64url')
  const verifier = (): Verifier => createTdxVerifier({ roots: [intel.root] })

  it.each([4, 5] as const)('reads a quote of version %i about this challenge', async (version) => {
    const facts = await verify(verifier(), token({ version }), { now })
    expect(facts).toMatchObject({
      kind: 'intel-tdx',
      issuer: 'Intel',
      hardware: 'INTEL_TDX',
      debug: 'disabled-since-boot',
      attestedAt: now,
      instance: 'b3'.repeat(48),
    })
    expect(facts.platform.claims).toMatchObject({
      version,
      tcb_status: 'UpToDate',
      tcb_date: '2026-02-01T00:00:00Z',
      tcb_advisories: ['INTEL-SA-00001'],
      tcb_evaluation_data_number: 17,
      fmspc: '00906ed50000',
    })
  })

  it('takes it about this audience and nonce, and no other', async () => {
    for (const other of [{ nonce: 'm'.repeat(43) }, { audience: 'mcbn://orchard/bob' }]) {
      await expectRefused(verifier(), token(), /report data/, { now, ...other })
    }
    await expectRefused(createTdxVerifier(), token(), /pinned root/, { now })
    expect(() => createTdxVerifier({ roots: [] })).toThrow(McbnError)
  })

  it('comes from the guest through configfs-tsm, without the zeros behind a quote', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mcbn-tdx-'))
    const file = (name: string) => join(folder, name)
    try {
      // Pipes that speak as the kernel's files do: a quote about the 64 bytes that were written.
      execFileSync('mkfifo', [file('inblob'), file('outblob')])
      await writeFile(file('provider'), 'tdx_guest\n')
      await writeFile(file('generation'), '1\n')
      const kernel = (async () => {
        const data = await readFile(file('inblob'))
        await writeFile(file('generation'), '2\n')
        const quote = intel.quote({ reportData: data })
        await writeFile(file('outblob'), Buffer.concat([quote, Buffer.alloc(70)]))
      })()
      const collateral = async () => ({ ...intel.collateral(), pck_crl_issuer_chain: '' }) as never
      const attester = createTsmAttester({ kind: 'intel-tdx', entry: folder, collateral })
      const { kind, token: made } = await attester.evidence(EXPECTED)
      await kernel
      expect({ kind, facts: await verify(verifier(), made, { now }) }).toMatchObject({
        kind: 'intel-tdx',
        facts: { instance: 'b3'.repeat(48) },
      })
      const other = createTsmAttester({ entry: folder })
      await expect(other.evidence(EXPECTED)).rejects.toThrow(/provider sev_guest/)
    } finally {
      rmSync(folder, { recursive: true })
    }
    for (const options of [{ kind: 'intel-tdx' as const }, { collateral: () => ({}) as never }]) {
      expect(() => createTsmAttester(options)).toThrow(
        expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' }),
      )
    }
    expect(() => createTsmAttester({ kind: 'sgx' as never })).toThrow(/kind: expected/)
  })

  it.each<[string, () => string, RegExp]>([
    [
      'signed by another attestation key',
      () => token({ quoteSigner: stranger }),
      /quote signature/,
    ],
    [
      'of an enclave that another key vouches for',
      () => token({ qeSigner: stranger }),
      /QE report sig/,
    ],
    ["of another enclave's key", () => token({ qeReportData: Buffer.alloc(32) }), /QE report/],
    [
      'of an enclave that can be debugged',
      () => token({ qeAttributes: '13'.padEnd(32, '0') }),
      /QE attributes/,
    ],
    [
      'of another quoting enclave',
      () => token({}, { qeIdentity: { mrsigner: 'ab'.repeat(32) } }),
      /QE identity/,
    ],
    [
      'of an enclave below all levels',
      () => token({}, { qeIdentity: { tcbLevels: [] } }),
      /qe_identity/,
    ],
    [
      'of a TDX module of another maker',
      () => token({ mrSignerSeam: '01'.repeat(48) }),
      /TDX module/,
    ],
    [
      'of a TDX module that Intel does not know',
      () => token({ teeTcbSvn: `0309${'05'.repeat(14)}` }),
      /TDX module/,
    ],
    [
      'of a processor below all levels',
      () => token({ teeTcbSvn: `0300${'04'.repeat(14)}` }),
      /TCB level/,
    ],
    [
      'of a processor that is revoked',
      () => token({}, { revoked: true }),
      /PCK certificate.*revoked/,
    ],
    ['at a level that is revoked', () => token({}, { status: 'Revoked' }), /revoked/],
    [
      'at a level with an unknown word',
      () => token({}, { status: 'Fine' }),
      /a state that Intel documents/,
    ],
    ['with a statement by another key', () => token({}, { signer: stranger }), /Intel's signature/],
    ['with a statement about SGX', () => token({}, { tcbInfo: { id: 'SGX' } }), /id TDX/],
    [
      'with a statement about another processor',
      () => token({}, { tcbInfo: { fmspc: '000000000000' } }),
      /processor/,
    ],
    ['with an enclave identity for SGX', () => token({}, { qeIdentity: { id: 'QE' } }), /id TD_QE/],
    [
      'with a statement that is out of date',
      () => token({}, { tcbInfo: { nextUpdate: '2020-01-01T00:00:00Z' } }),
      /tcb_info: out of date/,
    ],
    [
      'with a statement of the future',
      () => token({}, { qeIdentity: { issueDate: '2099-01-01T00:00:00Z' } }),
      /qe_identity: issued in the future/,
    ],
    [
      'with a statement without time',
      () => token({}, { tcbInfo: { issueDate: 'soon' } }),
      /in the future/,
    ],
    [
      'without revocation lists',
      () => token({}, {}, (all) => ({ ...all, pck_crl: '' })),
      /pck_crl/,
    ],
    [
      'with the revocation list of somebody else',
      () => token({}, {}, (all) => ({ ...all, pck_crl: all['root_ca_crl'] })),
      /CRL/,
    ],
    [
      'with a field that nobody judges',
      () => token({}, {}, (all) => ({ ...all, more: '' })),
      /collateral/,
    ],
    [
      'with text behind it',
      () => `${Buffer.concat([evidence(), Buffer.from(' ')]).toString('base64url')}`,
      /collateral/,
    ],
    [
      'without collateral',
      () => intel.quote({ reportData: ABOUT }).toString('base64url'),
      /collateral/,
    ],
    ['cut', () => evidence().subarray(0, 900).toString('base64url'), /expected more bytes/],
  ])('refuses one %s', async (_name, made, message) => {
    await expectRefused(verifier(), made(), message, { now })
  })

  it('judges certificates and statements as of the time that it is given', async () => {
    await expectRefused(verifier(), token(), /out of date/, { now: now + 2 * 86_400_000 })
    await expectRefused(verifier(), token(), /not yet valid/, { now: now - 2 * 86_400_000 })
    await expectRefused(verifier(), token(), /not yet valid|expired/, { now: Number.NaN })
  })

  it('says the worst of processor, module and enclave', async () => {
    const status = async (...said: Parameters<typeof evidence>) =>
      (await verify(verifier(), token(...said), { now })).platform.claims['tcb_status']
    const module = (svn: string) => ({ teeTcbSvn: `${svn}01${'05'.repeat(14)}` })
    expect(await status(module('04'))).toBe('UpToDate')
    expect(await status(module('02'))).toBe('OutOfDate')
    expect(await status({}, { status: 'SWHardeningNeeded' })).toBe('SWHardeningNeeded')
    expect(await status(module('02'), { status: 'ConfigurationNeeded' })).toBe('OutOfDate')
  })

  it('is judged by its section: status, debugging, what it was started for, an instance', async () => {
    const { imageDigest } = await verify(verifier(), token(), { now })
    const named = verifiedDescriptor(1, undefined, [`${imageDigest}`])
    const policy = parsePolicy({
      version: 'mcbn/1',
      network: 'example',
      descriptorHash: named.hashHex,
      roles: {
        client: {
          images: [imageDigest],
          attestation: ['intel-tdx'],
          platforms: { 'intel-tdx': { claims: { tcb_evaluation_data_number: { atLeast: 17 } } } },
        },
      },
    })
    const mrConfigId = named.hashHex.padEnd(96, '0')
    const judge = async (said: QuoteSaid, about: CollateralSaid = {}) => {
      const facts = await verify(verifier(), token({ mrConfigId, ...said }, about), { now })
      const timely = { ...facts, attestedAt: NOON, expiresAt: NOON + 1000 }
      const asking = { role: 'client', facts: timely, now: NOON, descriptor: named } as const
      const verdict = evaluatePolicy(policy, asking)
      return verdict.allowed ? [] : verdict.details.map((line) => line.split(':')[0])
    }
    expect(await judge({})).toEqual([])
    expect(await judge({}, { status: 'OutOfDate' })).toEqual(['tcb_status'])
    expect(await judge({ tdAttributes: '0100001000000000' })).toEqual(['dbgstat'])
    const migratable = { tdAttributes: '0000003000000000' }
    expect(await judge(migratable)).toEqual(['td_attributes.migratable'])
    const faults = { tdAttributes: '0000000000000000' }
    expect(await judge(faults)).toEqual(['td_attributes.sept_ve_disable'])
    expect(await judge({ mrConfigId: '00'.repeat(48) })).toEqual(['mr_config_id'])
    expect(await judge({ rtmr3: 0 })).toEqual(['instance_id'])
    const older = { tcbInfo: { tcbEvaluationDataNumber: 16 } }
    expect(await judge({}, older)).toEqual(['tcb_evaluation_data_number'])
  })
})
