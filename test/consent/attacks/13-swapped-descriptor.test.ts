// The operator gives the workload another descriptor: its own people, its own images, or an altered one.

import { describe, expect, it } from 'vitest'
import { join } from '../../../src/consent/workload/index.js'
import { need, testNetwork } from '../network.js'
import { rejection } from '../workload/connections.js'
import { consentRig } from '../workload/rig.js'

describe('attack 13: swaps the descriptor', () => {
  it('for its own network: it is not the pinned one', async () => {
    const rig = await consentRig()
    const frank = testNetwork()
    const error = await rejection(join(rig.options('client', { descriptor: frank.signed })))
    expect(error).toMatchObject({ code: 'MCBN_DESCRIPTOR_INVALID', kind: 'usage' })
    expect(error.message).toBe(
      `descriptor: expected hash ${rig.network.verified.hashHex}, got ${frank.verified.hashHex}`,
    )
  })

  it('for the same with its own image: all signatures are over another document', async () => {
    const rig = await consentRig()
    const { descriptor, signatures } = rig.network.signed
    const images = [`sha256:${'f0'.repeat(32)}`]
    const altered = {
      descriptor: {
        ...descriptor,
        roles: { ...descriptor.roles, client: { ...descriptor.roles.client, images } },
      },
      signatures,
    }
    const error = await rejection(join(rig.options('client', { descriptor: altered })))
    expect(error.code).toBe('MCBN_DESCRIPTOR_INVALID')
  })

  it('with a signature missing, or of somebody else', async () => {
    const rig = await consentRig()
    const { descriptor, signatures } = rig.network.signed
    const { bob: _, ...without } = signatures
    const swapped = { ...signatures, bob: `${signatures['alice']}` }
    for (const wrong of [without, swapped]) {
      const options = rig.options('client', { descriptor: { descriptor, signatures: wrong } })
      const error = await rejection(join(options))
      expect(error).toMatchObject({ code: 'MCBN_DESCRIPTOR_INVALID', participant: 'bob' })
    }
  })

  it('together with the pin: then no participant answers to it', async () => {
    const rig = await consentRig()
    // Frank's own people have the labels of the others; their addresses are those of the right ones.
    const frank = testNetwork()
    const error = await rejection(
      join(
        rig.options('client', {
          descriptor: frank.signed,
          descriptorHash: frank.verified.hashHex,
          deadline: 700,
        }),
      ),
    )
    expect(error).toMatchObject({ code: 'MCBN_CONSENT_INSUFFICIENT', have: 0, need: 3, blamed: [] })
    for (const label of ['alice', 'bob', 'carol']) {
      expect(need(rig.participants, label).leases()).toEqual([])
    }
  })

  it('for the next epoch: only the same people, or a pin, can move a network', async () => {
    const rig = await consentRig()
    const network = await rig.join('client')
    const frank = testNetwork({ fields: { epoch: 2 } })
    const error = await rejection(network.advance(frank.signed))
    expect(error).toMatchObject({ code: 'MCBN_DESCRIPTOR_INVALID', participant: 'alice' })
    expect(network.epoch).toBe(1)
  })
})
