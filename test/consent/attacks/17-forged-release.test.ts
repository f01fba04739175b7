// The operator makes a release itself. It cannot sign for the participant; nobody is blamed for what it
// could have made.

import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { generateReceiver } from '../../../src/consent/release/seal.js'
import {
  type InsufficientConsentError,
  join,
  type Progress,
} from '../../../src/consent/workload/index.js'
import { rejection } from '../workload/connections.js'
import { frankBefore } from '../workload/proxy.js'
import { consentRig } from '../workload/rig.js'
import { strangersKey, turnTraitor } from '../workload/traitor.js'

describe('attack 17: forges a release', () => {
  it('with its own share and its own signature: no blame, no key', async () => {
    const rig = await consentRig()
    const frank = await frankBefore(`${rig.urls['bob']}`)
    turnTraitor(frank, rig.network, 'bob', { share: randomBytes(32), key: strangersKey() })
    const steps: Progress[] = []
    const error = await rejection<InsufficientConsentError>(
      join(
        rig.options('client', {
          participants: { ...rig.urls, bob: frank.url },
          deadline: 3_000,
          onProgress: (step) => steps.push(step),
        }),
      ),
    )
    expect(error).toMatchObject({
      code: 'MCBN_CONSENT_INSUFFICIENT',
      need: 3,
      silent: ['bob'],
      refused: [],
      blamed: [],
    })
    expect(error.cause).toMatchObject({
      code: 'MCBN_RELEASE_INVALID',
      message: 'release of bob: expected a signature of the participant, got another one',
    })
    expect(error.participant).toBeUndefined()
    expect(steps.filter(({ state }) => state === 'blamed')).toEqual([])
    expect(steps.filter(({ state }) => state === 'silent').length).toBeGreaterThan(1)
  })

  it('with the right share would not do either: the signature is what counts', async () => {
    const rig = await consentRig({ t: 2, labels: ['alice', 'bob'] })
    const frank = await frankBefore(`${rig.urls['bob']}`)
    turnTraitor(frank, rig.network, 'bob', { key: strangersKey() })
    const options = rig.options('client', {
      participants: { ...rig.urls, bob: frank.url },
      deadline: 1_500,
    })
    expect(await rejection(join(options))).toMatchObject({ code: 'MCBN_CONSENT_INSUFFICIENT' })
  })

  it('but a participant that signs what cannot be opened is to blame', async () => {
    const rig = await consentRig()
    const frank = await frankBefore(`${rig.urls['bob']}`)
    const pk = (await generateReceiver()).publicKey.toString('base64url')
    turnTraitor(frank, rig.network, 'bob', { pk })
    const options = rig.options('client', { participants: { ...rig.urls, bob: frank.url } })
    expect(await rejection(join(options))).toMatchObject({
      code: 'MCBN_SHARE_INVALID',
      participant: 'bob',
      problem: 'malformed',
    })
  })
})
