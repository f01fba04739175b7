// Different people are shown different packages: by a participant who signs two of them, or by the
// operator, who can sign none. Everything fits on each side, until all say what they have seen.

import { describe, expect, it } from 'vitest'
import { toBase64url } from '../../../src/consent/base/base64url.js'
import { Ceremony } from '../../../src/consent/ceremony/ceremony.js'
import { generatePolynomial, subShareFor } from '../../../src/consent/ceremony/dkg.js'
import { createPlan } from '../../../src/consent/ceremony/plan.js'
import { sealSubShare } from '../../../src/consent/ceremony/sub-share.js'
import {
  type Carrier,
  cheat,
  everybody,
  failures,
  forge,
  keysOf,
  nobody,
  one,
  packageOf,
  type Table,
  table,
} from '../ceremony/rehearsal.js'

/** A polynomial of carol's for one receiver: package and sub-share fit each other. */
async function facet(at: Table, to: string, identifier: number): Promise<Record<string, Buffer>> {
  const polynomial = generatePolynomial(3, { t: 2, n: 3 })
  const { commitment, proof } = polynomial.public
  const way = { plan: at.plan, from: 'carol', to }
  const share = subShareFor(polynomial.coefficients, identifier)
  const seal = await sealSubShare(way, keysOf(at, 'carol'), share)
  return {
    ...packageOf(at, 'carol', {
      identifier: 3,
      commitment: commitment.map(toBase64url),
      proof: toBase64url(proof),
    }),
    [`seal-carol-to-${to}`]: forge(at, 'carol', 'seal', seal, to),
  }
}

function byReceiver(facets: Readonly<Record<string, Readonly<Record<string, Buffer>>>>): Carrier {
  return (name, bytes, receiver) => facets[receiver]?.[name] ?? bytes
}

describe('attack 19: shows different packages to different people', () => {
  it('t-of-n: nobody signs a descriptor, and all see that carol is what they disagree on', async () => {
    const at = table('t-of-n', 3, 2)
    const all = everybody(at)
    const facets = { alice: await facet(at, 'alice', 1), bob: await facet(at, 'bob', 2) }
    const thrown = await failures(all, ['alice', 'bob'], byReceiver(facets))
    expect(thrown.get('alice')).toEqual(
      nobody('MCBN_CEREMONY_DISAGREED', /^bob, carol saw other messages of carol than alice did/),
    )
    expect(thrown.get('bob')).toEqual(
      nobody('MCBN_CEREMONY_DISAGREED', /^alice, carol saw other messages of carol than bob did/),
    )
    for (const label of ['alice', 'bob']) {
      const names = one(all, label)
        .outgoing()
        .map(({ name }) => name)
      expect(names).toContain(`agree-${label}`)
      expect(names).not.toContain(`sign-${label}`)
    }
  })

  it('n-of-n: the same', async () => {
    const at = table('n-of-n', 3)
    const all = everybody(at)
    const other = packageOf(at, 'carol', { commitment: toBase64url(Buffer.alloc(32, 7)) })
    const thrown = await failures(all, ['alice', 'bob'], byReceiver({ bob: other }))
    expect(thrown.get('alice')).toEqual(
      nobody('MCBN_CEREMONY_DISAGREED', /bob saw other messages of carol/),
    )
    expect(thrown.get('bob')).toEqual(
      nobody('MCBN_CEREMONY_DISAGREED', /alice, carol saw other messages/),
    )
  })

  it('says to bob that it has seen what bob saw: alice still disagrees', async () => {
    const at = table('n-of-n', 3)
    const all = everybody(at)
    const other = packageOf(at, 'carol', { commitment: toBase64url(Buffer.alloc(32, 7)) })
    const carrier: Carrier = (name, bytes, receiver) => {
      if (receiver !== 'bob' || name !== 'agree-carol')
        return byReceiver({ bob: other })(name, bytes, receiver)
      const said = one(all, 'bob')
        .outgoing()
        .find((message) => message.name === 'agree-bob')
      const { body } = JSON.parse(Buffer.from(said?.bytes ?? []).toString('utf8'))
      return forge(at, 'carol', 'agree', body)
    }
    const thrown = await failures(all, ['alice', 'bob'], carrier)
    expect(thrown.get('bob')).toEqual(
      nobody('MCBN_CEREMONY_DISAGREED', /^alice saw other messages of carol/),
    )
    expect(thrown.get('alice')).toEqual(
      nobody('MCBN_CEREMONY_DISAGREED', /^bob saw other messages of carol/),
    )
  })

  it('agrees to a hash that is not that of what it lists: named', async () => {
    const at = table('n-of-n', 2)
    const all = everybody(at)
    const seen = [1, 2].map((byte) => toBase64url(Buffer.alloc(32, byte)))
    const lie = forge(at, 'bob', 'agree', { transcript: toBase64url(Buffer.alloc(32, 3)), seen })
    const thrown = await failures(all, ['alice'], (name, bytes) =>
      name === 'agree-bob' ? lie : bytes,
    )
    expect(thrown.get('alice')).toEqual(cheat('bob', /signed a malformed agree/))
  })

  it('shows the same person two packages: named, since both are signed', () => {
    const at = table('n-of-n', 3)
    const alice = one(everybody(at), 'alice')
    const packages = [1, 2].map((byte) =>
      forge(at, 'carol', 'package', { commitment: toBase64url(Buffer.alloc(32, byte)) }),
    )
    alice.accept('package-carol', packages[0] as Buffer)
    expect(() => alice.accept('package-carol', packages[1] as Buffer)).toThrow(
      cheat('carol', /two different messages/) as Error,
    )
  })

  it('is the operator, who has no signature to give: nobody is blamed', () => {
    const at = table('n-of-n', 3)
    const alice = one(everybody(at), 'alice')
    const frank = keysOf(at, 'bob')
    const strangers: Table = { ...at, keys: new Map([['carol', frank]]) }
    const forged = packageOf(strangers, 'carol', { commitment: toBase64url(Buffer.alloc(32, 7)) })
    for (const [name, bytes] of Object.entries(forged)) {
      expect(() => alice.accept(name, bytes)).toThrow(
        nobody('MCBN_CEREMONY_INVALID', /does not hold; it was altered or forged/) as Error,
      )
    }
  })

  it('is the operator, who shows bob another plan: not one message fits', () => {
    const at = table('n-of-n', 3)
    const { version: _, ceremony: __, ...fields } = at.plan.document
    const plan = createPlan({ ...fields, network: 'another' })
    const bob = Ceremony.begin({ plan, label: 'bob', keys: keysOf(at, 'bob') })
    const [commit] = one(everybody(at), 'alice').outgoing()
    expect(() => bob.accept('commit-alice', commit?.bytes ?? Buffer.alloc(0))).toThrow(
      nobody('MCBN_CEREMONY_INVALID', /about another; compare plan hashes/) as Error,
    )
  })
})
