// Carol wants to choose her package after she has seen all others', to bend what they make together.

import { describe, expect, it } from 'vitest'
import { toBase64url } from '../../../src/consent/base/base64url.js'
import { generatePolynomial } from '../../../src/consent/ceremony/dkg.js'
import {
  type Carrier,
  cheat,
  everybody,
  exchange,
  failures,
  forge,
  one,
  packageOf,
  table,
} from '../ceremony/rehearsal.js'

describe('attack 20: the last mover', () => {
  it.each(['n-of-n', 't-of-n'] as const)(
    '%s: sees no package before she has promised hers',
    async (mode) => {
      const all = everybody(table(mode, 3, mode === 'n-of-n' ? 3 : 2))
      const late: Carrier = (name, bytes) => (name === 'commit-carol' ? undefined : bytes)
      for (let round = 0; round < 3; round += 1) await exchange(all, late)
      for (const label of ['alice', 'bob']) {
        expect(
          one(all, label)
            .outgoing()
            .map(({ name }) => name),
        ).toEqual([`commit-${label}`])
        expect(one(all, label).awaited()).toEqual([{ from: 'carol', name: 'commit-carol' }])
      }
    },
  )

  it('opens another package than she has promised: all name carol', async () => {
    const at = table('t-of-n', 3, 2)
    const all = everybody(at)
    const { commitment, proof } = generatePolynomial(3, { t: 2, n: 3 }).public
    const chosen = {
      identifier: 3,
      commitment: commitment.map(toBase64url),
      proof: toBase64url(proof),
    }
    const late = forge(at, 'carol', 'package', chosen)
    const carrier: Carrier = (name, bytes) => (name === 'package-carol' ? late : bytes)
    const thrown = await failures(all, ['alice', 'bob'], carrier)
    expect(thrown.get('alice')).toEqual(cheat('carol', /another package than it had committed to/))
    expect(thrown.get('bob')).toEqual(cheat('carol', /another package than it had committed to/))
  })

  it("repeats alice's promise, to repeat her package: the promise holds for alice alone", async () => {
    const at = table('n-of-n', 3)
    const all = everybody(at)
    const promised = JSON.parse(sent(all, 'alice', 'commit-alice')) as { body: { package: string } }
    const parrot: Carrier = (name, bytes) => {
      if (name === 'commit-carol') return forge(at, 'carol', 'commit', promised.body)
      if (name !== 'package-carol') return bytes
      return forge(at, 'carol', 'package', JSON.parse(sent(all, 'alice', 'package-alice')).body)
    }
    const thrown = await failures(all, ['alice', 'bob'], parrot)
    expect(thrown.get('alice')).toEqual(cheat('carol', /another package than it had committed to/))
    expect(thrown.get('bob')).toEqual(cheat('carol', /another package than it had committed to/))
  })

  it('has the share commitment of bob, by agreement with bob: refused', async () => {
    const at = table('n-of-n', 3)
    const all = everybody(at)
    const same = { commitment: toBase64url(Buffer.alloc(32, 7)) }
    const swapped = { ...packageOf(at, 'bob', same), ...packageOf(at, 'carol', same) }
    const carrier: Carrier = (name, bytes) => swapped[name] ?? bytes
    const thrown = await failures(all, ['alice'], carrier)
    expect(thrown.get('alice')).toEqual(cheat('carol', /has the share commitment of bob/))
  })

  it('stays silent once all packages are open: the others know whom they wait for', async () => {
    const all = everybody(table('t-of-n', 3, 2))
    const mute: Carrier = (name, bytes) =>
      /^(seal|agree|sign)-carol/.test(name) ? undefined : bytes
    for (let round = 0; round < 5; round += 1) await exchange(all, mute)
    expect(one(all, 'alice').awaited()).toEqual([{ from: 'carol', name: 'seal-carol-to-alice' }])
    expect(() => one(all, 'alice').result()).toThrow(/expected it to be finished/)
  })
})

function sent(all: ReturnType<typeof everybody>, label: string, name: string): string {
  const message = one(all, label)
    .outgoing()
    .find((candidate) => candidate.name === name)
  return Buffer.from(message?.bytes ?? []).toString('utf8')
}
