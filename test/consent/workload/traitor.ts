// A participant that cheats: what it releases is sealed and signed as it should be, and wrong. Frank
// carries for it, and makes what it would make.

import type { KeyObject } from 'node:crypto'
import { generateParticipantKeys } from '../../../src/consent/base/keys.js'
import type { ReleaseHeader } from '../../../src/consent/release/messages.js'
import { sealShare } from '../../../src/consent/release/seal.js'
import { signRelease } from '../../../src/consent/release/sign.js'
import { need, type TestNetwork } from '../network.js'
import type { Frank, Json } from './proxy.js'

export interface Betrayal {
  /** Instead of the participant's share. */
  readonly share?: Uint8Array
  readonly header?: Partial<ReleaseHeader>
  /** Seals to another key than the workload's. */
  readonly pk?: string
  /** Signs with another key than the participant's, as Frank has to. */
  readonly key?: KeyObject
  /** Only for this role. */
  readonly role?: 'client' | 'server'
}

/** From now on the participant behind Frank betrays. */
export function turnTraitor(
  frank: Frank,
  network: TestNetwork,
  label: string,
  betrayal: Betrayal,
): void {
  const requests = new Map<string, Json>()
  let request: Json
  let token = ''
  frank.onRequest = (path, message) => {
    if (path === '/v1/request') {
      request = message
    } else {
      token = message.evidence.token
      request = message.request
    }
    return message
  }
  frank.onAnswer = async (path, answer) => {
    if (path === '/v1/request') requests.set(answer.c, request)
    if (path !== '/v1/evidence' || 'code' in answer) return answer
    const { dh, role, c, tokenHash } = answer
    if (betrayal.role !== undefined && role !== betrayal.role) return answer
    const header: ReleaseHeader = { ...answer.header, ...betrayal.header }
    const share = betrayal.share ?? need(network.shares, label)
    const pk = betrayal.pk ?? request.pk
    const sealed = await sealShare({ share, pk, dh, role, label, c, token, header })
    const key = betrayal.key ?? need(network.keys, label).ed25519
    return signRelease({ label, dh, role, c, tokenHash, header, ...sealed }, key)
  }
}

/** A key that is nobody's in the network. */
export function strangersKey(): KeyObject {
  return generateParticipantKeys().ed25519
}
