// Alice, Bob or Carol: a process with its own folder. Its keys are made here, its share is made here by
// the ceremony, and both stay here.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createVerifiers } from '../../consent/attestation/verifiers.js'
import { verifyAudit } from '../../consent/audit/log.js'
import { fromBase64url } from '../../consent/base/base64url.js'
import { exportPrivate } from '../../consent/base/keys.js'
import { BoardTransport } from '../../consent/ceremony/board-client.js'
import { Ceremony } from '../../consent/ceremony/ceremony.js'
import { demandPlanHash, driveToEnd } from '../../consent/ceremony/drive.js'
import { createPlan, parsePlan, planBytes } from '../../consent/ceremony/plan.js'
import { PLAN_NAME } from '../../consent/ceremony/transport.js'
import type { Role } from '../../consent/descriptor/types.js'
import { type ParticipantServer, serveParticipant } from '../../consent/participant/http.js'
import type { HttpListener } from '../../consent/participant/http-listener.js'
import { createParticipant, type Participant } from '../../consent/participant/participant.js'
import type { RefusedRequest } from '../../consent/participant/types.js'
import {
  createParticipantWeb,
  participantView,
  serveParticipantWeb,
} from '../../consent/participant/web/index.js'
import { examplePolicy } from '../../consent/policy/example.js'
import { createStore } from '../../consent/store/open.js'
import { storePaths } from '../../consent/store/reading.js'
import type { Store } from '../../consent/store/store.js'
import { answerCalls, type Call } from '../answering.js'
import type { ParticipantCalls } from './calls.js'
import { NETWORK } from './cast.js'
import { DamagedParticipant } from './damaged.js'
import { searchFolder } from './search.js'

type Request<Name extends keyof ParticipantCalls> =
  ParticipantCalls[Name] extends Call<infer Fields, object> ? Fields : never

/** Opens the folder; in this process's memory only, so that a copy of the folder opens nothing. */
const lock = { keyFile: randomBytes(32) }
/** Everything secret that this process ever had: what the search at the end looks for. */
const secrets: Uint8Array[] = [lock.keyFile]

let opened: Store | undefined
let participant: Participant | undefined
let server: ParticipantServer | undefined
let pageServer: HttpListener | undefined
let lastRefusal: RefusedRequest | undefined

answerCalls<ParticipantCalls>({
  async init({ label, dir }) {
    opened = await createStore(dir, lock, { label })
    const seeds = exportPrivate(opened.keys)
    secrets.push(seeds.ed25519, seeds.x25519)
    return { label, ...opened.publicKeys }
  },
  plan({ cards, epoch, mode, t, images }) {
    const now = Math.floor(Date.now() / 1000)
    const plan = createPlan({
      network: NETWORK,
      epoch,
      mode,
      t,
      participants: cards,
      roles: {
        client: { id: 'client.demo', images: [images.client] },
        server: { id: 'server.demo', images: [images.server] },
      },
      validity: { notBefore: now - 60, notAfter: now + 86_400 },
    })
    return { plan: planBytes(plan).toString('utf8'), hash: plan.hashHex }
  },
  ceremony,
  serve,
  decide,
  async withdraw() {
    const { withdrawnAt } = await running().withdraw()
    return { withdrawnAt }
  },
  refusal() {
    const { code = 'none', details = [] } = lastRefusal ?? {}
    return { code, details }
  },
  async audit() {
    const { lines } = await verifyAudit(storePaths(store().dir).audit)
    return { lines }
  },
  search({ root }) {
    const known = fromBase64url(store().publicKeys.ed25519, 32) ?? Buffer.alloc(0)
    return searchFolder(root, secrets, known)
  },
})

async function ceremony({ board, planHash }: Request<'ceremony'>) {
  const { label, keys } = store()
  const transport = new BoardTransport(board)
  const bytes = await transport.get(PLAN_NAME)
  const plan = parsePlan(bytes ?? Buffer.alloc(0))
  // The hash came by another way than the plan, which Frank hands out.
  demandPlanHash(plan.hashHex, planHash)
  const seat = Ceremony.begin({ plan, label, keys })
  await driveToEnd(seat, {
    transport,
    // Should this process end meanwhile, the ceremony is begun again: nothing depends on it yet.
    save: () => Promise.resolve(),
    pollMilliseconds: 20,
    signal: AbortSignal.timeout(15_000),
  })
  const { descriptor, share } = seat.result()
  secrets.push(share)
  await store().installEpoch({ descriptor: descriptor.signed, share }, lock)
  seat.wipe()
  return { descriptor: descriptor.signed, hash: descriptor.hashHex }
}

async function serve({ trust, approval, page, damaged, leaseSeconds }: Request<'serve'>) {
  await server?.close()
  await pageServer?.close()
  await participant?.close()
  const { label, keys, descriptor, audit, state } = store()
  if (descriptor === undefined) throw new Error('no ceremony yet')
  const policy = await store().setPolicy(
    examplePolicy(descriptor, {
      projects: ['local-project'],
      attestation: ['local'],
      env: {},
      approval,
      leaseSeconds,
      localIssuers: [trust],
    }),
  )
  const share = store().share() ?? Buffer.alloc(0)
  const verifiers = createVerifiers(policy)
  const options = { descriptor, label, keys, share, policy, verifiers, audit, state }
  const made = damaged ? new DamagedParticipant(options) : createParticipant(options)
  share.fill(0)
  participant = made
  lastRefusal = undefined
  made.on('refused', (refusal) => {
    lastRefusal = refusal
    console.log(JSON.stringify({ refused: refusal.code, details: refusal.details }))
  })
  const web = page ? createParticipantWeb(participantView(made, audit)) : undefined
  server = await serveParticipant(made)
  if (web === undefined) return { url: server.url }
  const opened = await serveParticipantWeb(web)
  pageServer = opened
  return { url: server.url, page: web.link(opened.url), token: web.token }
}

async function decide({ decision, roles }: Request<'decide'>) {
  const images: string[] = []
  for (const role of roles) {
    const id = await waiting(role)
    const { imageDigest } = await (decision === 'approved'
      ? running().approve(id)
      : running().refuse(id))
    images.push(imageDigest)
  }
  return { images }
}

/** The one of a role that waits, or was decided about. */
async function waiting(role: Role): Promise<string> {
  for (let tries = 0; tries < 100; tries += 1) {
    const known = [...running().pending(), ...running().decisions()]
    const found = known.find((request) => request.role === role)
    if (found !== undefined) return found.id
    await sleep(50)
  }
  throw new Error(`expected the ${role} among the waiting requests, got none`)
}

function store(): Store {
  if (opened === undefined) throw new Error('no folder yet')
  return opened
}

function running(): Participant {
  if (participant === undefined) throw new Error('does not serve yet')
  return participant
}
