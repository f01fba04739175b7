// One process of the matrix: `child.js <scenario> <folder> <world file> <operation> <moment> [database]`. It says
// what was confirmed to it, a line each, and is killed on its way; or reaches the end and says `done <operations>`.

import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { confidentialSpaceClaims } from '../../../src/consent/attestation/local/claims.js'
import { toBase64url } from '../../../src/consent/base/base64url.js'
import { driveStep } from '../../../src/consent/ceremony/drive.js'
import { createPlan, parsePlan, planBytes } from '../../../src/consent/ceremony/plan.js'
import { CeremonyState } from '../../../src/consent/ceremony/state.js'
import { FolderTransport } from '../../../src/consent/ceremony/transport.js'
import type { Participant } from '../../../src/consent/participant/participant.js'
import { participantOfStore, withdrawStored } from '../../../src/consent/participant/stored.js'
import type { Refused, Release } from '../../../src/consent/release/messages.js'
import { SUITE } from '../../../src/consent/release/messages.js'
import { audience, releaseNonce } from '../../../src/consent/release/nonce.js'
import { generateReceiver, type OpenedShare } from '../../../src/consent/release/seal.js'
import { createStore, openStore } from '../../../src/consent/store/open.js'
import { moveToPostgres } from '../../../src/consent/store/postgres/move.js'
import {
  createPostgresStore,
  openPostgresStore,
  PostgresStore,
} from '../../../src/consent/store/postgres/postgres.js'
import { readParticipant } from '../../../src/consent/store/reading.js'
import type { ParticipantStore } from '../../../src/consent/store/replicas.js'
import { CLIENT_IMAGE } from '../network.js'
import { type KillAt, killAt, killAtQueries, operationsDone } from './kill.js'
import { type World, type WorldFile, worldOf } from './world.js'

const [scenario, folder, worldFile, operation, moment, database] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  KillAt['moment'],
  string | undefined,
]

/** Written before anything else happens: what was said was said. */
function say(line: string): void {
  writeSync(1, `${line}\n`)
}

const dir = join(folder, 'alice')

const opened = async ({ lock }: World): Promise<ParticipantStore> =>
  database === undefined ? await openStore(dir, lock) : await openPostgresStore(database, lock)

/** As `mcbn participant init` does it. */
async function init(world: World): Promise<void> {
  const { lock, epochs } = world
  const store = (await begun(world)) ?? (await created(world))
  await store.installEpoch(epochs[0] as never, lock)
  say('installed 1')
  await store.close()
}

async function begun(world: World): Promise<ParticipantStore | undefined> {
  if (database !== undefined) return await opened(world).catch(() => undefined)
  const read = await readParticipant(dir).catch(() => undefined)
  return read && (await opened(world))
}

async function created({ keys, lock }: World): Promise<ParticipantStore> {
  const options = { label: 'alice', keys }
  return database === undefined
    ? await createStore(dir, lock, options)
    : await createPostgresStore(database, lock, options)
}

/** As `mcbn participant move` does it. */
async function move({ lock }: World): Promise<void> {
  await moveToPostgres(dir, `${database}`, lock)
  say('moved')
}

async function install(world: World): Promise<void> {
  const store = await opened(world)
  await store.installEpoch(world.epochs[1] as never, world.lock)
  say('installed 2')
  await store.close()
}

/** Until it is killed, one of several. */
async function replica(world: World): Promise<void> {
  const store = await opened(world)
  const participant = participantOfStore(store)
  for (let at = 0; ; at += 1) await attempt(world, participant, `${1 + (at % 6)}`)
}

/** Until it is killed, one of several: workloads that come, renew and go again, all at the same time. */
async function crowd(world: World): Promise<void> {
  const participant = participantOfStore(await opened(world))
  const own = process.argv.at(-1)
  const workload = async (instance: string): Promise<void> => {
    for (let at = 0; ; at += 1) {
      const proofs: string[] = []
      // Every other life of a workload has its lease renewed.
      for (let left = 1 + (at % 2); left > 0; left -= 1) {
        const { answer, opened } = await exchange(world, participant, instance)
        if (opened === undefined) say(`refused ${(answer as Refused).code}`)
        else proofs.push(toBase64url(opened.lease.giveBack))
      }
      const { hash } = (world.epochs[0] as World['epochs'][number]).verified
      const about = { v: 'mcbn/1', dh: toBase64url(hash), role: 'client' }
      if (proofs.length > 0) await participant.giveBack({ ...about, proofs })
    }
  }
  await Promise.all(Array.from({ length: 8 }, (_, at) => workload(`${own}-${at}`)))
}

async function serve(world: World): Promise<void> {
  const store = await opened(world)
  const participant = participantOfStore(store)
  for (let at = 0; at < 5; at += 1) {
    await attempt(world, participant, `${1 + (at % 4)}`)
  }
  await participant.close()
  await store.close()
}

/** A round; where a person has to agree, that, and another. */
async function attempt(world: World, participant: Participant, instance: string): Promise<void> {
  const first = await round(world, participant, instance)
  if (!('code' in first) || first.code !== 'manual') return
  const waiting = participant.pending().find(({ facts }) => facts.instance === instance)
  // Somebody else may have agreed meanwhile.
  if (waiting !== undefined) {
    const { id, decidedAt } = await participant.approve(waiting.id)
    say(`decided ${id} ${decidedAt}`)
  }
  await round(world, participant, instance)
}

