// What a participant answers to an HTTP message, whatever server has received it:
//
//   POST /v1/request     ReleaseRequest  -> 200 ReleaseChallenge | 403, 503 Refused
//   POST /v1/evidence    ReleaseEvidence -> 200 Release | 403, 503 Refused
//   POST /v1/return      LeaseReturn -> 200 {returned}
//   GET  /v1/status      -> 200 who this is, and for which descriptor
//   GET  /v1/withdrawal  -> 200 Withdrawal | 404
//
// Everything else, and whatever cannot be read, is answered {"error", "message"} with HTTP's own status. A
// refusal is the same JSON whatever its status; the status is for people with curl.

import { McbnError } from '../../errors.js'
import type { Source } from '../../source.js'
import type { Refused } from '../release/messages.js'
import { MESSAGE_MAX_BYTES, readMessage } from '../release/parse.js'
import type { BudgetName, Budgets } from './budgets.js'
import type { Participant } from './participant.js'

/** A message, and where it comes from. */
export interface Incoming {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly contentType: string | undefined
  readonly contentLength: string | undefined
  source(): Source
  /** @returns `undefined` for more than so many bytes. */
  body(mostBytes: number): Promise<Uint8Array | undefined>
}

export interface Outgoing {
  readonly status: number
  /** Besides those that every answer has. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body: object
}

/** Every answer's. */
export const ANSWER_HEADERS = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
} as const

const PATHS = {
  '/v1/request': { budget: 'request', methods: ['POST'] },
  '/v1/evidence': { budget: 'evidence', methods: ['POST'] },
  '/v1/return': { budget: 'return', methods: ['POST'] },
  '/v1/status': { budget: 'status', methods: ['GET', 'HEAD'] },
  '/v1/withdrawal': { budget: 'withdrawal', methods: ['GET', 'HEAD'] },
} as const satisfies Record<string, { budget: BudgetName; methods: readonly string[] }>

/** Answers for one participant. Never throws. */
export function protocol(
  participant: Participant,
  budgets: Budgets,
): (incoming: Incoming) => Promise<Outgoing> {
  const handle = {
    request: (message: unknown) => participant.request(message),
    evidence: (message: unknown) => participant.evidence(message),
    return: (message: unknown) => participant.giveBack(message),
  }
  const over = async (name: BudgetName, incoming: Incoming): Promise<Outgoing | undefined> => {
    const retryAfter = await budgets.spend(name, incoming.source())
    if (retryAfter === undefined) return undefined
    const body = { label: participant.label, code: 'busy', retryAfter }
    return { status: 429, headers: { 'retry-after': String(retryAfter) }, body }
  }
  const message = async (name: keyof typeof handle, incoming: Incoming): Promise<Outgoing> => {
    const unfit = unfitMessage(incoming)
    if (unfit !== undefined) return unfit
    const bytes = await incoming.body(MESSAGE_MAX_BYTES)
    if (bytes === undefined) return tooLarge()
    const read = readMessage(bytes)
    // An instance that proves its lease is held to no budget.
    const busy = participant.isOfHolder(read) ? undefined : await over(name, incoming)
    if (busy !== undefined) return busy
    const reply = await handle[name](read)
    return 'code' in reply ? refusal(reply) : { status: 200, body: reply }
  }
  const look = async (path: '/v1/status' | '/v1/withdrawal'): Promise<Outgoing> => {
    if (path === '/v1/status') {
      // Counters are for the participant's own people.
      const { counters: _, ...known } = participant.status()
      return { status: 200, body: known }
    }
    const { withdrawal } = participant
    if (withdrawal !== undefined) return { status: 200, body: withdrawal }
    return failure(404, 'not-withdrawn', 'this participant takes part')
  }
  return async (incoming) => {
    const { method, path } = incoming
    try {
      // What is not a path of the protocol, too: nothing is free of a count.
      if (!isPath(path)) {
        const busy = await over('other', incoming)
        return busy ?? failure(404, 'not-found', 'expected a path of the protocol')
      }
      const { budget, methods } = PATHS[path]
      if (!(methods as readonly string[]).includes(method)) {
        const allow = methods.join(', ')
        const busy = await over('other', incoming)
        return busy ?? { ...failure(405, 'method', `expected ${allow}`), headers: { allow } }
      }
      if (budget === 'status' || budget === 'withdrawal') {
        return (await over(budget, incoming)) ?? (await look(path as '/v1/status'))
      }
      return await message(budget, incoming)
    } catch (error) {
      if (error instanceof McbnError && error.code === 'MCBN_RELEASE_INVALID') {
        return failure(400, 'invalid', error.message)
      }
      return failure(500, 'internal', 'see the log of the participant')
    }
  }
}

function isPath(path: string): path is keyof typeof PATHS {
  return Object.hasOwn(PATHS, path)
}

/** A form of some web page cannot send this type without asking first, and nobody here says yes. */
const JSON_TYPE = /^application\/json\s*(;\s*charset=utf-8\s*)?$/i

function unfitMessage({ contentType = '', contentLength = '0' }: Incoming): Outgoing | undefined {
  if (contentType.length > 256 || !JSON_TYPE.test(contentType)) {
    return failure(415, 'media-type', 'expected Content-Type: application/json')
  }
  // Node's parser holds a sender to the length that it has told; a body without one is counted as it comes.
  return Number(contentLength) > MESSAGE_MAX_BYTES ? tooLarge() : undefined
}

function tooLarge(): Outgoing {
  return failure(413, 'too-large', `expected at most ${MESSAGE_MAX_BYTES} bytes`)
}

function failure(status: number, error: string, message: string): Outgoing {
  return { status, body: { error, message } }
}

function refusal(refused: Refused): Outgoing {
  const { code, retryAfter } = refused
  const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }
  return { status: code === 'busy' ? 503 : 403, headers, body: refused }
}
