// The stage: a folder that is gone at the end, the processes, and what they do together more than once.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PlanParticipant } from '../../consent/ceremony/plan.js'
import type { DescriptorMode, SignedDescriptor } from '../../consent/descriptor/types.js'
import type { CallTypes } from '../answering.js'
import { Actor, type Program } from './actor.js'
import type {
  FrankCalls,
  MachineCalls,
  ParticipantCalls,
  Ports,
  Trust,
  VendorCalls,
} from './calls.js'
import {
  briefly,
  type Label,
  MACHINES,
  type MachineName,
  measuredPace,
  PARTICIPANTS,
  paceOf,
  ROLE_OF,
} from './cast.js'
import { authoredDigests } from './images.js'
import { StepFailed } from './steps.js'

export type ParticipantActor = Actor<ParticipantCalls>
export type MachineActor = Actor<MachineCalls>

/** The epoch that is played. */
export interface Epoch {
  readonly number: number
  readonly descriptor: SignedDescriptor
  readonly hash: string
}

/** How each participant is to be served. */
export interface Serving {
  readonly approval: (label: Label) => 'automatic' | 'manual'
  readonly page?: boolean
  readonly damaged?: Label
  /** Its end will be watched, and it is not needed for long: a lease of little more than half the time. */
  readonly brief?: boolean
}

/** A participant's page: a link that signs in once, and a token for later. */
export interface Page {
  readonly label: string
  readonly link: string
  readonly token: string
}

interface Cast {
  readonly vendor: Actor<VendorCalls>
  readonly frank: Actor<FrankCalls>
  readonly participants: ReadonlyMap<Label, ParticipantActor>
  readonly machines: ReadonlyMap<MachineName, MachineActor>
}

export class Stage {
  readonly #actors: { stop(): Promise<void>; hush(): void }[] = []
  #root: string | undefined
  #cast: Cast | undefined
  #stopped = false
  #trust: Trust | undefined
  #cards: readonly PlanParticipant[] = []
  #images: Readonly<Record<MachineName, string>> | undefined
  epoch: Epoch | undefined
  /** As patient as the machine is slow. */
  pace = paceOf(1)
  /** Frank's addresses of the server. */
  doors: Ports | undefined
  /** The server's own. */
  ports: Ports | undefined
  /** Key check value of the network that is joined. */
  kcv = ''

  get root(): string {
    if (this.#root === undefined) throw new StepFailed('expected a folder, got none yet')
    return this.#root
  }

  get vendor(): Actor<VendorCalls> {
    return this.#players.vendor
  }

  get frank(): Actor<FrankCalls> {
    return this.#players.frank
  }

  participant(label: Label): ParticipantActor {
    return this.#players.participants.get(label) as ParticipantActor
  }

  machine(name: MachineName): MachineActor {
    return this.#players.machines.get(name) as MachineActor
  }

  get server(): MachineActor {
    return this.machine('server')
  }

  get client(): MachineActor {
    return this.machine('client')
  }

  /** Starts all processes. */
  async open(): Promise<void> {
    if (this.#stopped) throw new StepFailed('expected to begin, was stopped')
    // Only the owner can look inside (mkdtemp makes it 0700).
    const root = mkdtempSync(join(tmpdir(), 'mcbn-demo-'))
    this.#root = root
    for (const folder of ['logs', 'sockets']) mkdirSync(join(root, folder), { mode: 0o700 })
    this.#cast = {
      vendor: this.#start('vendor', 'vendor'),
      frank: this.#start('frank', 'frank'),
      participants: this.#startAll<Label, ParticipantCalls>(PARTICIPANTS, 'participant'),
      machines: this.#startAll<MachineName, MachineCalls>(MACHINES, 'machine'),
    }
    const [trust, images] = await Promise.all([
      this.vendor.call('open', {}),
      // While the others start.
      authoredDigests(),
      this.frank.call('open', { dir: join(root, 'frank') }),
    ])
    this.#trust = trust
    this.#images = images
  }

  /** How many processes there are, this one apart. */
  get size(): number {
    return this.#actors.length
  }

  /** Every participant's keys. They meet: cards are not exchanged through Frank. */
  async makeKeys(): Promise<void> {
    this.#cards = await this.forAll((label, actor) =>
      actor.call('init', { label, dir: join(this.root, label) }),
    )
  }

