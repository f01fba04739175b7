// One participant's side of a ceremony: messages in, messages out, no file and no network.
//
//   commit --all commits--> package --all packages--> [seal --all sub-shares-->] agree
//          --n equal hashes--> sign --all signatures--> the descriptor, and this participant's share
//
// Everything but the secret follows from the messages: resume() with the secret and the messages of an
// earlier process stands where that one stood. Own messages are made once and kept; a message made a
// second time would be another one, and two different messages of one round are what cheaters send.
//
// What is not stopped: a participant who likes the result less than no result can stay silent after the
// packages are open. The others see who is missing, and start again without it, with fresh secrets.

import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { McbnError } from '../../errors.js'
import { secretCopy } from '../../secret-bytes.js'
import { toBase64url } from '../base/base64url.js'
import { type ParticipantKeys, publicKeys } from '../base/keys.js'
import { descriptorHash } from '../descriptor/descriptor.js'
import { signDescriptor, type VerifiedDescriptor } from '../descriptor/signed.js'
import { checkReleasedShare } from '../shares/check.js'
import { shareCommitment } from '../shares/commitment.js'
import { checkPackages, dkgPackage, type Lookup, thresholdOf } from './check.js'
import { judgeComplaint } from './complaint.js'
import { finishShare, generatePolynomial, isSubShareOf, subShareFor } from './dkg.js'
import {
  CEREMONY_ROUNDS,
  type CeremonyMessage,
  type CeremonyRound,
  type MessageKind,
  messageName,
  type PackageBody,
  packageHash,
  parseMessage,
  signMessage,
} from './messages.js'
import { compareTranscripts, makeDescriptor, signedByAll, whatWasSeen } from './outcome.js'
import type { CheckedPlan } from './plan.js'
import { cheated, invalid } from './refusals.js'
import { type CeremonySecret, wipeSecret } from './secret.js'
import { openSubShare, sealSubShare } from './sub-share.js'

/** The participants, and the network that they make keys for. */
export interface CeremonySeat {
  readonly plan: CheckedPlan
  readonly label: string
  /** Those that the plan lists for the label; borrowed. */
  readonly keys: ParticipantKeys
}

/** What an earlier process has kept. */
export interface CeremonyMemory {
  /** Owned by the ceremony from now on. */
  readonly secret: CeremonySecret
  /** All messages, own and others', as they travelled. */
  readonly messages: Iterable<Uint8Array>
}

/** A message and the name that it travels under. */
export interface NamedMessage {
  readonly name: string
  readonly bytes: Uint8Array
}

/** What a ceremony ends with. */
export interface CeremonyResult {
  /** Signed by all. */
  readonly descriptor: VerifiedDescriptor
  /** This participant's share: a copy, 32 bytes; the caller owns and wipes it. */
  readonly share: Buffer
}

/** See the file's comment. `util.inspect` and JSON show nothing secret: secrets are private fields. */
export class Ceremony {
  readonly plan: CheckedPlan
  readonly label: string
  readonly #keys: ParticipantKeys
  readonly #messages = new Map<string, { message: CeremonyMessage; bytes: Buffer }>()
  #secret: CeremonySecret
  #descriptor: VerifiedDescriptor | undefined
  readonly #lookup: Lookup = (round, from) => this.#get(round, from)
  #opened: { readonly share: string; readonly signature: string } | undefined

  private constructor({ plan, label, keys }: CeremonySeat, secret: CeremonySecret) {
    const listed = plan.participant(label)
    const own = publicKeys(keys)
    if (listed.ed25519 !== own.ed25519 || listed.x25519 !== own.x25519) {
      throw invalid(`${label}: expected the keys that the plan lists, got others`)
    }
    this.plan = plan
    this.label = label
    this.#keys = keys
    this.#secret = secret
  }

  /**
   * Makes a fresh secret, and the commit to what will be shown of it.
   *
   * @throws {McbnError} `MCBN_CEREMONY_INVALID` when the plan does not list these keys for the label.
   */
  static begin(seat: CeremonySeat): Ceremony {
    const ceremony = new Ceremony(seat, freshSecret(seat))
    const body = ceremony.#ownPackage()
    const hash = packageHash(ceremony.plan, ceremony.label, body)
    ceremony.#say('commit', { package: toBase64url(hash) })
    return ceremony
  }