async function round(
  world: World,
  participant: Participant,
  instance: string,
): Promise<Release | Refused> {
  return (await exchange(world, participant, instance)).answer
}

interface Exchanged {
  readonly answer: Release | Refused
  /** Of a release. */
  readonly opened?: OpenedShare
}

async function exchange(
  world: World,
  participant: Participant,
  instance: string,
): Promise<Exchanged> {
  const { verified } = world.epochs[0] as World['epochs'][number]
  const receiver = await generateReceiver()
  const request = {
    v: 'mcbn/1',
    dh: toBase64url(verified.hash),
    role: 'client',
    pk: toBase64url(receiver.publicKey),
    suite: SUITE,
    r: toBase64url(randomBytes(32)),
    instance: toBase64url(randomBytes(16)),
  } as const
  const challenge = participant.request(request)
  if ('code' in challenge) return { answer: challenge }
  const { role, pk, suite, r } = request
  const nonce = releaseNonce({
    dh: verified.hash,
    role,
    label: 'alice',
    c: challenge.c,
    r,
    suite,
    pk,
  })
  const claims = confidentialSpaceClaims({
    audience: audience('crash', 'alice'),
    nonces: [nonce],
    workload: {
      imageDigest: CLIENT_IMAGE,
      env: { MCBN_DESCRIPTOR_HASH: verified.hashHex },
      instance,
    },
    now: Date.now(),
  })
  const token = await world.issuer.mint(claims)
  const evidence = { kind: 'local', token }
  const answer = await participant.evidence({ c: challenge.c, request, evidence })
  if ('code' in answer) return { answer }
  say(`released ${answer.header.releaseId}`)
  const sealed = { ...answer, dh: verified.hash, token }
  return { answer, opened: receiver.openLease(sealed) }
}

async function withdraw(world: World): Promise<void> {
  const store = await opened(world)
  if (store.policy === undefined) await withdrawStored(store)
  else {
    const participant = participantOfStore(store)
    await participant.withdraw()
    say('withdrawn')
    await participant.close()
  }
  await store.close()
}

/** Two participants of n of n, both in this process: a kill ends both. */
async function ceremony({ lock }: World): Promise<void> {
  const transport = new FolderTransport(join(folder, 'shared'))
  const planPath = join(folder, 'plan')
  const states = []
  for (const label of ['ann', 'ben']) {
    const own = join(folder, label)
    const begun = existsSync(join(own, 'participant.json'))
    states.push(
      begun
        ? await CeremonyState.open(own, lock)
        : await CeremonyState.create(own, { label, lock }),
    )
  }
  if (!existsSync(planPath)) {
    const { writeFile } = await import('node:fs/promises')
    const plan = createPlan({
      network: 'crash',
      epoch: 1,
      mode: 't-of-n',
      t: 2,
      participants: states.map(({ card }) => card),
      roles: {
        client: { id: 'client', images: [CLIENT_IMAGE] },
        server: { id: 'server', images: [CLIENT_IMAGE] },
      },
      validity: { notBefore: 1, notAfter: 2 },
    })
    await writeFile(planPath, planBytes(plan))
  }
  const plan = parsePlan(readFileSync(planPath))
  for (let left = 16; left > 0; left -= 1) {
    for (const state of states) {
      const running = state.ceremony ?? (await state.begin(plan))
      await driveStep(running, { transport, save: () => state.save() })
      if (running.finished)
        say(`finished ${state.card.label} ${running.result().descriptor.hashHex}`)
    }
    if (states.every((state) => state.ceremony?.finished)) break
  }
  for (const state of states) state.close()
}

/** What is in the folder or database now, for the parent to judge. */
async function look(world: World): Promise<void> {
  const { epochs } = world
  const store = await opened(world)
  const share = store.share()?.toString('hex')
  say(
    `state ${JSON.stringify({
      epoch: store.descriptor?.descriptor.epoch,
      share: epochs.findIndex((epoch) => epoch.share.toString('hex') === share) + 1,
      policy:
        epochs.findIndex(({ verified }) => verified.hashHex === store.policy?.descriptorHash) + 1,
      withdrawn: store.state.current.withdrawal !== undefined,
      decisions: store.state.current.decisions.map(({ id, decidedAt }) => `${id} ${decidedAt}`),
      leases: store.leases.map(({ instance }) => instance),
      lines: (await store.audit.verify()).lines,
    })}`,
  )
  if (store instanceof PostgresStore) {
    for await (const line of store.audit.lines()) say(`line ${Buffer.from(line).toString().trim()}`)
  }
  await store.close()
}

const SCENARIOS = { init, install, serve, replica, crowd, withdraw, move, ceremony, look }
async function run(): Promise<void> {
  const world = await worldOf(JSON.parse(readFileSync(worldFile, 'utf8')) as WorldFile)
  const point = { operation: Number(operation), moment }
  await killAt(point)
  if (database !== undefined) killAtQueries((await import('pg')).default, point)
  await SCENARIOS[scenario as keyof typeof SCENARIOS](world)
  say(`done ${operationsDone()}`)
}

void run()
