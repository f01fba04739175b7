// A participant whose program is defective or altered: it checks, signs and seals as it should, but what it
// seals is not the share that it committed to.

import { fromBase64url } from '../../consent/base/base64url.js'
import type { ParticipantOptions } from '../../consent/participant/options.js'
import { Participant } from '../../consent/participant/participant.js'
import { sealedRelease } from '../../consent/participant/sealed-release.js'
import type { Refused, Release } from '../../consent/release/messages.js'
import { parseReleaseEvidence } from '../../consent/release/parse.js'

export class DamagedParticipant extends Participant {
  readonly #keys: ParticipantOptions['keys']
  readonly #share: Buffer

  constructor(options: ParticipantOptions) {
    super(options)
    this.#keys = options.keys
    this.#share = Buffer.from(options.share)
    // One bit of a low byte: in the middle of the range, where nothing but the commitment can tell.
    this.#share.writeUInt8(this.#share.readUInt8(7) ^ 0x10, 7)
  }

  override async evidence(message: unknown): Promise<Release | Refused> {
    const answer = await super.evidence(message)
    if ('code' in answer) return answer
    const { request, evidence } = parseReleaseEvidence(message)
    const c = fromBase64url(answer.c, 32)
    if (c === undefined) return answer
    const { release } = sealedRelease({
      share: this.#share,
      keys: this.#keys,
      label: this.label,
      dh: this.descriptor.hash,
      c,
      request,
      token: evidence.token,
      header: answer.header,
    })
    return release
  }
}
