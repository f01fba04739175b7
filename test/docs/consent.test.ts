// docs/CONSENT.md is written for somebody who builds another implementation. So every example of it is read,
// verified and opened here, with other code than the library's where there is some.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core'
import { DhkemX25519HkdfSha256 } from '@hpke/dhkem-x25519'
import { describe, expect, it } from 'vitest'
import { AUDIT_EVENTS } from '../../src/consent/audit/events.js'
import { verifyAudit } from '../../src/consent/audit/log.js'
import { verifySignedDescriptor } from '../../src/consent/descriptor/signed.js'
import { POLICY_SCHEMA } from '../../src/consent/policy/schema.js'
import { REFUSAL_CODES } from '../../src/consent/release/messages.js'
import {
  parseRefused,
  parseRelease,
  parseReleaseChallenge,
  parseReleaseEvidence,
  parseReleaseRequest,
  parseWithdrawal,
} from '../../src/consent/release/parse.js'
import { verifyRefusal, verifyRelease, verifyWithdrawal } from '../../src/consent/release/sign.js'
import { SHARE_PROBLEMS } from '../../src/consent/shares/problem.js'
import { openSecrets } from '../../src/consent/store/seal.js'
import * as spec from '../consent/spec.js'
import { repositoryRoot } from '../support/paths.js'

const page = readFileSync(join(repositoryRoot, 'docs/CONSENT.md'), 'utf8')
const { seeds, vectors } = JSON.parse(
  readFileSync(join(repositoryRoot, 'test/consent/vectors.json'), 'utf8'),
)
const [vector] = vectors
const { descriptor, signatures } = vector
const verified = verifySignedDescriptor({ descriptor, signatures })

function block(info: string): string {
  const text = page.split(`\`\`\`${info}\n`)[1]?.split('```')[0]
  if (text === undefined) throw new Error(`the page has no block ${info}`)
  return text
}
const json = (name: string) => JSON.parse(block(`json ${name}`))
const base64url = (text: string) => Buffer.from(text, 'base64url')
const hex = (text: string) => Buffer.from(text, 'hex')
const raw = (bytes: Buffer) => Uint8Array.from(bytes).buffer as ArrayBuffer

const request = parseReleaseRequest(json('request'))
const { c } = parseReleaseChallenge(json('challenge'))
const shown = parseReleaseEvidence(json('evidence'))
const { evidence } = shown
const release = parseRelease(json('release'))
const label = 'bob'
const round = { dh: verified.hash, role: request.role, label, c: base64url(c) }

