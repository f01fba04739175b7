import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { NetworkProtocol } from '../../../src/consent/descriptor/types.js'
import { deriveNetworkKeys } from '../../../src/consent/shares/keys.js'
import { reconstructSecret } from '../../../src/consent/shares/threshold.js'
import { derivePsk } from '../../../src/psk/derive.js'
import { need, testNetwork } from '../network.js'
import { interpolate, scalarBytes, scalarOf } from '../spec.js'

const all = testNetwork()
const labels = ['alice', 'bob', 'carol', 'dave', 'erin']
const some = testNetwork({ labels, t: 3 })

const pick = (from: ReadonlyMap<string, Buffer>, ...names: string[]) =>
  new Map(names.map((label) => [label, need(from, label)]))

const hexOf = (keys: { readonly keys: Readonly<Partial<Record<NetworkProtocol, Buffer>>> }) =>
  Object.values(keys.keys).map((key) => key.toString('hex'))

/** Every way to choose `count` of the labels. */
function choices(from: readonly string[], count: number): string[][] {
  if (count === 0) return [[]]
  return from.flatMap((label, at) =>
    choices(from.slice(at + 1), count - 1).map((rest) => [label, ...rest]),
  )
}

describe('consent/shares: keys, n-of-n', () => {
  it('are those of derivePsk, one for each protocol', () => {
    const derived = deriveNetworkKeys(all.verified, all.shares)
    const { network, epoch, protocols } = all.descriptor
    const options = { descriptorHash: all.verified.hash, network, epoch }
    for (const protocol of protocols) {
      expect(derived.keys[protocol]).toEqual(derivePsk(all.shares, { ...options, protocol }))
    }
    expect(derived.kcv).toBe(derivePsk(all.shares, { ...options, protocol: 'kcv' }).toString('hex'))
    expect(new Set([...hexOf(derived), derived.kcv]).size).toBe(4)
  })

  it('do not depend on the order of the shares, which stay as they are', () => {
    const shares = pick(all.shares, 'carol', 'alice', 'bob')
    const before = new Map([...shares].map(([label, share]) => [label, Buffer.from(share)]))
    expect(deriveNetworkKeys(all.verified, shares).kcv).toBe(
      deriveNetworkKeys(all.verified, all.shares).kcv,
    )
    expect(shares).toEqual(before)
  })

  it('exist only for the protocols of the descriptor', () => {
    const one = testNetwork({ fields: { protocols: ['dtls12'] } })
    expect(Object.keys(deriveNetworkKeys(one.verified, one.shares).keys)).toEqual(['dtls12'])
  })

  it('are other ones for every descriptor, from the same shares', () => {
    const { keys, shares } = all
    const kcv = (fields: object) => {
      const other = testNetwork({ keys, shares, fields })
      return deriveNetworkKeys(other.verified, other.shares).kcv
    }
    const values = [
      kcv({}),
      kcv({ epoch: 2 }),
      kcv({ network: 'another' }),
      kcv({ validity: { notBefore: 1, notAfter: 2 } }),
    ]
    expect(new Set(values).size).toBe(4)
  })

  it('need every share', () => {
    expect(() => deriveNetworkKeys(all.verified, pick(all.shares, 'alice', 'carol'))).toThrow(
      expect.objectContaining({
        code: 'MCBN_SHARE_INVALID',
        message: 'shares: expected those of exactly 3 participants, got 2; missing: bob',
      }),
    )
    expect(() => deriveNetworkKeys(all.verified, new Map())).toThrow(
      expect.objectContaining({ code: 'MCBN_SHARE_INVALID' }),
    )
  })

  it('need shares of participants only', () => {
    const shares = new Map([...all.shares, ['mallory', randomBytes(32)]])
    expect(() => deriveNetworkKeys(all.verified, shares)).toThrow(
      expect.objectContaining({ code: 'MCBN_SHARE_INVALID', participant: 'mallory' }),
    )
  })

  it('check each share again, whether or not it was checked before', () => {
    const shares = new Map([...all.shares, ['bob', randomBytes(32)]])
    expect(() => deriveNetworkKeys(all.verified, shares)).toThrow(
      expect.objectContaining({ participant: 'bob', problem: 'commitment-mismatch' }),
    )
    const wrong = new Map<string, Uint8Array>([...all.shares])
    wrong.set('bob', 'ab'.repeat(16) as unknown as Uint8Array)
    expect(() => deriveNetworkKeys(all.verified, wrong)).toThrow(
      expect.objectContaining({ participant: 'bob', problem: 'malformed' }),
    )
  })

  it('refuse one share from two participants, though both committed to it', () => {
    const share = randomBytes(32)
    const shares = new Map([
      ['alice', share],
      ['bob', randomBytes(32)],
      ['carol', share],
    ])
    const twice = testNetwork({ shares })
    expect(() => deriveNetworkKeys(twice.verified, twice.shares)).toThrow(
      expect.objectContaining({
        code: 'MCBN_SHARE_INVALID',
        participant: 'carol',
        problem: 'duplicate',
        message:
          'share of carol: duplicate: expected a share that no other participant has, got that of alice',
      }),
    )
  })
})

