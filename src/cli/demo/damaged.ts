// A participant whose program is defective or altered: it checks, signs and seals as it should, but what it
// seals is not the share that it committed to.

import { fromBase64url } from '../../consent/base/base64url.js'
import type { ParticipantOptions } from '../../consent/participant/options.js'
import { type MessageContext, Participant } from '../../consent/participant/participant.js'
import { sealedRelease } from '../../consent/participant/sealed-release.js'
import type {
  Refused,
  Release,
  ReleaseChallenge,
  ReleaseRequest,
} from '../../consent/release/messages.js'
import { parseReleaseEvidence, parseReleaseRequest } from '../../consent/release/parse.js'

export class DamagedParticipant extends Participant {
  readonly #keys: ParticipantOptions['keys']
  readonly #share: Buffer
  readonly #asked = new Map<string, ReleaseRequest>()

  constructor(options: ParticipantOptions) {
    super(options)
    this.#keys = options.keys
    this.#share = Buffer.from(options.share)
    // One bit of a low byte: in the middle of the range, where nothing but the commitment can tell.
    this.#share.writeUInt8(this.#share.readUInt8(7) ^ 0x10, 7)
  }

  override request(message: unknown, context?: MessageContext): ReleaseChallenge | Refused {
    const answer = super.request(message, context)
    if ('c' in answer) this.#asked.set(answer.c, parseReleaseRequest(message))
    return answer
  }

  override async evidence(message: unknown): Promise<Release | Refused> {
    const answer = await super.evidence(message)
    if ('code' in answer) return answer
    const request = this.#asked.get(answer.c)
    const c = fromBase64url(answer.c, 32)
    if (request === undefined || c === undefined) return answer
    this.#asked.delete(answer.c)
    return await sealedRelease({
      share: this.#share,
      keys: this.#keys,
      label: this.label,
      dh: this.descriptor.hash,
      c,
      request,
      token: parseReleaseEvidence(message).evidence.token,
      header: answer.header,
    })
  }
}
