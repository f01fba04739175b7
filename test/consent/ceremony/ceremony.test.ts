import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { Ceremony, type CeremonyResult } from '../../../src/consent/ceremony/ceremony.js'
import { decodeSecret, encodeSecret } from '../../../src/consent/ceremony/secret.js'
import { deriveNetworkKeys } from '../../../src/consent/shares/keys.js'
import { everybody, exchange, keysOf, one, perform, table } from './rehearsal.js'

describe('ceremony', () => {
  it.each([
    ['n-of-n', 2, 2],
    ['n-of-n', 3, 3],
    ['n-of-n', 5, 5],
    ['t-of-n', 2, 3],
    ['t-of-n', 3, 5],
    ['t-of-n', 5, 5],
    ['t-of-n', 2, 2],
  ] as const)(
    '%s: %i of %i make one descriptor, and every choice of enough shares one key',
    async (mode, t, n) => {
      const results = await perform(everybody(table(mode, n, t)))
      const hashes = [...results.values()].map(({ descriptor }) => descriptor.hashHex)
      expect(new Set(hashes).size).toBe(1)
      const values = new Set(
        choices([...results.keys()], t).map((some) => keyCheckValue(results, some)),
      )
      expect(values.size).toBe(1)
    },
  )

  it('gives every participant its own share', async () => {
    const results = await perform(everybody(table('t-of-n', 3, 2)))
    const shares = [...results.values()].map(({ share }) => share.toString('hex'))
    expect(new Set(shares).size).toBe(3)
  })

  it('makes other shares and another key each time', async () => {
    const at = table('t-of-n', 3, 2)
    const values = []
    for (let time = 0; time < 2; time += 1) {
      values.push(keyCheckValue(await perform(everybody(at)), ['alice', 'bob']))
    }
    expect(values[0]).not.toBe(values[1])
  })

  it.each(['n-of-n', 't-of-n'] as const)(
    '%s: goes on after everybody was ended after each step',
    async (mode) => {
      const at = table(mode, 3, mode === 'n-of-n' ? 3 : 2)
      let all = everybody(at)
      for (let round = 0; round < 6; round += 1) {
        all = new Map([...all.values()].map((before) => [before.label, reborn(at, before)]))
        await exchange(all)
      }
      // Once more, after the end: what is left is the share, and the messages.
      all = new Map([...all.values()].map((before) => [before.label, reborn(at, before)]))
      const results = await perform(all)
      const some = mode === 'n-of-n' ? ['alice', 'bob', 'carol'] : ['bob', 'carol']
      expect(keyCheckValue(results, some)).toMatch(/^[0-9a-f]+$/)
    },
  )

  it('sends the same messages after it was ended, never new ones', async () => {
    const at = table('t-of-n', 3, 2)
    const all = everybody(at)
    for (let round = 0; round < 3; round += 1) await exchange(all)
    for (const before of all.values()) {
      expect(reborn(at, before).outgoing()).toEqual(before.outgoing())
    }
  })

  it('takes no step while somebody is missing, and says who', async () => {
    const all = everybody(table('t-of-n', 3, 2))
    await exchange(all, (name, bytes) => (name === 'commit-carol' ? undefined : bytes))
    const alice = one(all, 'alice')
    expect(await alice.advance()).toBe(false)
    expect(alice.round).toBe('commit')
    expect(alice.awaited()).toEqual([{ from: 'carol', name: 'commit-carol' }])
    expect(() => alice.result()).toThrow(/expected it to be finished, it is at commit/)
  })

  it('begins only with the keys that the plan lists', () => {
    const at = table('n-of-n', 2)
    expect(() =>
      Ceremony.begin({ plan: at.plan, label: 'alice', keys: keysOf(at, 'bob') }),
    ).toThrow(expect.objectContaining({ code: 'MCBN_CEREMONY_INVALID' }))
    expect(() =>
      Ceremony.begin({ plan: at.plan, label: 'mallory', keys: keysOf(at, 'bob') }),
    ).toThrow(/expected mallory among the participants/)
  })

  it('shows no secret to util.inspect and JSON', async () => {
    const all = everybody(table('t-of-n', 3, 2))
    const alice = one(all, 'alice')
    const before = alice.secret
    const scalars = before.kind === 'polynomial' ? before.polynomial.coefficients : []
    const secrets = scalars.map((scalar) => Buffer.from(scalar))
    const { share } = (await perform(all)).get('alice') as CeremonyResult
    const shown = `${inspect(alice, { depth: 9, showHidden: true })} ${JSON.stringify(alice)}`
    expect(secrets).toHaveLength(2)
    for (const secret of [...secrets, share]) {
      expect(shown).not.toContain(secret.toString('hex'))
      expect(shown).not.toContain(secret.toString('base64url'))
    }
    expect(scalars.every((scalar) => scalar.every((byte) => byte === 0))).toBe(true)
  })
})

/** The ceremony in another process: only what would have been kept. */
function reborn(at: Parameters<typeof keysOf>[0], before: Ceremony): Ceremony {
  const { plan, label } = before
  const kept = encodeSecret(before.secret)
  return Ceremony.resume(
    { plan, label, keys: keysOf(at, label) },
    { secret: decodeSecret(kept), messages: before.messages() },
  )
}

function keyCheckValue(
  results: ReadonlyMap<string, CeremonyResult>,
  labels: readonly string[],
): string {
  const shares = new Map(labels.map((label) => [label, one(results, label).share] as const))
  const { descriptor } = one(results, `${labels[0]}`)
  const keys = deriveNetworkKeys(descriptor, shares)
  try {
    return keys.kcv
  } finally {
    keys.wipe()
  }
}

/** All ways to choose `count` of them. */
function choices(labels: readonly string[], count: number): string[][] {
  if (count === 0) return [[]]
  return labels.flatMap((first, at) =>
    choices(labels.slice(at + 1), count - 1).map((rest) => [first, ...rest]),
  )
}
