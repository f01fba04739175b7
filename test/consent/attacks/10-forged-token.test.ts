// Attack 10: a token that the platform did not sign, dressed as one it did: another algorithm, a key of the
// attacker's brought along or pointed to, another issuer, another chain. No token decides by what it is
// verified (RFC 8725 sections 2.1, 3.1, 3.10).

import { createHmac, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  createGcpOidcVerifier,
  createGcpPkiVerifier,
  createLocalVerifier,
  GCP_CS_ISSUER,
  GCP_CS_JWKS_URI,
} from 'mcbn/consent'
import { describe, expect, it } from 'vitest'
import {
  certificatePem,
  issueCertificate,
} from '../../../src/consent/attestation/local/certificates.js'
import {
  type Claims,
  expectRefused,
  goodClaims,
  ISSUER,
  jwt,
  NOW,
  rsaJwk,
  rsaKey,
  verify,
} from '../../support/evidence.js'

const platform = rsaKey()
const attacker = rsaKey()
const publicPem = createPublicKey(platform).export({ type: 'spki', format: 'pem' }) as string
const jwk = rsaJwk(platform, 'platform')
const claims = goodClaims({ iss: GCP_CS_ISSUER })

/** Every address that the verifier asks is noted; only Google's has an answer. */
const asked: string[] = []
const verifier = createGcpOidcVerifier({
  fetch: async (address) => {
    asked.push(`${address}`)
    return new Response(JSON.stringify({ keys: [jwk] }))
  },
})

const header = (more: Claims = {}): Claims => ({
  alg: 'RS256',
  kid: 'platform',
  typ: 'JWT',
  ...more,
})
const hmac = (secret: string | Buffer) => (input: string) =>
  createHmac('sha256', secret).update(input).digest()
const pss = (key: KeyObject) => (input: string) =>
  sign('sha256', Buffer.from(input), { key, padding: 6, saltLength: 32 })

describe('attack 10: another algorithm', () => {
  const unsigned = jwt(header({ alg: 'none' }), claims, () => Buffer.alloc(0))
  const forged: readonly [string, string, RegExp][] = [
    ['none without a signature', unsigned, /three parts/],
    ['none with some signature', jwt(header({ alg: 'none' }), claims, platform), /alg/],
    ['None', jwt(header({ alg: 'None' }), claims, platform), /alg/],
    ['rs256 in lower case', jwt(header({ alg: 'rs256' }), claims, platform), /alg/],
    ['HS256 under the public key', jwt(header({ alg: 'HS256' }), claims, hmac(publicPem)), /alg/],
    ['HS256 under the modulus', jwt(header({ alg: 'HS256' }), claims, hmac(`${jwk['n']}`)), /alg/],
    ['RS512', jwt(header({ alg: 'RS512' }), claims, platform), /alg/],
    ['PS256', jwt(header({ alg: 'PS256' }), claims, pss(platform)), /alg/],
    ['PS256 called RS256', jwt(header(), claims, pss(platform)), /signature/],
    ['HS256 called RS256', jwt(header(), claims, hmac(publicPem)), /signature/],
    ['a list of algorithms', jwt(header({ alg: ['RS256'] }), claims, platform), /alg/],
    ['no algorithm', jwt({ kid: 'platform' }, claims, platform), /alg/],
    [
      'the algorithm in a prototype',
      jwt('{"__proto__":{"alg":"RS256"},"kid":"platform"}', claims, platform),
      /alg/,
    ],
    [
      'two algorithms, the last one none',
      jwt('{"alg":"RS256","kid":"platform","alg":"none"}', claims, platform),
      /alg/,
    ],
  ]
  for (const [name, token, message] of forged) {
    it(`refuses ${name}`, async () => {
      await expectRefused(verifier, token, message)
    })
  }
})

