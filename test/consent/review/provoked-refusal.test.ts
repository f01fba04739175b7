// Frank spoils what a workload sends, and passes the participant's honest no to that on. It is no answer to what
// the workload has sent: nobody has refused it.

import { expect, it } from 'vitest'
import { InsufficientConsentError } from '../../../src/consent/workload/index.js'
import { rejection } from '../workload/connections.js'
import { frankBefore, type Meddle } from '../workload/proxy.js'
import { consentRig } from '../workload/rig.js'

const otherKey = Buffer.alloc(32, 9).toString('base64url')
const spoiled: readonly (readonly [what: string, meddle: Meddle])[] = [
  // In the request and in what the evidence repeats of it: one alone answers no challenge.
  [
    'key',
    (path, sent) =>
      path.endsWith('request')
        ? { ...sent, pk: otherKey }
        : path.endsWith('evidence')
          ? { ...sent, request: { ...sent.request, pk: otherKey } }
          : sent,
  ],
  [
    'token',
    (path, sent) =>
      path.endsWith('evidence')
        ? { ...sent, evidence: { ...sent.evidence, token: `${sent.evidence.token}A` } }
        : sent,
  ],
]

it.each(spoiled)(
  'review/refusal: is believed of nobody after another %s was sent',
  async (_, meddle) => {
    const rig = await consentRig()
    const frank = await frankBefore(`${rig.urls['alice']}`)
    frank.onRequest = meddle
    const participants = { ...rig.urls, alice: frank.url }
    const error = await rejection(rig.join('client', { participants, deadline: 1_500 }))
    expect(error).toBeInstanceOf(InsufficientConsentError)
    const { refused, silent } = error as unknown as InsufficientConsentError
    expect(frank.seen.some(({ got }) => got.code === 'policy')).toBe(true)
    expect({ refused, silent }).toEqual({ refused: [], silent: ['alice'] })
  },
)
