// A board for messages over HTTP, for participants who share no folder. It keeps what it is given, and is
// trusted with nothing else: it could lose or withhold messages, never read a secret or forge one.
//
//   GET /v1/<name>   200 with the message, 404 while there is none
//   PUT /v1/<name>   201; 200 when the same is there already; 409 when another one is; 422 when it is no
//                    message of this ceremony, signed by whom it names; 413 when it is too long
//
// Only the participants can sign messages, so nobody else can fill the board, or take a name before its
// owner does. How many messages there can be follows from the plan: one a name, n (n + 4) in all.

import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { McbnError } from '../../errors.js'
import { httpAddress } from '../../listen-http.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { MESSAGE_MAX_BYTES, messageName, parseMessage } from './messages.js'
import { type CheckedPlan, planBytes } from './plan.js'
import { invalid } from './refusals.js'
import { type CeremonyTransport, checkName, MemoryTransport, PLAN_NAME } from './transport.js'

export interface BoardOptions {
  /** Whose ceremony this is; the board shows it under the name `plan`. */
  readonly plan: CheckedPlan
  /** @defaultValue '127.0.0.1' */
  readonly host?: string
  /** 0 takes a free one. @defaultValue 0 */
  readonly port?: number
  /** Where messages are kept. @defaultValue memory: they are gone with the process, and sent again */
  readonly storage?: CeremonyTransport
  /** Each time a message has come. */
  readonly onMessage?: (name: string) => void
}

const OPTIONS = {
  plan: undefined,
  host: undefined,
  port: undefined,
  storage: undefined,
  onMessage: undefined,
} as const satisfies OptionTable<BoardOptions>

export interface Board {
  /** For participants: `http://host:port`. */
  readonly url: string
  /** Stops listening; open connections are cut. */
  close(): Promise<void>
}

/** Slow and idle clients, in milliseconds; and how many at once. */
const LIMITS = { headers: 5_000, request: 10_000, connections: 256 } as const

/**
 * Serves a board.
 *
 * @throws {McbnError} `MCBN_CONNECTION_FAILED` when it cannot listen there.
 */
export async function serveBoard(options: BoardOptions): Promise<Board> {
  refuseUnknown('serveBoard', options, OPTIONS)
  const { plan, host = '127.0.0.1', port = 0, storage = new MemoryTransport() } = options
  await storage.put(PLAN_NAME, planBytes(plan))
  const app = boardApp(plan, storage, options.onMessage ?? (() => undefined))
  const server = serve({ fetch: app.fetch, hostname: host, port }) as Server
  Object.assign(server, { headersTimeout: LIMITS.headers, requestTimeout: LIMITS.request })
  server.maxConnections = LIMITS.connections
  try {
    if (!server.listening) await once(server, 'listening')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new McbnError('MCBN_CONNECTION_FAILED', `board: cannot listen: ${why}`, { cause: error })
  }
  return {
    url: httpAddress(server.address() as AddressInfo).url,
    async close() {
      const closed = once(server, 'close')
      server.close()
      if ('closeAllConnections' in server) (server.closeAllConnections as () => void)()
      await closed
    },
  }
}

function boardApp(
  plan: CheckedPlan,
  storage: CeremonyTransport,
  onMessage: (name: string) => void,
) {
  const app = new Hono()
  app.get('/v1/:name', async (context) => {
    const bytes = await storage.get(checkName(context.req.param('name')))
    if (bytes === undefined) return context.text('nothing there yet\n', 404)
    return context.body(Uint8Array.from(bytes), 200, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
    })
  })
  const limit = bodyLimit({
    maxSize: MESSAGE_MAX_BYTES,
    onError: (context) => context.text(`at most ${MESSAGE_MAX_BYTES} bytes\n`, 413),
  })
  app.put('/v1/:name', limit, async (context) => {
    const name = checkName(context.req.param('name'))
    const bytes = new Uint8Array(await context.req.arrayBuffer())
    const { round, from, to } = parseMessage(bytes, plan)
    if (messageName(round, from, to) !== name) throw invalid(`expected ${name}`)
    const known = (await storage.get(name)) !== undefined
    try {
      await storage.put(name, bytes)
    } catch (error) {
      if (!known) throw error
      return context.text('another message is there\n', 409)
    }
    if (!known) onMessage(name)
    return context.text('kept\n', known ? 200 : 201)
  })
  app.onError((error, context) => {
    const refused = error instanceof McbnError && error.code.startsWith('MCBN_CEREMONY_')
    // What is wrong with the message is the sender's to know; it has no secret in it.
    return refused ? context.text(`${error.message}\n`, 422) : context.text('failed\n', 500)
  })
  return app
}
