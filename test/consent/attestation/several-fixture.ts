// A round in which a workload, or an operator, shows evidence of several platforms at once.

import { createVerifiers, type VerifiersOptions } from 'mcbn/consent'
import type { Evidence } from '../../../src/consent/attestation/types.js'
import {
  createParticipant,
  type Participant,
} from '../../../src/consent/participant/participant.js'
import type { Policy } from '../../../src/consent/policy/types.js'
import type { ReleaseRequest } from '../../../src/consent/release/messages.js'
import { audience, releaseNonce } from '../../../src/consent/release/nonce.js'
import { need, type TestNetwork } from '../network.js'
import {
  ask,
  challenged,
  TestAudit,
  TestClock,
  tokenFor,
  workloadOf,
} from '../participant/fixture.js'

/** What evidence of this round has to be about, and the local issuer's token about it. */
export interface About {
  readonly audience: string
  readonly nonce: string
  local(changes?: object): Promise<string>
}

export type Shown = (about: About) => Promise<Evidence>

export const piece = (kind: string, token = 'token'): Evidence => ({ kind, token })

/** Alice of this network, who believes what `verifiers` believe; `time` is her wall clock's. */
export function aliceOf(
  network: TestNetwork,
  policy: Policy,
  verifiers: VerifiersOptions,
  time: number,
) {
  const audit = new TestAudit()
  const participant = createParticipant({
    descriptor: network.verified,
    label: 'alice',
    keys: need(network.keys, 'alice'),
    share: need(network.shares, 'alice'),
    policy,
    verifiers: createVerifiers(policy, verifiers),
    audit,
    clock: new TestClock(time),
  })
  return { participant, audit }
}

export interface RoundOfSeveral {
  readonly participant: Participant
  readonly network: TestNetwork
  /** The participant's wall clock. */
  readonly now: number
  readonly shown: Shown
}

export async function playSeveral({ participant, network, now, shown }: RoundOfSeveral) {
  const dh = network.verified.hash
  const { request } = await ask('client', { dh: dh.toString('base64url') })
  const { c } = challenged(participant.request(request))
  const { role, r, suite, pk } = request as ReleaseRequest
  const evidence = await shown({
    audience: audience(network.descriptor.network, 'alice'),
    nonce: releaseNonce({ dh, role, label: 'alice', c, r, suite, pk }),
    local: (changes = {}) =>
      tokenFor(participant, request, c, now, workloadOf('client', changes, network)),
  })
  return await participant.evidence({ c, request, evidence })
}