describe('docs/consent', () => {
  it('has a request, a challenge and evidence that belong together', () => {
    expect(base64url(request.dh)).toEqual(verified.hash)
    expect(shown.c).toBe(c)
    expect(shown.request).toEqual(request)
    const nonce = spec.nonce(round, base64url(request.r), request.suite, base64url(request.pk))
    expect(page).toContain(`here \`${nonce}\``)
  })

  it('has a release that verifies, and that another implementation of HPKE opens', async () => {
    const { role } = request
    const { token } = evidence
    expect(() => verifyRelease(release, verified, { label, role, c, token })).not.toThrow()
    const suite = new CipherSuite({
      kem: new DhkemX25519HkdfSha256(),
      kdf: new HkdfSha256(),
      aead: new Aes256Gcm(),
    })
    const secret = /private key `([0-9a-f]{64})`/.exec(page)?.[1] ?? ''
    const opened = await suite.open(
      {
        recipientKey: await suite.kem.importKey('raw', raw(hex(secret)), false),
        enc: raw(base64url(release.enc)),
        info: raw(spec.sealInfo(round, token)),
      },
      raw(base64url(release.ciphertext)),
      raw(spec.utf8(spec.canonical(release.header))),
    )
    expect(Buffer.from(opened)).toEqual(hex(vector.shares.bob))
  })

  it('has signatures that follow from its formulas', () => {
    const seed = hex(seeds.bob.ed25519)
    const { signature: ofRelease, ...unsigned } = release
    const releaseBytes = spec.utf8(spec.canonical(unsigned))
    expect(spec.signature(seed, 'mcbn/1 sign release', releaseBytes)).toEqual(base64url(ofRelease))
    const refused = parseRefused(json('refused'))
    const { signature: ofRefusal, ...said } = refused
    const what = spec.sha256(
      spec.lp('mcbn/1 refused'),
      ...[request, { c, evidence }].map((message) =>
        spec.sha256(spec.utf8(spec.canonical(message))),
      ),
    )
    const parts = [spec.lp(verified.hash), spec.lp(what)]
    const refusalBytes = Buffer.concat([...parts, spec.utf8(spec.canonical(said))])
    expect(spec.signature(seed, 'mcbn/1 sign refusal', refusalBytes)).toEqual(
      base64url(`${ofRefusal}`),
    )
    expect(verifyRefusal(refused, verified, { refused: what })).toBe(true)
    const withdrawal = parseWithdrawal(json('withdrawal'))
    const { signature: ofWithdrawal, ...word } = withdrawal
    expect(spec.signature(seed, 'mcbn/1 sign withdrawal', spec.utf8(spec.canonical(word)))).toEqual(
      base64url(ofWithdrawal),
    )
    expect(verifyWithdrawal(withdrawal, verified)).toBe(true)
  })

  it('has sealed secrets that open as it says', async () => {
    const aad = spec.utf8(spec.canonical(json('participant')))
    const lock = { passphrase: 'correct horse battery staple' }
    expect(page).toContain(lock.passphrase)
    const opened = await openSecrets(json('secrets'), lock, aad)
    const fields = [hex(seeds.bob.ed25519), hex(seeds.bob.x25519), verified.hash]
    const expected = [spec.utf8('mcbn/1 secrets'), ...fields, hex(vector.shares.bob)]
    expect(opened).toEqual(Buffer.concat(expected.map((field) => spec.lp(field))))
  })

  it('has an audit that verifies, its head, and every event', async () => {
    const { lines, head } = await verifyAudit([Buffer.from(block('jsonl'))])
    expect(page).toContain(`${lines} lines, ${head}`)
    for (const event of AUDIT_EVENTS) expect(page).toContain(`\`${event}\``)
  })

  it('has the values of the first vector', () => {
    const { shares, commitments, keys, prk, kcv, identity, descriptorHash } = vector
    const { dtls13: _, ...listed } = keys
    const values = [shares, commitments, listed].flatMap((each) => Object.values<string>(each))
    for (const value of [...values, prk, kcv, identity, descriptorHash]) {
      expect(page).toContain(`\`${value}\``)
    }
  })

  it('names every label that goes into a hash or under a signature, and no other', () => {
    const sources = ['src/consent', 'src/psk'].flatMap((folder) =>
      readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts') && !name.endsWith('policy/schema.ts'))
        .map((name) => readFileSync(join(repositoryRoot, folder, name), 'utf8')),
    )
    const labels = (text: string, quotes: string) =>
      [...text.matchAll(new RegExp(`${quotes}(mcbn/1 [a-z-][a-z -]*)${quotes}`, 'g'))].map(
        ([, found]) => `${found}`,
      )
    const used = new Set(sources.flatMap((text) => labels(text, "'")))
    expect(used.size).toBeGreaterThan(20)
    expect([...new Set(labels(page, '`'))].sort()).toEqual([...used].sort())
  })

  it('names every field of a policy, every refusal, every fault of a share', () => {
    const named = (schema: unknown): string[] => {
      if (schema === null || typeof schema !== 'object') return []
      const { properties = {} } = schema as { properties?: object }
      return [...Object.keys(properties), ...Object.values(schema).flatMap(named)]
    }
    const fields = new Set(named(POLICY_SCHEMA))
    expect(fields.size).toBeGreaterThan(20)
    const shown = (field: string) =>
      [`\`${field}\``, `.${field}\``].some((text) => page.includes(text))
    const missing = [...fields].filter((field) => !shown(field))
    expect(missing).toEqual([])
    for (const code of REFUSAL_CODES) expect(page).toContain(`| \`${code}\` |`)
    for (const problem of SHARE_PROBLEMS) expect(page).toContain(`\`${problem}\``)
  })
})
