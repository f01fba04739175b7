// AWS Nitro: the documents of a real enclave and of a real instance with AWS's certificates, each byte of them
// flipped once; and, under certificates made here, documents of enclaves and of NitroTPM up to the policy.

import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { encode } from 'cborg'
import { createNitroTpmVerifier, createNitroVerifier, McbnError, type Verifier } from 'mcbn/consent'
import { beforeAll, describe, expect, it } from 'vitest'
import { pinnedRoots } from '../../../src/consent/attestation/chain.js'
import { reportData } from '../../../src/consent/attestation/hardware/binding.js'
import { AWS_NITRO_ROOTS, verifyNitro } from '../../../src/consent/attestation/hardware/nitro.js'
import { evaluatePolicy } from '../../../src/consent/policy/evaluate.js'
import { parsePolicy } from '../../../src/consent/policy/parse.js'
import { EXPECTED, expectRefused, verify } from '../../support/evidence.js'
import { requirePeer } from '../../support/peers.js'
import { NOON, verifiedDescriptor } from '../policy/fixture.js'
import { type Aws, createAws, type Fields, type Form, register } from './nitro-signer.js'
import { acceptedFlips, refusalBy } from './refusal.js'

const AWS = pinnedRoots(AWS_NITRO_ROOTS)
const sample = readFileSync(join(import.meta.dirname, 'samples/aws/enclave-debug.bin'))
/** When it was made: its timestamp. */
const THEN = 1_731_627_989_450

function refusalOf(bytes: Buffer, now = THEN, roots = AWS): string | undefined {
  return refusalBy(() => verifyNitro(bytes, 'enclave', roots, now))
}