describe('consent/shares: keys, t-of-n', () => {
  it('are the same from every choice of t', () => {
    const values = choices(labels, 3).map((chosen) => {
      const derived = deriveNetworkKeys(some.verified, pick(some.shares, ...chosen))
      return [...hexOf(derived), derived.kcv].join()
    })
    expect(values).toHaveLength(10)
    expect(new Set(values).size).toBe(1)
  })

  it('come from the secret that plain interpolation finds', () => {
    const points = labels.map(
      (label, at) => [BigInt(at + 1), scalarOf(need(some.shares, label))] as const,
    )
    for (const chosen of [
      [0, 1, 2],
      [4, 2, 0],
    ]) {
      const secret = reconstructSecret(
        some.verified,
        pick(some.shares, ...chosen.map((at) => `${labels[at]}`)),
      )
      expect(secret).toEqual(scalarBytes(interpolate(chosen.map((at) => points[at] ?? [0n, 0n]))))
      expect(secret.buffer.byteLength).toBe(32)
    }
  })

  it.each([2, 4, 5])('need exactly t shares, not %i', (count) => {
    const shares = pick(some.shares, ...labels.slice(0, count))
    expect(() => deriveNetworkKeys(some.verified, shares)).toThrow(
      expect.objectContaining({
        code: 'MCBN_SHARE_INVALID',
        message: `shares: expected those of exactly 3 participants, got ${count}`,
      }),
    )
    expect(() => reconstructSecret(some.verified, shares)).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
    )
  })

  it('do not come from t - 1 shares, one of them given twice under another name', () => {
    const alice = need(some.shares, 'alice')
    const shares = new Map([...pick(some.shares, 'alice', 'bob'), ['carol', alice]])
    expect(() => deriveNetworkKeys(some.verified, shares)).toThrow(
      expect.objectContaining({ participant: 'carol', problem: 'commitment-mismatch' }),
    )
  })

  it('never come from unchecked shares either: s*G has to be the group key', () => {
    const shares = new Map([
      ...pick(some.shares, 'alice', 'bob'),
      ['carol', need(some.shares, 'dave')],
    ])
    expect(() => reconstructSecret(some.verified, shares)).toThrow(
      expect.objectContaining({
        code: 'MCBN_SHARE_INVALID',
        message: expect.stringContaining('expected the secret of the group key'),
      }),
    )
  })

  it('take t from 2 to n', () => {
    for (const t of [2, 3, 4, 5]) {
      const network = testNetwork({ labels, t })
      const first = deriveNetworkKeys(network.verified, pick(network.shares, ...labels.slice(0, t)))
      const last = deriveNetworkKeys(network.verified, pick(network.shares, ...labels.slice(-t)))
      expect(last.kcv).toBe(first.kcv)
    }
  })

  it('are not reconstructed for n-of-n', () => {
    expect(() => reconstructSecret(all.verified, all.shares)).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
    )
  })
})

describe.each([
  ['n-of-n', all.verified, all.shares],
  ['t-of-n', some.verified, pick(some.shares, 'alice', 'bob', 'carol')],
])('consent/shares: derived keys, %s', (_, verified, shares) => {
  it('show the key check value and nothing else', () => {
    const derived = deriveNetworkKeys(verified, shares)
    const shown = [
      inspect(derived),
      inspect({ derived }, { depth: 9, showHidden: true, customInspect: false }),
      JSON.stringify(derived),
      JSON.stringify({ ...derived }),
      String(derived),
    ].join('\n')
    expect(shown).toContain(derived.kcv)
    for (const key of Object.values(derived.keys)) {
      expect(shown).not.toContain(key.toString('hex'))
      expect(shown).not.toContain(key.toString('base64url'))
      expect(shown).not.toContain(key.toString('base64'))
      expect(shown).not.toContain(key.toString('hex').slice(0, 16))
      expect(shown.replaceAll(/\s/g, '')).not.toContain([...key].slice(0, 8).join())
      expect(shown).not.toContain(key.toString('hex').slice(0, 16).match(/../g)?.join(' '))
    }
  })

  it('are zero once wiped, and no longer given', () => {
    const derived = deriveNetworkKeys(verified, shares)
    const held = Object.values(derived.keys)
    expect(held).toHaveLength(3)
    expect(held.every((key) => key.length === 32 && key.some((byte) => byte !== 0))).toBe(true)
    derived.wipe()
    derived.wipe()
    expect(held.every((key) => key.every((byte) => byte === 0))).toBe(true)
    expect(() => derived.keys).toThrow(expect.objectContaining({ code: 'MCBN_CONSENT_ENDED' }))
    expect(derived.wiped).toBe(true)
    expect(derived.kcv).toMatch(/^[0-9a-f]{64}$/)
    expect(inspect(derived)).toContain('wiped')
    expect(JSON.parse(JSON.stringify(derived))).toEqual({ kcv: derived.kcv, wiped: true })
  })

  it('lie outside the shared pool', () => {
    for (const key of Object.values(deriveNetworkKeys(verified, shares).keys)) {
      expect(key.buffer.byteLength).toBe(32)
    }
  })
})
