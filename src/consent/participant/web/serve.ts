// The page on its own address. Anyone who can reach the participant's other address, the operator's proxies
// among them, does not reach the page by it.

import { Hono } from 'hono'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { portOption } from '../../../options.js'
import { type HttpListener, listenHttp } from '../http-listener.js'
import type { ParticipantWeb } from './web.js'

/** For {@link serveParticipantWeb}. */
export interface ServeParticipantWebOptions {
  /** @defaultValue '127.0.0.1' */
  readonly host?: string
  /** 0 takes a free one. @defaultValue 0 */
  readonly port?: number
  /** Told about errors of the server itself, e.g. too many open files; it goes on. */
  readonly onError?: (error: Error) => void
}

const OPTIONS = {
  host: undefined,
  port: undefined,
  onError: undefined,
} as const satisfies OptionTable<ServeParticipantWebOptions>

/** The one place where defaults are written. */
export const WEB_SERVER_DEFAULTS = { host: '127.0.0.1', port: 0 } as const

/** A person has a handful of them. More make room, the oldest idle one first. */
const CONNECTIONS = 128
const REQUEST_TIMEOUT = 10_000

/**
 * Serves a page. Closing the server leaves the page to the caller: `web.close()` signs everybody out.
 *
 * @throws the system's error when it cannot listen; `MCBN_OPTION_TYPE` or `MCBN_OPTION_RANGE` for a port.
 */
export async function serveParticipantWeb(
  web: ParticipantWeb,
  options: ServeParticipantWebOptions = {},
): Promise<HttpListener> {
  refuseUnknown('serveParticipantWeb', options, OPTIONS)
  const { host } = { ...WEB_SERVER_DEFAULTS, ...options }
  const port = portOption(options.port, WEB_SERVER_DEFAULTS.port)
  const app = new Hono()
  app.onError((_error, context) => context.json({ error: 'internal' }, 500))
  app.notFound((context) => context.json({ error: 'not-found' }, 404))
  app.route('/', web.routes)
  return await listenHttp(
    { fetch: app.fetch },
    {
      ...{ host, port, connections: CONNECTIONS, requestTimeout: REQUEST_TIMEOUT },
      onError: options.onError,
    },
  )
}
