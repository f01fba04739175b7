// AMD SEV-SNP: reports of real processors with AMD's certificates, each byte of them flipped once; and, with
// certificates made here, the way from a guest's configfs-tsm to a participant's policy.

import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSnpVerifier, createTsmAttester, McbnError } from 'mcbn/consent'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pinnedRoots } from '../../../src/consent/attestation/chain.js'
import { reportData } from '../../../src/consent/attestation/hardware/binding.js'
import { AMD_ROOTS, verifySnp } from '../../../src/consent/attestation/hardware/snp.js'
import { evaluatePolicy } from '../../../src/consent/policy/evaluate.js'
import { parsePolicy } from '../../../src/consent/policy/parse.js'
import { EXPECTED, expectRefused, verify } from '../../support/evidence.js'
import { requirePeer } from '../../support/peers.js'
import { NOON, verifiedDescriptor } from '../policy/fixture.js'
import { acceptedFlips, refusalBy } from './refusal.js'
import { type Amd, createAmd, type ReportSaid } from './snp-signer.js'

const AMD = pinnedRoots(AMD_ROOTS)
/** When the samples' certificates are valid. */
const THEN = Date.UTC(2025, 5, 1)
const sample = (name: string) => readFileSync(join(import.meta.dirname, 'samples/amd', name))
const [ask, ark] = (
  sample('milan-ask-ark.pem')
    .toString()
    .match(/-----BEGIN[\s\S]*?END CERT.*/g) ?? []
).map((pem) => new X509Certificate(pem).raw) as [Buffer, Buffer]
const evidenceOf = (name: string) =>
  Buffer.concat([sample(`${name}-report.bin`), sample(`${name}-vcek.der`), ask, ark])

function refusalOf(bytes: Buffer, now = THEN, roots = AMD): string | undefined {
  return refusalBy(() => verifySnp(bytes, roots, now))
}

describe('attestation/snp: reports of real processors', () => {
  it.each([
    ['milan', { microcode: 115, snp: 8, smt: true, instance: /^[0-9a-f]{64}$/ }],
    ['milan2', { microcode: 68, snp: 5, smt: true, instance: /^8edc638e1857c555/ }],
  ])("verifies %s under AMD's root and reads it", (name, expected) => {
    const { facts } = verifySnp(evidenceOf(name), AMD, THEN)
    expect(facts).toMatchObject({
      kind: 'amd-sev-snp',
      hardware: 'AMD_SEV_SNP',
      imageDigest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      instance: expect.stringMatching(expected.instance),
    })
    expect(facts.platform.claims).toMatchObject({
      product: 'Milan-B0',
      signing_key: 'vcek',
      vmpl: 0,
      'policy.smt': expected.smt,
      'tcb.microcode': expected.microcode,
      'tcb.snp': expected.snp,
    })
  })

  it('says of a guest that can be debugged that it can', () => {
    expect(verifySnp(evidenceOf('milan2'), AMD, THEN).facts.debug).toBe('enabled')
    expect(verifySnp(evidenceOf('milan'), AMD, THEN).facts.debug).toBe('disabled-since-boot')
  })

  it('refuses it with any one byte flipped, report and certificates alike', async () => {
    const good = evidenceOf('milan')
    const accepted = await acceptedFlips(good, refusalOf)
    expect({ flipped: good.length, accepted }).toEqual({ flipped: 5860, accepted: [] })
  })

  it.each<[string, () => Buffer, RegExp]>([
    ['cut', () => evidenceOf('milan').subarray(0, -1), /root: expected a certificate/],
    ['cut within the report', () => evidenceOf('milan').subarray(0, 900), /report: expected 1184/],
    ['longer', () => Buffer.concat([evidenceOf('milan'), Buffer.from([0])]), /nothing behind/],
    [
      "with another chip's certificate",
      () => Buffer.concat([sample('milan-report.bin'), sample('milan2-vcek.der'), ask, ark]),
      /report signature/,
    ],
    [
      'without its intermediate',
      () => Buffer.concat([sample('milan-report.bin'), sample('milan-vcek.der'), ark, ark]),
      /issued by/,
    ],
  ])('refuses it %s', (_name, bytes, message) => {
    expect(refusalOf(bytes())).toMatch(message)
  })

  it('judges certificates as of the time that it is given', () => {
    expect(refusalOf(evidenceOf('milan'), Date.UTC(2040, 0))).toMatch(/has expired/)
    expect(refusalOf(evidenceOf('milan'), Number.NaN)).toMatch(/not yet valid|expired/)
  })

  it('refuses them under roots that do not hold theirs', () => {
    expect(refusalOf(evidenceOf('milan'), THEN, new Set())).toMatch(/pinned root/)
    expect(() => createSnpVerifier({ roots: [] })).toThrow(McbnError)
  })

  it('refuses a report that is about something else', async () => {
    const token = evidenceOf('milan').toString('base64url')
    await expectRefused(createSnpVerifier(), token, /report data/, { now: THEN })
  })
})

