// Google's key set: one address, fetched rarely, kept for a bounded time. Served here by a real HTTP server.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock, GcpOidcOptions, Verifier } from 'mcbn/consent'
import { createGcpOidcVerifier, GCP_CS_ISSUER, GCP_CS_JWKS_URI, McbnError } from 'mcbn/consent'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  expectRefused,
  goodClaims,
  IMAGE,
  jwt,
  rsaJwk,
  rsaKey,
  verify,
} from '../../support/evidence.js'

const first = rsaKey()
const second = rsaKey()
const claims = goodClaims({ iss: GCP_CS_ISSUER })
const byFirst = jwt({ alg: 'RS256', kid: 'first', typ: 'JWT' }, claims, first)
const bySecond = jwt({ alg: 'RS256', kid: 'second', typ: 'JWT' }, claims, second)
const firstSet = { keys: [rsaJwk(first, 'first')] }

type Answer = (asked: IncomingMessage, answer: ServerResponse) => void
const json =
  (value: unknown): Answer =>
  (_, answer) =>
    answer.end(JSON.stringify(value))

let asked = 0
let respond: Answer = json(firstSet)
let time = 0
const clock: Clock = {
  wall: () => 0,
  monotonic: () => time,
  after: () => () => undefined,
}
const server = createServer((request, answer) => {
  asked += 1
  respond(request, answer)
})
let jwksUri = ''

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  asked = 0
  time = 0
  respond = json(firstSet)
})

const make = (options: GcpOidcOptions = {}): Verifier =>
  createGcpOidcVerifier({ clock, testing: { jwksUri }, ...options })