describe("attestation/nitro: a real enclave's document", () => {
  it("verifies it under AWS's root and reads it; it was in debug mode", () => {
    const { facts } = verifyNitro(sample, 'enclave', AWS, THEN)
    expect(facts).toMatchObject({
      kind: 'aws-nitro',
      issuer: 'AWS',
      attestedAt: THEN,
      hardware: 'AWS_NITRO',
      debug: 'enabled',
      instance: 'i-0f73a4b4cb74cc9f2-enc0192e4188fef781d',
    })
    expect(facts.platform).toMatchObject({
      name: 'aws-nitro',
      claims: { pcr0: '00'.repeat(48), pcr4: expect.stringMatching(/^9ab5a1ab/) },
    })
  })

  it('refuses it with any one byte flipped', async () => {
    const accepted = await acceptedFlips(sample, refusalOf)
    expect({ flipped: sample.length, accepted }).toEqual({ flipped: 4493, accepted: [] })
  })

  it.each<[string, Buffer, RegExp]>([
    ['cut', sample.subarray(0, -1), /CBOR/],
    ['longer', Buffer.concat([sample, Buffer.from([0])]), /CBOR/],
    ['tagged (RFC 9052 section 2)', Buffer.concat([Buffer.from([0xd2]), sample]), /CBOR/],
    ['empty', Buffer.alloc(0), /CBOR/],
  ])('refuses it %s', (_name, bytes, message) => {
    expect(refusalOf(bytes)).toMatch(message)
  })

  it('judges it as of the time that it is given', () => {
    expect(refusalOf(sample, THEN - 60_000)).toBeUndefined()
    expect(refusalOf(sample, THEN - 60_001)).toMatch(/timestamp: made in the future/)
    expect(refusalOf(sample, THEN + 359_999)).toBeUndefined()
    expect(refusalOf(sample, THEN + 360_000)).toMatch(/timestamp: expected a document of the last/)
    expect(refusalOf(sample, THEN + 86_400_000)).toMatch(/has expired/)
    expect(refusalOf(sample, Number.NaN)).toMatch(/not yet valid|expired/)
  })

  it('refuses it under another root, as a NitroTPM document, and about something else', async () => {
    expect(refusalOf(sample, THEN, new Set())).toMatch(/pinned root/)
    expect(() => createNitroVerifier({ roots: [] })).toThrow(McbnError)
    const token = sample.toString('base64url')
    await expectRefused(createNitroVerifier(), token, /user_data/, { now: THEN })
    await expectRefused(createNitroTpmVerifier(), token, /a NitroTPM's/, { now: THEN })
  })
})

describe("attestation/nitro: a real instance's document, by NitroTPM", () => {
  const machine = readFileSync(join(import.meta.dirname, 'samples/aws/nitro-tpm.bin'))
  /** Its timestamp: 3 February 2026. */
  const when = 1_770_113_522_437
  const refusal = (bytes: Buffer, now = when, source: 'tpm' | 'enclave' = 'tpm') =>
    refusalBy(() => verifyNitro(bytes, source, AWS, now))

  it("verifies it under AWS's root and reads it, a map without a length and 24 registers", () => {
    const { facts } = verifyNitro(machine, 'tpm', AWS, when)
    expect(facts).toMatchObject({
      kind: 'aws-nitro-tpm',
      issuer: 'AWS',
      attestedAt: when,
      hardware: 'AWS_NITRO_TPM',
      debug: 'disabled-since-boot',
      imageDigest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      instance: 'i-01cfb383223e42522-tpm0000000000000000',
    })
    expect(Object.keys(facts.platform.claims)).toHaveLength(25)
    expect(facts.platform).toMatchObject({
      name: 'aws-nitro-tpm',
      claims: {
        pcr4: expect.stringMatching(/^1a1f166e/),
        pcr7: expect.stringMatching(/^98441c7f/),
      },
    })
  })

  it('refuses it with any one byte flipped', async () => {
    const accepted = await acceptedFlips(machine, refusal)
    expect({ flipped: machine.length, accepted }).toEqual({ flipped: 4964, accepted: [] })
  })

  it("refuses it as an enclave's, later, and about a challenge that it does not name", async () => {
    expect(refusal(machine, when, 'enclave')).toMatch(/an enclave's/)
    expect(refusal(machine, when + 360_000)).toMatch(/timestamp/)
    // AWS's certificate for it is good for three hours.
    expect(refusal(machine, when + 4 * 3_600_000)).toMatch(/has expired/)
    const token = machine.toString('base64url')
    await expectRefused(createNitroTpmVerifier(), token, /user_data/, { now: when })
  })
})

describe.runIf(requirePeer('openssl'))('attestation/nitro: documents made here', () => {
  let aws: Aws
  /** openssl's certificates begin when they are made, which on a busy machine is minutes after this line. */
  const now = Date.now() + 86_400_000

  beforeAll(() => {
    aws = createAws(now)
  })

  const about = reportData(EXPECTED)
  const der = (at: number) => aws.der(at)
  const fields = (changed?: Fields) => aws.fields(about, changed)
  const tpmFields = (changed?: ReadonlyMap<number, Buffer>) => aws.tpmFields(about, changed)
  const document = (content: Fields, form?: Form) => aws.document(content, form)

  const verifier = (make = createNitroVerifier): Verifier => make({ roots: [der(0)] })

  it('takes one about this audience and nonce, and no other', async () => {
    const token = document(fields())
    expect(await verify(verifier(), token, { now })).toMatchObject({
      debug: 'disabled-since-boot',
      instance: 'i-1-enc2',
      attestedAt: now,
    })
    for (const other of [{ nonce: 'm'.repeat(43) }, { audience: 'mcbn://orchard/bob' }]) {
      await expectRefused(verifier(), token, /user_data/, { now, ...other })
    }
    await expectRefused(createNitroVerifier(), token, /pinned root/, { now })
  })

  it('takes a payload whose map has no length up front, as newer hypervisors write it', async () => {
    const definite = encode(fields())
    const payload = Buffer.concat([Buffer.from([0xbf]), definite.subarray(1), Buffer.from([0xff])])
    expect(definite[0]).toBe(0xa9)
    const facts = await verify(verifier(), document({}, { payload }), { now })
    expect(facts.instance).toBe('i-1-enc2')
  })

  it.each<[string, () => string, RegExp]>([
    ['signed by another key', () => document(fields(), { signer: 1 }), /signature/],
    [
      'with another algorithm (ES256, RFC 9053 section 2.1)',
      () => document(fields(), { head: Buffer.from('a10126', 'hex') }),
      /ES384/,
    ],
    [
      'with something unprotected',
      () => document(fields(), { unprotected: new Map([[4, 1]]) }),
      /unprotected/,
    ],
    [
      'whose key is for something else',
      () => document(fields({ certificate: der(3) }), { signer: 3 }),
      /digitalSignature|key usage|purpose/i,
    ],
    [
      'signed by a CA of the chain',
      () => document(fields({ certificate: der(1), cabundle: [der(0), der(0)] }), { signer: 1 }),
      /path validation|issued by/,
    ],
    ['without its chain', () => document(fields({ cabundle: [der(0)] })), /cabundle/],
    [
      'with a long chain',
      () => document(fields({ cabundle: Array(9).fill(der(0)) })),
      /cabundle: expected 2 to 8/,
    ],
    ['with another hash', () => document(fields({ digest: 'SHA256' })), /digest/],
    ['with a short register', () => document(fields({ pcrs: new Map([[0, der(0)]]) })), /pcrs/],
    ['with registers of both kinds', () => document(fields({ nitrotpm_pcrs: {} })), /document/],
    ['without user data', () => document(fields({ user_data: null })), /user_data/],
    ['with text as user data', () => document(fields({ user_data: 'x' })), /user_data/],
    ['without time', () => document(fields({ timestamp: 0 })), /timestamp/],
    ['without module', () => document(fields({ module_id: '' })), /module_id/],
    [
      'with a field twice (RFC 8949 section 5.6)',
      () => {
        const once = encode(fields())
        const again = Buffer.concat([
          Buffer.from([0xaa]),
          once.subarray(1),
          encode('nonce'),
          encode(1),
        ])
        return document({}, { payload: again })
      },
      /no key twice/,
    ],
  ])('refuses one %s', async (_name, token, message) => {
    await expectRefused(verifier(), token(), message, { now })
  })

  it('refuses another kind, and text that is no base64url', async () => {
    const token = document(fields())
    const evidence = { kind: 'amd-sev-snp', token }
    await expect(verifier().verify(evidence, { ...EXPECTED, now })).rejects.toThrow(/kind/)
    await expectRefused(verifier(), `${token}=`, /base64url/, { now })
  })

  it('is judged by the section of its platform: debugging, registers, a command line', async () => {
    const tpm = (changed?: ReadonlyMap<number, Buffer>) => document(tpmFields(changed))
    const enclave = await verify(verifier(), document(fields()), { now })
    const machine = await verify(verifier(createNitroTpmVerifier), tpm(), { now })
    const images = [`${enclave.imageDigest}`, `${machine.imageDigest}`]
    expect(images[0]).not.toBe(images[1])
    const named = verifiedDescriptor(1, undefined, images)
    const policy = parsePolicy({
      version: 'mcbn/1',
      network: 'example',
      descriptorHash: named.hashHex,
      roles: {
        client: {
          images,
          attestation: ['aws-nitro', 'aws-nitro-tpm'],
          platforms: {
            'aws-nitro': { claims: { pcr3: register(4).toString('hex') } },
            'aws-nitro-tpm': {},
          },
        },
      },
    })
    const judge = async (make: typeof createNitroVerifier, token: string) => {
      const facts = await verify(verifier(make), token, { now })
      const verdict = evaluatePolicy(policy, {
        role: 'client',
        facts: { ...facts, attestedAt: NOON, expiresAt: NOON + 1000 },
        now: NOON,
        descriptor: named,
      })
      return verdict.allowed ? [] : verdict.details.map((line) => line.split(':')[0])
    }
    const zeros = new Map([0, 1, 2, 3].map((at) => [at, register(at === 3 ? 4 : 0)]))
    const role = new Map([0, 1, 2, 3].map((at) => [at, register(at === 3 ? 9 : at + 1)]))
    expect(await judge(createNitroVerifier, document(fields()))).toEqual([])
    expect(await judge(createNitroVerifier, document(fields({ pcrs: zeros })))).toEqual([
      'dbgstat',
      'image_digest',
    ])
    expect(await judge(createNitroVerifier, document(fields({ pcrs: role })))).toEqual(['pcr3'])
    expect(await judge(createNitroTpmVerifier, tpm())).toEqual([])
    expect(await judge(createNitroTpmVerifier, tpm(new Map([[12, register(1)]])))).toEqual([
      'pcr12',
    ])
    expect(await judge(createNitroTpmVerifier, tpm(new Map([[4, register(1)]])))).toEqual([
      'image_digest',
    ])
  })

  it("holds the roots that are pinned against AWS's own certificate", () => {
    const { document: real } = verifyNitro(sample, 'enclave', AWS, THEN)
    const root = new X509Certificate(real.cabundle[0] as Buffer)
    expect(root.subject).toContain('CN=aws.nitro-enclaves')
    expect(root.fingerprint256).toBe([...AWS][0])
  })
})
