// Frank, the operator: owns the machines and the network. Every byte between workloads and participants, between
// the participants during a ceremony, and between client and server goes through this process. He keeps all
// of it, and alters, swaps and replays on command.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { serveBoard } from '../../consent/ceremony/board.js'
import { parsePlan } from '../../consent/ceremony/plan.js'
import { FolderTransport } from '../../consent/ceremony/transport.js'
import { generateReceiver } from '../../consent/release/seal.js'
import { answerCalls } from '../answering.js'
import type { FrankCalls, Ports, ReplayAnswer } from './calls.js'
import { type Exchange, Front, type Message } from './frank-front.js'
import { FrankRecord } from './frank-record.js'
import { knock, type Route, relayTcp, relayUdp } from './frank-relay.js'

let folder = ''
let record: FrankRecord | undefined
let ownKey = ''
let boards = 0
/** By owner and label. */
const fronts = new Map<string, Front>()
const route: Route = { ports: undefined, flip: false }
let doors: Ports | undefined

answerCalls<FrankCalls>({
  async open({ dir }) {
    folder = dir
    record = new FrankRecord(dir)
    ownKey = (await generateReceiver()).publicKey.toString('base64url')
    return {}
  },
  async board({ plan }) {
    boards += 1
    const dir = join(folder, `board-${boards}`)
    mkdirSync(dir, { mode: 0o700 })
    const { url } = await serveBoard({
      plan: parsePlan(Buffer.from(plan)),
      storage: new FolderTransport(dir),
    })
    return { url }
  },
  async carry({ owner, participants }) {
    const urls = Object.entries(participants).map(async ([label, target]) => {
      const front = new Front(target, opened(), ownKey)
      fronts.set(`${owner} ${label}`, front)
      return [label, await front.listen()] as const
    })
    return { participants: Object.fromEntries(await Promise.all(urls)) }
  },
  meddle({ owner, label, how }) {
    frontOf(owner, label).how = how
    return {}
  },
  async relay(ports) {
    route.ports = ports
    doors ??= { tls: await relayTcp(route, opened()), dtls: await relayUdp(route, opened()) }
    return doors
  },
  flip({ on }) {
    route.flip = on
    return {}
  },
  async replay({ owner, label, other }) {
    const front = frontOf(owner, label)
    const last = releaseSeen(front)
    const foreign = releaseSeen(frontOf(owner, other))
    const answers = [
      named('the same evidence again', await front.send('/v1/evidence', last.evidence.sent)),
      named('old evidence, fresh challenge', await answered(front, last.request, last.evidence)),
      named(`${other}'s evidence`, await answered(front, last.request, foreign.evidence)),
    ]
    return { answers }
  },
  async knock({ port }) {
    return { code: await knock(port) }
  },
  seen: () => opened().bytes,
})

/** Asks for a challenge as the workload did, and answers it with what he has recorded. */
async function answered(front: Front, request: Exchange, evidence: Exchange): Promise<Exchange> {
  const { got } = await front.send('/v1/request', request.sent)
  return await front.send('/v1/evidence', { ...evidence.sent, request: request.sent, c: got['c'] })
}

/** The latest evidence that a share was released for, and the request before it. */
function releaseSeen({ seen }: Front): { readonly request: Exchange; readonly evidence: Exchange } {
  const evidence = seen.find(({ path, got }) => path === '/v1/evidence' && 'ciphertext' in got)
  const request = seen.find(
    ({ path, got }) => path === '/v1/request' && got['c'] === evidence?.sent['c'],
  )
  if (evidence === undefined || request === undefined) throw new Error('nothing recorded to replay')
  return { request, evidence }
}

function named(what: string, { status, got }: Exchange): ReplayAnswer {
  return { what, status, code: codeOf(got) }
}

function codeOf({ code, error, ciphertext }: Message): string {
  if (ciphertext !== undefined) return 'released'
  return String(code ?? error ?? 'none')
}

function opened(): FrankRecord {
  if (record === undefined) throw new Error('not open yet')
  return record
}

function frontOf(owner: string, label: string): Front {
  const front = fronts.get(`${owner} ${label}`)
  if (front === undefined) throw new Error(`carries nothing between ${owner} and ${label}`)
  return front
}