describe('attestation/gcp-oidc', () => {
  it('fetches keys when the first token arrives, once for many', async () => {
    const verifier = make()
    expect(asked).toBe(0)
    const facts = await Promise.all(Array.from({ length: 20 }, () => verify(verifier, byFirst)))
    expect(facts.every(({ imageDigest }) => imageDigest === IMAGE)).toBe(true)
    expect(facts[0]).toMatchObject({ kind: 'gcp-cs-oidc', issuer: GCP_CS_ISSUER })
    expect(asked).toBe(1)
  })

  it('asks the one address that Google documents, and follows no redirect', async () => {
    const seen: unknown[] = []
    const verifier = createGcpOidcVerifier({
      fetch: async (address, init) => {
        seen.push([address, init?.redirect])
        return new Response(JSON.stringify(firstSet))
      },
    })
    await verify(verifier, byFirst)
    expect(seen).toEqual([[GCP_CS_JWKS_URI, 'error']])
    respond = (request, answer) => {
      if (request.url === '/jwks') answer.writeHead(302, { location: '/other' }).end()
      else json(firstSet)(request, answer)
    }
    await expectRefused(make(), byFirst, /keys cannot be fetched/)
    expect(asked).toBe(1)
  })

  it('asks nobody for a token that is refused anyway', async () => {
    const verifier = make()
    await expectRefused(verifier, 'a.b', /token: expected a JWT/)
    await expectRefused(verifier, 'x'.repeat(65_537), /token: expected at most 65536/)
    const foreign = jwt({ alg: 'RS256', kid: 'first' }, goodClaims(), first)
    await expectRefused(verifier, foreign, /iss: expected an issuer trusted/)
    expect(asked).toBe(0)
  })

  it('fetches again for an unknown key id: keys roll over', async () => {
    const verifier = make()
    await verify(verifier, byFirst)
    respond = json({ keys: [rsaJwk(second, 'second'), rsaJwk(first, 'first')] })
    time = 30_000
    await verify(verifier, bySecond)
    await verify(verifier, byFirst)
    expect(asked).toBe(2)
  })

  it('fetches at most once a cooldown, however many unknown key ids arrive', async () => {
    const verifier = make()
    await verify(verifier, byFirst)
    time = 30_000
    for (let at = 0; at < 20; at += 1) await expectRefused(verifier, bySecond, /header kid/)
    expect(asked).toBe(2)
    time = 60_000
    await expectRefused(verifier, bySecond, /header kid/)
    expect(asked).toBe(3)
  })

  it('leaves evidence unjudged whose key id came too soon after somebody’s junk (a participant is busy then)', async () => {
    const verifier = make()
    await verify(verifier, byFirst)
    time = 30_000
    // Asked for this one: the issuer has no such key.
    await expect(verify(verifier, bySecond)).rejects.not.toHaveProperty('cause')
    respond = json({ keys: [rsaJwk(second, 'second')] })
    time = 31_000
    await expect(verify(verifier, bySecond)).rejects.toHaveProperty('cause')
    time = 60_000
    await verify(verifier, bySecond)
    expect(asked).toBe(3)
  })

  it('drops a key that the set no longer has, once the set is fetched again', async () => {
    const verifier = make()
    await verify(verifier, byFirst)
    respond = json({ keys: [rsaJwk(second, 'second')] })
    time = 600_001
    await expectRefused(verifier, byFirst, /header kid/)
    await verify(verifier, bySecond)
    expect(asked).toBe(2)
  })

  it('goes on with the keys it has while the address fails, for an hour', async () => {
    const verifier = make()
    await verify(verifier, byFirst)
    respond = (_, answer) => answer.writeHead(503).end()
    time = 3_600_000
    await verify(verifier, byFirst)
    expect(asked).toBe(2)
    time = 3_600_001
    await expectRefused(verifier, byFirst, /keys cannot be fetched/)
    respond = json(firstSet)
    time += 30_000
    await verify(verifier, byFirst)
  })

  it('gives the reason as cause when there were never any keys', async () => {
    respond = (_, answer) => answer.writeHead(503).end()
    const error = await verify(make(), byFirst).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ cause: { message: 'expected status 200, got 503' } })
  })

  it('gives up on a slow address after its timeout', async () => {
    respond = (_, answer) => answer.writeHead(200).write('{"keys":')
    await expectRefused(make({ timeout: 60 }), byFirst, /keys cannot be fetched/)
    const deaf = make({ timeout: 60, fetch: () => new Promise(() => undefined) })
    await expectRefused(deaf, byFirst, /keys cannot be fetched/)
  })

  it('uses the keys it has while a fresh fetch hangs, and waits for it once only', async () => {
    const timers: (() => void)[] = []
    const waiting: Clock = {
      ...clock,
      after(_, callback) {
        timers.push(callback)
        return () => undefined
      },
    }
    const verifier = make({ clock: waiting, cooldown: 0 })
    await verify(verifier, byFirst)
    let hanging: ServerResponse | undefined
    respond = (_, answer) => {
      hanging = answer
    }
    time = 600_001
    const hung = verify(verifier, byFirst)
    await expect.poll(() => asked).toBe(2)
    expect(timers).toHaveLength(1)
    timers[0]?.()
    await hung
    await verify(verifier, byFirst)
    expect(timers).toHaveLength(1)
    hanging?.end('{}')
  })

  const jwk = rsaJwk(first, 'first')
  const padded = Buffer.concat([Buffer.alloc(128), Buffer.alloc(128, 0xff)]).toString('base64url')
  const sets: readonly [string, unknown, RegExp | undefined][] = [
    ['with keys of other types beside', { keys: [{ kty: 'EC', kid: 'first' }, jwk] }, undefined],
    ['with keys of other uses beside', { keys: [{ ...jwk, use: 'enc' }, jwk] }, undefined],
    ['with entries that are no keys beside', { keys: [null, 7, 'x', [], {}, jwk] }, undefined],
    ['with a key without a name beside', { keys: [{ ...jwk, kid: undefined }, jwk] }, undefined],
    [
      'with a key of an odd size beside',
      { keys: [{ ...jwk, kid: 'x', n: 'AQAB' }, jwk] },
      undefined,
    ],
    ['with the same key twice', { keys: [jwk, jwk] }, undefined],
    ['with 65 entries', { keys: Array(65).fill(jwk) }, undefined],
    ['that is a list', [jwk], /keys cannot/],
    ['without RSA keys', { keys: [{ kty: 'EC', kid: 'first' }] }, /keys cannot/],
    ['with a key id for two keys', { keys: [jwk, rsaJwk(second, 'first')] }, /keys cannot/],
    ['with a private key', { keys: [{ ...jwk, d: 'AQAB' }] }, /keys cannot/],
    ['with a short modulus', { keys: [{ ...jwk, n: 'AQAB' }] }, /keys cannot/],
    ['with a modulus that zeros make long', { keys: [{ ...jwk, n: padded }] }, /keys cannot/],
    ['with a huge modulus', { keys: [{ ...jwk, n: 'A'.repeat(1_400) }] }, /keys cannot/],
    ['with a huge exponent', { keys: [{ ...jwk, e: 'A'.repeat(340) }] }, /keys cannot/],
    ['of more than 256 KiB', { keys: [jwk], more: 'x'.repeat(262_144) }, /keys cannot/],
    ['that is text', 'keys', /keys cannot/],
  ]
  for (const [name, set, message] of sets) {
    it(`${message === undefined ? 'reads' : 'refuses'} a key set ${name}`, async () => {
      respond = json(set)
      if (message === undefined) await verify(make(), byFirst)
      else await expectRefused(make(), byFirst, message)
    })
  }

  it('refuses a key id that is not a text', async () => {
    const numbered = jwt({ alg: 'RS256', kid: 1 }, claims, first)
    await expectRefused(make(), numbered, /header kid: expected 1 to 256/)
    await expectRefused(make(), jwt({ alg: 'RS256' }, claims, first), /header kid/)
    expect(asked).toBe(0)
  })

  it('checks its options', () => {
    for (const wrong of [
      { cacheMaxAge: 0 },
      { cacheMaxAge: 1_000, staleMaxAge: 999 },
      { cooldown: -1 },
      { timeout: 60_001 },
      { testing: { jwksUri: 'nowhere' } },
    ]) {
      expect(() => createGcpOidcVerifier(wrong)).toThrow(McbnError)
    }
    expect(createGcpOidcVerifier({ cacheMaxAge: 7_200_000 }).kind).toBe('gcp-cs-oidc')
  })
})