describe.runIf(requirePeer('openssl'))('attestation/snp: from configfs-tsm to the policy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcbn-snp-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const path = (name: string) => join(folder, name)
  let amd: Amd

  beforeAll(() => {
    amd = createAmd()
  })

  /** openssl's certificates begin when they are made, which on a busy machine is minutes after this line. */
  const now = Date.now() + 86_400_000
  const verifier = () => createSnpVerifier({ roots: [amd.root] })
  const token = (said?: ReportSaid) => amd.token(reportData(EXPECTED), said)

  /** The host's table of certificates: entries of GUID, offset and length, closed by zeros. */
  function table(): Buffer {
    const guids = [
      '63da758de6644564adc5f4b93be8accd',
      '4ab7b379bbac4fe4a02f05aef327c782',
      'c0b406a4a803495297433fb6014cd0ae',
    ]
    const head = Buffer.alloc(24 * (guids.length + 1))
    let offset = head.length
    for (const [at, guid] of guids.entries()) {
      head.write(guid, 24 * at, 'hex')
      head.writeUInt32LE(offset, 24 * at + 16)
      head.writeUInt32LE(amd.chain[at]?.length ?? 0, 24 * at + 20)
      offset += amd.chain[at]?.length ?? 0
    }
    return Buffer.concat([head, ...amd.chain, Buffer.alloc(64)])
  }

  /** An entry whose pipes speak as the kernel's files do: a report for what was written. */
  async function withEntry(name: string, use: (entry: string) => Promise<void>): Promise<void> {
    const entry = path(name)
    execFileSync('mkdir', [entry])
    execFileSync('mkfifo', [join(entry, 'inblob'), join(entry, 'outblob')])
    await writeFile(join(entry, 'provider'), 'sev_guest\n')
    await writeFile(join(entry, 'auxblob'), table())
    await writeFile(join(entry, 'generation'), '4\n')
    const kernel = (async () => {
      const data = await readFile(join(entry, 'inblob'))
      await writeFile(join(entry, 'generation'), '5\n')
      await writeFile(join(entry, 'outblob'), amd.report(data))
    })()
    await use(entry)
    await kernel
  }

  it('gets a report that is about this audience and nonce, and no other', async () => {
    await withEntry('entry', async (entry) => {
      const evidence = await createTsmAttester({ entry }).evidence(EXPECTED)
      const facts = await verifier().verify(evidence, { ...EXPECTED, now })
      expect(facts).toMatchObject({ instance: '1d'.repeat(32), attestedAt: now })
      const others = [{ nonce: 'm'.repeat(43) }, { audience: 'mcbn://orchard/bob' }]
      for (const other of others) {
        await expectRefused(verifier(), evidence.token, /report data/, { now, ...other })
      }
      await expectRefused(createSnpVerifier(), evidence.token, /pinned root/, { now })
    })
  })

  it('says where it looked when there is no such guest', async () => {
    const attester = createTsmAttester({ folder: path('nowhere') })
    await expect(attester.evidence(EXPECTED)).rejects.toMatchObject({
      code: 'MCBN_ATTESTER_FAILED',
      message: expect.stringContaining('SEV-SNP guest'),
    })
  })

  it('refuses a report at another level of firmware than the key was made for', async () => {
    await expectRefused(verifier(), token({ snp: 9 }), /reported TCB snp/, { now })
  })

  it('is judged by its section: level, debugging, the network it was started for, firmware', async () => {
    const { imageDigest } = await verify(verifier(), token(), { now })
    const named = verifiedDescriptor(1, undefined, [`${imageDigest}`])
    const policy = parsePolicy({
      version: 'mcbn/1',
      network: 'example',
      descriptorHash: named.hashHex,
      roles: {
        client: {
          images: [imageDigest],
          attestation: ['amd-sev-snp'],
          platforms: { 'amd-sev-snp': { claims: { 'tcb.snp': { atLeast: 8 } } } },
        },
      },
    })
    const judge = async (said: ReportSaid) => {
      const facts = await verify(verifier(), token({ hostData: named.hashHex, ...said }), {
        now,
      })
      const timely = { ...facts, attestedAt: NOON, expiresAt: NOON + 1000 }
      const verdict = evaluatePolicy(policy, {
        role: 'client',
        facts: timely,
        now: NOON,
        descriptor: named,
      })
      return verdict.allowed ? [] : verdict.details.map((line) => line.split(':')[0])
    }
    expect(await judge({})).toEqual([])
    expect(await judge({ vmpl: 1 })).toEqual(['vmpl'])
    expect(await judge({ debug: true })).toEqual(['dbgstat'])
    expect(await judge({ hostData: 'ab'.repeat(32) })).toEqual(['host_data'])
  })
})
