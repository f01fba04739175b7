// Attack 11: claims of a shape that a careless reader takes for the right one: arrays with extra values,
// other types, keys that reach prototypes, and tokens so large that reading them is the attack.

import { createLocalVerifier } from 'mcbn/consent'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  type Claims,
  EXPECTED,
  expectRefused,
  goodClaims,
  IMAGE,
  ISSUER,
  jwt,
  rsaJwk,
  rsaKey,
  verify,
} from '../../support/evidence.js'

const key = rsaKey()
const verifier = createLocalVerifier({
  issuers: [{ issuer: ISSUER, jwks: { keys: [rsaJwk(key, 'one')] } }],
})
const header = { alg: 'RS256', kid: 'one', typ: 'JWT' }
const signed = (payload: Claims | string): string => jwt(header, payload, key)
const { audience, nonce } = EXPECTED

describe('attack 11: nonce and audience', () => {
  const nonces: readonly unknown[] = [
    [nonce, nonce],
    [nonce, 'another nonce'],
    ['another nonce', nonce],
    [],
    [[nonce]],
    { 0: nonce, length: 1 },
    '',
    ` ${nonce}`,
    `${nonce}\n`,
    `${nonce}=`,
    nonce.toUpperCase(),
    null,
    undefined,
    true,
    43,
  ]
  for (const eat_nonce of nonces) {
    it(`refuses the nonce ${JSON.stringify(eat_nonce)?.slice(0, 60)}`, async () => {
      await expectRefused(verifier, signed(goodClaims({ eat_nonce })), /^evidence: eat_nonce: /)
    })
  }

  const audiences: readonly unknown[] = [
    [audience, 'mcbn://orchard/bob'],
    ['mcbn://orchard/bob', audience],
    [audience],
    [[audience]],
    [],
    { [audience]: true },
    `${audience}/`,
    `${audience} `,
    audience.toUpperCase(),
    'mcbn://orchard/',
    '',
    null,
    undefined,
    1,
  ]
  for (const aud of audiences) {
    it(`refuses the audience ${JSON.stringify(aud)?.slice(0, 60)}`, async () => {
      await expectRefused(
        verifier,
        signed(goodClaims({ aud })),
        /^evidence: aud: expected the string/,
      )
    })
  }
})

describe('attack 11: keys that are not what they seem', () => {
  it('reads own keys only: claims in a prototype are absent', async () => {
    const { eat_nonce, ...rest } = goodClaims()
    const text = JSON.stringify(rest).replace('{', `{"__proto__":{"eat_nonce":"${eat_nonce}"},`)
    await expectRefused(verifier, signed(text), /^evidence: eat_nonce: expected one string/)
  })

  it('is not changed by keys named __proto__, constructor or toString, at any depth', async () => {
    const text = JSON.stringify(goodClaims())
      .replaceAll('{', '{"__proto__":{"polluted":"yes"},"constructor":1,"toString":2,')
      .replace('"env":{"__proto__":{"polluted":"yes"},"constructor":1,"toString":2,', '"env":{')
    const facts = await verify(verifier, signed(text))
    expect(facts.imageDigest).toBe(IMAGE)
    expect(({} as Claims)['polluted']).toBeUndefined()
    expect('polluted' in facts).toBe(false)
  })

  it('shows an environment variable named __proto__ as one, for the policy to refuse', async () => {
    const text = JSON.stringify(goodClaims()).replace('"env":{', '"env":{"__proto__":"x",')
    const facts = await verify(verifier, signed(text))
    expect([...facts.env]).toEqual([
      ['__proto__', 'x'],
      ['MODE', 'test'],
    ])
  })

  it('counts the last of two keys, in header and payload, as RFC 7519 section 4 says', async () => {
    const good = JSON.stringify(goodClaims())
    const bad = good.replace(/\}$/, ',"aud":"mcbn://orchard/bob"}')
    await verify(verifier, signed(good.replace('{', '{"aud":"mcbn://orchard/bob",')))
    await expectRefused(verifier, signed(bad), /^evidence: aud/)
  })

  const shapes: readonly [string, string][] = [
    ['a list', '[]'],
    ['a string', '"claims"'],
    ['null', 'null'],
    ['nothing', ' '],
    ['half an object', '{"iss":'],
    ['JavaScript', '{iss:1}'],
    ['deep nesting', `${'['.repeat(20_000)}${']'.repeat(20_000)}`],
  ]
  for (const [name, payload] of shapes) {
    it(`refuses a payload, and a header, that is ${name}`, async () => {
      await expectRefused(verifier, signed(payload), /^evidence: payload: expected/)
      await expectRefused(verifier, jwt(payload, goodClaims(), key), /^evidence: header: expected/)
    })
  }

  it('refuses a payload that is not UTF-8', async () => {
    const [head, , signature] = signed(goodClaims()).split('.')
    const body = Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url')
    await expectRefused(verifier, `${head}.${body}.${signature}`, /payload: expected JSON in UTF-8/)
  })
})

describe('attack 11: tokens of hostile size and form', () => {
  it('refuses a token of one megabyte by its length alone', async () => {
    const large = signed(goodClaims({ filler: 'x'.repeat(1_000_000) }))
    await expectRefused(verifier, large, /^evidence: token: expected at most 65536 characters/)
    const decoding = vi.spyOn(Buffer, 'from')
    onTestFinished(() => decoding.mockRestore())
    await verify(verifier, large).catch(() => undefined)
    const decoded = decoding.mock.calls.map(([text]) => String(text).length)
    expect(decoded.filter((length) => length > 65_536)).toEqual([])
  })

  it('refuses a large token, signed or not, up to the last character of the limit', async () => {
    const limit = 65_536
    const sized = (length: number): string => {
      const empty = signed(goodClaims({ filler: '' })).length
      let filler = Math.floor(((length - empty) * 3) / 4) - 3
      let token = ''
      while (token.length < length) token = signed(goodClaims({ filler: 'x'.repeat(filler++) }))
      return token
    }
    const over = sized(limit + 1)
    await expectRefused(verifier, over, /^evidence: token: expected at most 65536 characters/)
    const under = sized(limit - 3)
    expect(under.length).toBeLessThanOrEqual(limit)
    expect((await verify(verifier, under)).imageDigest).toBe(IMAGE)
  })

  const good = signed(goodClaims())
  const [head, body, signature] = good.split('.')
  const forms: readonly [string, string][] = [
    ['with padding', `${head}=.${body}.${signature}`],
    ['with a space before', ` ${good}`],
    ['with a line break after', `${good}\n`],
    ['with four parts', `${good}.${signature}`],
    ['with two parts', `${head}.${body}`],
    ['with an empty part', `${head}..${signature}`],
    ['in standard base64', `${head}.${body}.+/${signature?.slice(2)}`],
    ['encrypted (five parts)', `${head}.a.b.c.d`],
    ['that is empty', ''],
    ['as a JSON serialization', JSON.stringify({ payload: body, protected: head, signature })],
  ]
  for (const [name, token] of forms) {
    it(`refuses a token ${name}`, async () => {
      await expectRefused(verifier, token, /^evidence: token: expected a JWT/)
    })
  }

  it('refuses a token that is not a text', async () => {
    for (const token of [undefined, null, 7, {}, [good], Buffer.from(good), new String(good)]) {
      const evidence = { kind: 'local', token: token as string }
      await expect(verifier.verify(evidence, EXPECTED)).rejects.toThrow(/token: expected text/)
    }
  })
})