  /**
   * Goes on where another process stopped.
   *
   * @throws {McbnError} as {@link Ceremony.accept}, when what was kept is not what it was.
   */
  static resume(seat: CeremonySeat, { secret, messages }: CeremonyMemory): Ceremony {
    const ceremony = new Ceremony(seat, secret)
    for (const bytes of messages) ceremony.#keep(parseMessage(bytes, seat.plan), bytes)
    if (!ceremony.#messages.has(messageName('commit', seat.label))) {
      throw invalid(`${seat.label}: expected the own commit among the messages kept, got none`)
    }
    return ceremony
  }

  /** The rounds of this plan, in their order. */
  get rounds(): readonly CeremonyRound[] {
    const { mode } = this.plan.document
    return CEREMONY_ROUNDS.filter((round) => round !== 'seal' || mode === 't-of-n')
  }

  /** The round whose messages are being exchanged: the own ones are made, those of others awaited. */
  get round(): CeremonyRound {
    return this.rounds.findLast((round) => this.#said(round)) ?? 'commit'
  }

  /** True once {@link Ceremony.result} can be had. */
  get finished(): boolean {
    return this.#descriptor !== undefined
  }

  /** The own messages so far, to be sent; sending one twice does no harm. */
  outgoing(): NamedMessage[] {
    return [...this.#messages]
      .filter(([, { message }]) => message.from === this.label)
      .map(([name, { bytes }]) => ({ name, bytes }))
  }

  /** Messages of others that the next step needs and that are not here yet. */
  awaited(): { readonly name: string; readonly from: string }[] {
    const { round } = this
    return this.#others()
      .map((from) => ({
        from,
        name: messageName(round, from, round === 'seal' ? this.label : undefined),
      }))
      .filter(({ name }) => !this.#messages.has(name))
  }

  /** Names under which others would complain. */
  complaints(): string[] {
    return this.#others().map((from) => messageName('complaint', from))
  }

  /** All messages, for {@link Ceremony.resume}. */
  messages(): readonly Uint8Array[] {
    return [...this.#messages.values()].map(({ bytes }) => bytes)
  }

  /** The secret, to be kept sealed; borrowed. */
  get secret(): CeremonySecret {
    return this.#secret
  }

  /**
   * Takes a message of somebody else in.
   *
   * @param name - under which it came.
   * @throws {McbnError} `MCBN_CEREMONY_INVALID`: not a message of this ceremony, blames nobody, and nothing
   * has changed. `MCBN_CEREMONY_CHEATED` with `participant`. A complaint always throws: one of these two,
   * or `MCBN_CEREMONY_DISAGREED` when one word stands against another.
   */
  accept(name: string, bytes: Uint8Array): void {
    try {
      const message = parseMessage(bytes, this.plan)
      const { round, from, to } = message
      if (messageName(round, from, to) !== name) {
        throw invalid(`${name}: expected this message, got ${messageName(round, from, to)}`)
      }
      if (round === 'complaint') {
        judgeComplaint(this.plan, this.label, message, this.#lookup)
      }
      this.#keep(message, bytes)
    } catch (error) {
      this.#complain(error, roundOfName(name))
      throw error
    }
  }

  /**
   * Does the next step, if all that it needs has come.
   *
   * @returns whether it did; afterwards there are new messages to send, or the result is there.
   * @throws {McbnError} `MCBN_CEREMONY_CHEATED` with `participant`, `MCBN_CEREMONY_DISAGREED`: the ceremony
   * is over, and {@link Ceremony.outgoing} has a complaint that tells the others.
   */
  async advance(): Promise<boolean> {
    if (this.finished) return false
    this.#demandNoOwnComplaint()
    if (this.awaited().length > 0) return false
    const { round } = this
    try {
      await this.#next(round)
    } catch (error) {
      this.#complain(error, round)
      throw error
    }
    return true
  }

  /** @throws {McbnError} `MCBN_CEREMONY_INVALID` before the end. */
  result(): CeremonyResult {
    const secret = this.#secret
    if (this.#descriptor === undefined || secret.kind !== 'share') {
      throw invalid(`ceremony: expected it to be finished, it is at ${this.round}`)
    }
    const share = secretCopy(secret.share)
    return { descriptor: this.#descriptor, share }
  }

  /** Overwrites the secret; the ceremony cannot go on afterwards. */
  wipe(): void {
    wipeSecret(this.#secret)
  }

  /** What JSON.stringify shows. */
  toJSON(): object {
    const { label, round, finished } = this
    return { label, plan: this.plan.hashHex, round, finished }
  }

  /** Written by hand: with `getters`, util.inspect would ask for the secret too. */
  [inspect.custom](): string {
    return `Ceremony ${inspect(this.toJSON())}`
  }

  async #next(round: CeremonyRound): Promise<void> {
    switch (round) {
      case 'commit':
        this.#say('package', this.#ownPackage())
        return
      case 'package':
        checkPackages(this.plan, this.#lookup)
        if (this.plan.document.mode === 't-of-n') await this.#sayAllSubShares()
        else this.#say('agree', whatWasSeen(this.plan, this.#lookup))
        return
      case 'seal':
        for (const share of (await this.#openSubShares()).values()) share.fill(0)
        this.#say('agree', whatWasSeen(this.plan, this.#lookup))
        return
      case 'agree':
        compareTranscripts(this.plan, this.label, this.#lookup)
        this.#saySignature()
        return
      case 'sign':
        await this.#finish()
    }
  }

  #ownPackage(): PackageBody {
    const secret = this.#secret
    const { network, epoch } = this.plan.document
    if (secret.kind === 'polynomial') {
      const { identifier, commitment, proof } = secret.polynomial.public
      return {
        identifier,
        commitment: commitment.map(toBase64url),
        proof: toBase64url(proof),
      }
    }
    const { label } = this
    return {
      commitment: toBase64url(shareCommitment({ network, epoch, label, share: secret.share })),
    }
  }

  async #sayAllSubShares(): Promise<void> {
    const { plan, label: from } = this
    const { coefficients } = this.#polynomial()
    // Made first and kept together: a crash between two of them leaves either none or all.
    const sealed = await Promise.all(
      this.#others().map(async (to) => {
        const share = subShareFor(coefficients, plan.labels.indexOf(to) + 1)
        try {
          return { to, body: await sealSubShare({ plan, from, to }, this.#keys, share) }
        } finally {
          share.fill(0)
        }
      }),
    )
    for (const { to, body } of sealed) this.#say('seal', body, to)
  }

  /** What the others have dealt to this participant, one sender checked at a time. */
  async #openSubShares(): Promise<Map<number, Buffer>> {
    const { plan, label: to } = this
    const receiver = plan.labels.indexOf(to) + 1
    const shares = new Map<number, Buffer>()
    try {
      for (const from of this.#others()) {
        const opened = await openSubShare(
          { plan, from, to },
          this.#keys,
          this.#get('seal', from, to).body,
        )
        if (opened === undefined) {
          throw cheated(from, `sealed no signed sub-share to ${to}; start again without ${from}`)
        }
        const { identifier, commitment } = dkgPackage(this.#get('package', from))
        shares.set(identifier, opened.share)
        if (isSubShareOf(opened.share, receiver, commitment, thresholdOf(plan))) continue
        this.#opened = {
          share: toBase64url(opened.share),
          signature: toBase64url(opened.signature),
        }
        throw cheated(
          from,
          `dealt ${to} a sub-share that is not on the polynomial it has committed to; start again without ${from}`,
        )
      }
      return shares
    } catch (error) {
      for (const share of shares.values()) share.fill(0)
      throw error
    }
  }

  #saySignature(): void {
    const descriptor = makeDescriptor(this.plan, this.#lookup)
    this.#say('sign', {
      dh: toBase64url(descriptorHash(descriptor)),
      signature: signDescriptor(descriptor, this.label, this.#keys),
    })
  }

  async #finish(): Promise<void> {
    const verified = signedByAll(this.plan, this.#lookup)
    await this.#finishShare()
    if (this.#secret.kind === 'share') checkReleasedShare(verified, this.label, this.#secret.share)
    this.#descriptor = verified
  }

  /** t-of-n: adds the sub-shares up, and forgets the polynomial. */
  async #finishShare(): Promise<void> {
    const secret = this.#secret
    if (secret.kind === 'share') return
    const packages = this.plan.labels.map((label) => dkgPackage(this.#get('package', label)))
    const subShares = await this.#openSubShares()
    const share = finishShare(secret.polynomial, packages, subShares, thresholdOf(this.plan))
    for (const subShare of subShares.values()) subShare.fill(0)
    wipeSecret(secret)
    this.#secret = { kind: 'share', share }
  }

  #polynomial() {
    const secret = this.#secret
    if (secret.kind === 'polynomial') return secret.polynomial
    throw new McbnError('MCBN_INTERNAL', 'a share is not a polynomial')
  }

  #say<Kind extends MessageKind>(round: Kind, body: CeremonyMessage<Kind>['body'], to?: string) {
    const fields = { round, from: this.label, body, ...(to !== undefined && { to }) }
    const bytes = signMessage(this.plan, this.#keys.ed25519, fields)
    this.#keep(parseMessage(bytes, this.plan), bytes)
  }

  #keep(message: CeremonyMessage, bytes: Uint8Array): void {
    const { round, from, to } = message
    const name = messageName(round, from, to)
    const earlier = this.#messages.get(name)
    if (earlier !== undefined && !earlier.bytes.equals(bytes)) {
      // Canonical form, checked signature: only the sender could have made both.
      throw cheated(from, `signed two different messages ${name}`)
    }
    this.#messages.set(name, { message, bytes: Buffer.from(bytes) })
  }

  /** Tells the others, which would otherwise wait forever. Never answers one complaint with another. */
  #complain(error: unknown, about: CeremonyRound | undefined): void {
    if (!(error instanceof McbnError) || error.code !== 'MCBN_CEREMONY_CHEATED') return
    const accused = error.participant
    const said = this.#messages.has(messageName('complaint', this.label))
    if (said || about === undefined || accused === undefined || accused === this.label) return
    this.#say('complaint', {
      accused,
      about,
      ...(this.#opened !== undefined && { opened: this.#opened }),
    })
  }

  /** A complaint is the last word: what was cheated once is not gone on with. */
  #demandNoOwnComplaint(): void {
    if (!this.#messages.has(messageName('complaint', this.label))) return
    const { accused, about } = this.#get('complaint', this.label).body
    throw cheated(accused, `its ${about} was wrong, and ${this.label} has stopped; start again`)
  }

  #others(): string[] {
    return this.plan.labels.filter((label) => label !== this.label)
  }

  #said(round: CeremonyRound): boolean {
    const to = round === 'seal' ? this.#others()[0] : undefined
    return this.#messages.has(messageName(round, this.label, to))
  }

  #get<Kind extends MessageKind>(round: Kind, from: string, to?: string): CeremonyMessage<Kind> {
    const found = this.#messages.get(messageName(round, from, to))
    if (found === undefined) throw invalid(`${messageName(round, from, to)}: expected it by now`)
    return found.message as CeremonyMessage<Kind>
  }
}

function freshSecret({ plan, label }: CeremonySeat): CeremonySecret {
  const { mode } = plan.document
  plan.participant(label)
  if (mode === 't-of-n') {
    const identifier = plan.labels.indexOf(label) + 1
    return { kind: 'polynomial', polynomial: generatePolynomial(identifier, thresholdOf(plan)) }
  }
  const share = secretCopy(randomBytes(32))
  return { kind: 'share', share }
}

function roundOfName(name: string): CeremonyRound | undefined {
  return CEREMONY_ROUNDS.find((round) => name.startsWith(`${round}-`))
}