  /** A ceremony by way of Frank's board. The plan's hash goes by another way, as over a telephone. */
  async ceremony(number: number, mode: DescriptorMode, t: number): Promise<Epoch> {
    const { plan, hash } = await this.participant('alice').call('plan', {
      cards: this.#cards,
      epoch: number,
      mode,
      t,
      images: { server: this.images.server, client: this.images.client },
    })
    const { url } = await this.frank.call('board', { plan })
    const results = await this.forAll((_label, actor) =>
      actor.call('ceremony', { board: url, planHash: hash }),
    )
    const [first] = results
    if (first === undefined || results.some((result) => result.hash !== first.hash)) {
      throw new StepFailed('expected one descriptor, got several')
    }
    this.epoch = { number, ...first }
    return this.epoch
  }

  /** Serves the participants, puts Frank before them, and deploys the workloads. @returns pages, if any. */
  async serve({
    approval,
    page = false,
    damaged,
    brief = false,
  }: Serving): Promise<readonly Page[]> {
    const { trust, epoch } = this
    // Anew for each epoch: a machine that was at rest before may not be now.
    const pace = await measuredPace()
    this.pace = brief ? briefly(pace) : pace
    const { leaseSeconds } = this.pace
    const served = await this.forAll(async (label, actor) => {
      const how = {
        ...{ trust, approval: approval(label), page, damaged: label === damaged },
        leaseSeconds,
      }
      return { label, ...(await actor.call('serve', how)) }
    })
    const direct = Object.fromEntries(served.map(({ label, url }) => [label, url]))
    await Promise.all(MACHINES.map((name) => this.#deploy(name, direct, epochOf(epoch))))
    return served.map(({ label, page: link = '', token = '' }) => ({ label, link, token }))
  }

  /** The server listens, and Frank stands before it. */
  async listen(): Promise<Ports> {
    this.ports = await this.server.call('serve', {})
    this.doors = await this.frank.call('relay', this.ports)
    return this.doors
  }

  async forAll<Result>(
    act: (label: Label, actor: ParticipantActor) => Promise<Result>,
  ): Promise<Result[]> {
    return await Promise.all(PARTICIPANTS.map((label) => act(label, this.participant(label))))
  }

  /** Frank's ways to the participants for one owner. */
  async carry(owner: string, participants: Readonly<Record<string, string>>) {
    return (await this.frank.call('carry', { owner, participants })).participants
  }

  /** The participants' own addresses: for Frank, not for workloads. */
  direct: Readonly<Record<string, string>> = {}

  /** Keeps nothing of the output from now on. */
  hush(): void {
    for (const actor of this.#actors) actor.hush()
  }

  /** Ends all processes and removes the folder. May be called at any time, more than once. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#actors.map((actor) => actor.stop()))
    this.#removeFiles()
  }

  /** The same, when there is no time left to wait. */
  stopNow(): void {
    this.#stopped = true
    for (const actor of this.#actors) void actor.stop()
    this.#removeFiles()
  }

  get trust(): Trust {
    if (this.#trust === undefined) throw new StepFailed('expected a vendor, got none yet')
    return this.#trust
  }

  /** Digests of what the machines run. */
  get images(): Readonly<Record<MachineName, string>> {
    if (this.#images === undefined) throw new StepFailed('expected images, got none yet')
    return this.#images
  }

  get #players(): Cast {
    if (this.#cast === undefined) throw new StepFailed('expected processes, got none yet')
    return this.#cast
  }

  async #deploy(
    name: MachineName,
    direct: Readonly<Record<string, string>>,
    { descriptor, hash }: Epoch,
  ): Promise<void> {
    this.direct = direct
    const socketPath = join(this.root, 'sockets', `${name}.sock`)
    const dir = join(this.root, name)
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const [participants] = await Promise.all([
      this.carry(name, direct),
      this.vendor.call('measure', {
        socketPath,
        machine: name,
        pid: this.machine(name).pid,
        descriptorHash: hash,
      }),
    ])
    await this.machine(name).call('deploy', {
      role: ROLE_OF[name],
      dir,
      socketPath,
      descriptor,
      descriptorHash: hash,
      participants,
    })
  }

  #start<Calls extends CallTypes<Calls>>(name: string, program: Program): Actor<Calls> {
    const actor = new Actor<Calls>(name, program, this.root)
    this.#actors.push(actor)
    return actor
  }

  #startAll<Name extends string, Calls extends CallTypes<Calls>>(
    names: readonly Name[],
    program: Program,
  ): ReadonlyMap<Name, Actor<Calls>> {
    return new Map(names.map((name) => [name, this.#start<Calls>(name, program)]))
  }

  #removeFiles(): void {
    if (this.#root === undefined) return
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 })
  }
}

function epochOf(epoch: Epoch | undefined): Epoch {
  if (epoch === undefined) throw new StepFailed('expected a descriptor, got none yet')
  return epoch
}