describe('attack 10: another key', () => {
  it('refuses the signature of another key under the right key id', async () => {
    await expectRefused(verifier, jwt(header(), claims, attacker), /signature/)
  })

  it('refuses a key id that the platform does not have, and none', async () => {
    await expectRefused(verifier, jwt(header({ kid: 'attacker' }), claims, attacker), /kid/)
    await expectRefused(verifier, jwt(header({ kid: '__proto__' }), claims, attacker), /kid/)
    await expectRefused(verifier, jwt(header({ kid: undefined }), claims, attacker), /kid/)
    await expectRefused(verifier, jwt(header({ kid: ['platform'] }), claims, attacker), /kid/)
  })

  it('never uses a key that the token brings, and asks no address that it names', async () => {
    let visits = 0
    const server = createServer((_, answer) => {
      visits += 1
      answer.end(JSON.stringify({ keys: [rsaJwk(attacker, 'platform')] }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const certificate = rootOf(attacker, 'evil').toString('base64')
    const brought: Claims = {
      jku: address,
      x5u: address,
      jwk: rsaJwk(attacker, 'platform'),
      x5c: [certificate, certificate, certificate],
      crit: ['exp'],
      b64: false,
      zip: 'DEF',
    }
    try {
      for (const [name, value] of Object.entries(brought)) {
        const message = new RegExp(`^evidence: header ${name}: not allowed`)
        // Refused beside a good signature as well: nobody honest writes it.
        for (const key of [attacker, platform]) {
          await expectRefused(verifier, jwt(header({ [name]: value }), claims, key), message)
        }
      }
      expect(visits).toBe(0)
      expect(new Set(asked)).toEqual(new Set([GCP_CS_JWKS_URI]))
    } finally {
      server.close()
    }
  })

  it('accepts what the platform did sign: nothing else was wrong', async () => {
    expect((await verify(verifier, jwt(header(), claims, platform))).kind).toBe('gcp-cs-oidc')
  })
})

describe('attack 10: another issuer', () => {
  const issuers: readonly unknown[] = [
    ISSUER,
    `${GCP_CS_ISSUER}/`,
    GCP_CS_ISSUER.toUpperCase(),
    GCP_CS_ISSUER.replace('https', 'http'),
    `${GCP_CS_ISSUER}.evil.test`,
    'https://accounts.google.com',
    [GCP_CS_ISSUER],
    { [GCP_CS_ISSUER]: true },
    null,
    undefined,
  ]
  for (const iss of issuers) {
    it(`refuses ${JSON.stringify(iss)} under the platform's own key`, async () => {
      await expectRefused(verifier, jwt(header(), { ...claims, iss }, platform), /^evidence: iss/)
    })
  }

  it("refuses the platform's name under the key of a local issuer, and the other way round", async () => {
    const local = createLocalVerifier({ issuers: [{ issuer: ISSUER, jwks: { keys: [jwk] } }] })
    await expectRefused(local, jwt(header(), claims, platform), /^evidence: iss/)
    await expectRefused(verifier, jwt(header(), goodClaims(), platform), /^evidence: iss/)
  })
})

describe('attack 10: another chain', () => {
  const leafKey = rsaKey()
  const middleKey = rsaKey()
  const root = rootOf(platform, 'root')
  const middle = certificate('middle', 'root', middleKey, platform, true)
  const leaf = certificate('leaf', 'middle', leafKey, middleKey, false)
  const pki = createGcpPkiVerifier({ roots: [certificatePem(root)] })
  const signed = (x5c: unknown, key = leafKey): string =>
    jwt({ alg: 'RS256', typ: 'JWT', x5c }, claims, key)
  const b64 = (...chain: readonly Buffer[]): string[] => chain.map((one) => one.toString('base64'))

  it('accepts leaf, intermediate and the pinned root', async () => {
    expect((await verify(pki, signed(b64(leaf, middle, root)))).kind).toBe('gcp-cs-pki')
  })

  it('refuses a whole chain of the same names under another root', async () => {
    const evilRoot = rootOf(attacker, 'root')
    const evilMiddle = certificate('middle', 'root', middleKey, attacker, true)
    const chain = b64(leaf, evilMiddle, evilRoot)
    await expectRefused(pki, signed(chain), /pinned root/)
    // With the real root put at its end, the chain does not meet it.
    await expectRefused(pki, signed(b64(leaf, evilMiddle, root)), /intermediate: expected/)
  })

  it('refuses four certificates, two, one, none, and what is not a list', async () => {
    const chains: readonly unknown[] = [
      b64(leaf, middle, root, root),
      b64(leaf, middle, middle, root),
      b64(middle, root),
      b64(root),
      [],
      undefined,
      b64(leaf, middle, root).join(),
      { 0: b64(leaf)[0], 1: b64(middle)[0], 2: b64(root)[0], length: 3 },
    ]
    for (const x5c of chains) {
      await expectRefused(pki, signed(x5c), /header x5c: expected exactly 3 certificates/)
    }
  })

  it('refuses HS256 under the leaf, and keys beside the chain', async () => {
    const chain = b64(leaf, middle, root)
    const secret = createPublicKey(leafKey).export({ type: 'spki', format: 'pem' }) as string
    await expectRefused(pki, jwt({ alg: 'HS256', x5c: chain }, claims, hmac(secret)), /alg/)
    const both = jwt({ alg: 'RS256', x5c: chain, jwk: rsaJwk(attacker, 'a') }, claims, attacker)
    await expectRefused(pki, both, /header jwk/)
  })
})

function rootOf(key: KeyObject, name: string): Buffer {
  return certificate(name, name, key, key, true)
}

function certificate(
  subject: string,
  issuer: string,
  key: KeyObject,
  signingKey: KeyObject,
  ca: boolean,
): Buffer {
  return issueCertificate({
    subject,
    issuer,
    publicKey: createPublicKey(key),
    signingKey,
    ca,
    validFrom: NOW - 1_000,
    validUntil: NOW + 3_600_000,
  })
}
