// One share less than needed, and one share counted twice.

import { describe, expect, it } from 'vitest'
import { deriveNetworkKeys } from '../../../src/consent/shares/keys.js'
import { type InsufficientConsentError, join } from '../../../src/consent/workload/index.js'
import { need } from '../network.js'
import { rejection } from '../workload/connections.js'
import { frankBefore } from '../workload/proxy.js'
import { consentRig } from '../workload/rig.js'
import { turnTraitor } from '../workload/traitor.js'

describe('attack 21: t-1 shares, one share twice', () => {
  it('has no key with one participant less than needed', async () => {
    const rig = await consentRig({ t: 2 })
    for (const label of ['bob', 'carol']) await need(rig.participants, label).withdraw()
    const error = await rejection<InsufficientConsentError>(join(rig.options('client')))
    expect(error).toMatchObject({
      code: 'MCBN_CONSENT_INSUFFICIENT',
      need: 2,
      refused: [
        { label: 'bob', code: 'withdrawn' },
        { label: 'carol', code: 'withdrawn' },
      ],
    })
    expect(error.message).toMatch(/bob refused \(withdrawn\), carol refused \(withdrawn\)/)
  })

  it('does not count one participant for two: each answers under its own label and key', async () => {
    const rig = await consentRig({ t: 2 })
    const alice = `${rig.urls['alice']}`
    const error = await rejection<InsufficientConsentError>(
      join(
        rig.options('client', {
          participants: { alice, bob: alice, carol: alice },
          deadline: 2_500,
        }),
      ),
    )
    expect(error).toMatchObject({
      need: 2,
      have: 1,
      silent: ['bob', 'carol'],
      blamed: [],
    })
  })

  it("blames a participant that passes off another's share as its own", async () => {
    for (const t of [undefined, 2]) {
      const rig = await consentRig({ labels: ['alice', 'bob'], ...(t !== undefined && { t }) })
      const frank = await frankBefore(`${rig.urls['bob']}`)
      turnTraitor(frank, rig.network, 'bob', { share: need(rig.network.shares, 'alice') })
      const options = rig.options('client', { participants: { ...rig.urls, bob: frank.url } })
      const error = await rejection(join(options))
      if (t === undefined) {
        expect(error).toMatchObject({ code: 'MCBN_SHARE_INVALID', participant: 'bob' })
      } else {
        expect(error).toMatchObject({ code: 'MCBN_CONSENT_INSUFFICIENT', blamed: ['bob'] })
      }
    }
  })

  it('blames the second of two participants that have committed to the same share', async () => {
    const share = Buffer.alloc(32, 'one share, two participants: hm')
    const shares = new Map([
      ['alice', share],
      ['bob', share],
    ])
    const rig = await consentRig({ labels: ['alice', 'bob'], shares: new Map() })
    expect(rig.network.shares.size).toBe(2)
    const twins = await consentRig({ labels: ['alice', 'bob'], shares })
    expect(await rejection(join(twins.options('client')))).toMatchObject({
      code: 'MCBN_SHARE_INVALID',
      participant: 'bob',
      problem: 'duplicate',
    })
  })

  it('derives from exactly t shares and no other number', async () => {
    const { network } = await consentRig({ t: 2 })
    const some = (...labels: string[]) =>
      new Map(labels.map((label) => [label, need(network.shares, label)]))
    for (const shares of [some('alice'), some('alice', 'bob', 'carol')]) {
      expect(() => deriveNetworkKeys(network.verified, shares)).toThrow(
        expect.objectContaining({ code: 'MCBN_SHARE_INVALID' }),
      )
    }
  })
})
