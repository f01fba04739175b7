// The page of one participant: its routes. serve.ts gives it its own address.

import { createHash } from 'node:crypto'
import type { Context, Handler, MiddlewareHandler } from 'hono'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { McbnError } from '../../../errors.js'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { integerOption } from '../../../options.js'
import { type Clock, systemClock } from '../../base/clock.js'
import type { Decision } from '../../store/state.js'
import { loadAssets } from './assets.js'
import { guard } from './guard.js'
import { LiveUpdates } from './live.js'
import { Login } from './login.js'
import { type Session, Sessions } from './sessions.js'
import { type PageState, pageState, seenOf } from './state.js'
import type { AuditReport, ParticipantView } from './view.js'

export interface ParticipantWebOptions {
  /** Minutes until a person has to sign in again, 1 to 1,440. @defaultValue 60 */
  readonly sessionMinutes?: number
  /**
   * Names besides localhost and loopback addresses that the page answers to, without port. For your
   * own proxy that adds TLS and decides who gets through: without one, everything travels
   * unencrypted. Only requests under these names may be forwarded (`Forwarded`, `X-Forwarded-*`, `Via`) or
   * come from another machine. @defaultValue none
   */
  readonly hosts?: readonly string[]
  /** @defaultValue the machine's */
  readonly clock?: Clock
}

const OPTIONS = {
  sessionMinutes: undefined,
  hosts: undefined,
  clock: undefined,
} as const satisfies OptionTable<ParticipantWebOptions>

export const WEB_DEFAULTS = { sessionMinutes: 60 } as const

export interface ParticipantWeb {
  /** Opens the page for anyone who has this address, as long as this process runs. Print it, never log it. */
  readonly token: string
  /** The page's routes, for `app.route('/', web.routes)`; all are `/` or under `/web/`. */
  readonly routes: Hono
  /**
   * A link that signs in once, within ten minutes.
   * @param base - where the page is served, e.g. `http://127.0.0.1:7001`; `0.0.0.0` and `::` become loopback.
   */
  link(base: string): string
  /** Signs everybody out and ends all streams. */
  close(): void
}

/** Lines of the audit that the page shows. */
const MOST_LINES = 200
/** The audit is read and verified at most this often, however many ask; milliseconds. */
const AUDIT_PAUSE = 1_000
const MOST_BODY_BYTES = 4_096
const KEY_HEADER = 'x-mcbn-key'

type Body = Readonly<Record<string, unknown>>

/**
 * Makes the page of a participant.
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` for a session length out of range.
 */
export function createParticipantWeb(
  view: ParticipantView,
  options: ParticipantWebOptions = {},
): ParticipantWeb {
  refuseUnknown('createParticipantWeb', options, OPTIONS)
  const clock = options.clock ?? systemClock
  const minutes = integerOption(
    'sessionMinutes',
    options.sessionMinutes,
    { min: 1, max: 1_440 },
    WEB_DEFAULTS.sessionMinutes,
  )
  const lifetime = minutes * 60_000
  const sessions = new Sessions(clock, lifetime)
  const login = new Login(clock)
  const live = new LiveUpdates(view, clock)
  const audit = auditReader(view, clock)
  const cookie = cookieName(view)
  const state = (session: Session): PageState =>
    pageState(view, clock.wall(), session.ends - clock.monotonic())

  const routes = new Hono()
  // Given to each route, not to `*`: that would also catch the participant's own routes.
  const guarded = guard(options.hosts ?? [])
  const limited = bodyLimit({
    maxSize: MOST_BODY_BYTES,
    onError: (context) => context.json({ error: 'too-large' }, 413),
  })
  const signedIn =
    (handle: (context: Context, session: Session) => Response | Promise<Response>): Handler =>
    (context) => {
      const session = sessions.find(getCookie(context, cookie), context.req.header(KEY_HEADER))
      return session ? handle(context, session) : context.json({ error: 'signed-out' }, 401)
    }
  /** Something that changes something: reads the body, does it, answers with the new state. */
  const action = (
    act: (body: Body) => unknown,
  ): [MiddlewareHandler, MiddlewareHandler, Handler] => [
    guarded,
    limited,
    signedIn(async (context, session) => {
      try {
        await act(await bodyOf(context))
        return context.json(state(session))
      } catch (error) {
        return failed(context, error)
      }
    }),
  ]

  const assets = loadAssets()
  for (const [name, { type, body }] of assets) {
    const path = name === 'index.html' ? '/' : `/web/${name}`
    routes.get(path, guarded, (context) => context.body(body, 200, { 'Content-Type': type }))
  }

  routes.post('/web/login', guarded, limited, async (context) => {
    const { secret } = await bodyOf(context).catch((): Body => ({}))
    const result = await login.check(typeof secret === 'string' ? secret : '')
    if (!result.ok) {
      if (result.retryAfter === undefined) return context.json({ error: 'wrong-token' }, 401)
      context.header('Retry-After', String(result.retryAfter))
      return context.json({ error: 'wait', seconds: result.retryAfter }, 429)
    }
    sessions.close(getCookie(context, cookie))
    const secrets = sessions.open()
    setCookie(context, cookie, secrets.cookie, {
      httpOnly: true,
      sameSite: 'Strict',
      path: '/',
      maxAge: lifetime / 1000,
    })
    return context.json({ key: secrets.key })
  })
  routes.post(
    '/web/logout',
    guarded,
    limited,
    signedIn((context) => {
      sessions.close(getCookie(context, cookie))
      deleteCookie(context, cookie, { path: '/' })
      return context.json({})
    }),
  )
  routes.get(
    '/web/state',
    guarded,
    signedIn((context, session) => context.json(state(session))),
  )
  routes.get(
    '/web/events',
    guarded,
    signedIn((context, session) =>
      live.answer(context, session, () => JSON.stringify(state(session))),
    ),
  )
  routes.get(
    '/web/audit',
    guarded,
    signedIn(async (context) => context.json(await audit())),
  )
  routes.post('/web/approve', ...action((body) => view.approve(decided(view, body))))
  routes.post('/web/refuse', ...action((body) => view.refuse(decided(view, body))))
  routes.post(
    '/web/reverse',
    ...action((body) => {
      const { id, decision } = reversed(view, body)
      return decision === 'approved' ? view.refuse(id) : view.approve(id)
    }),
  )
  routes.post(
    '/web/withdraw',
    ...action((body) => {
      const expected = withdrawalWords(view)
      if (body['confirm'] !== expected) throw new Declined('unconfirmed', 400)
      return view.withdraw()
    }),
  )

  return {
    token: login.token,
    routes,
    // A fragment never leaves the browser: it is in no log, and a preview of the link spends nothing.
    link: (base) => `${loopbackUrl(base)}#login=${login.link()}`,
    close: () => sessions.closeAll(),
  }
}

/** What a person types to withdraw; in letters that every keyboard has. */
export function withdrawalWords(view: ParticipantView): string {
  return `withdraw ${view.status().label}`
}

/** A server on all addresses is reached by the loopback address; the page answers to no other. */
function loopbackUrl(base: string): string {
  const url = new URL('/', base)
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1'
  if (url.hostname === '[::]') url.hostname = '[::1]'
  return url.href
}

/** A reason the page knows how to explain. */
class Declined extends Error {
  readonly code: string
  readonly status: 400 | 404 | 409
  constructor(code: string, status: 400 | 404 | 409) {
    super(code)
    this.code = code
    this.status = status
  }
}

/** The id of the request that was decided about, if it still is what the person has seen. */
function decided(view: ParticipantView, body: Body): string {
  const request = view.pending().find(({ id }) => id === body['id'])
  if (!request) throw new Declined('gone', 404)
  if (seenOf(request) !== body['seen']) throw new Declined('changed', 409)
  return request.id
}

/** The decision that is to be turned round, if it still is what the person has seen. */
function reversed(view: ParticipantView, body: Body): Decision {
  const decision = view.decisions().find(({ id }) => id === body['id'])
  if (!decision) throw new Declined('gone', 404)
  if (decision.decision !== body['seen']) throw new Declined('changed', 409)
  return decision
}

async function bodyOf(context: Context): Promise<Body> {
  const body: unknown = await context.req.json().catch(() => undefined)
  if (typeof body !== 'object' || body === null) throw new Declined('unreadable', 400)
  return body as Body
}

function failed(context: Context, error: unknown): Response {
  if (error instanceof Declined) return context.json({ error: error.code }, error.status)
  // Our own messages never carry secrets; of others' errors the page learns nothing.
  const message = error instanceof McbnError ? error.message : 'see the output of the participant'
  return context.json({ error: 'failed', message }, 500)
}

/** Cookies do not know ports: the name keeps several participants on one machine apart. */
function cookieName(view: ParticipantView): string {
  const { descriptorHash, label } = view.status()
  const digest = createHash('sha256').update(`${descriptorHash} ${label}`).digest('hex')
  return `mcbn-${digest.slice(0, 12)}`
}

/**
 * One reading at a time, shared by all who ask. Nobody gets one that was begun more than a second before
 * they asked: the page asks a little later than that after a change.
 */
function auditReader(view: ParticipantView, clock: Clock): () => Promise<AuditReport> {
  let last: Promise<AuditReport> | undefined
  let running = false
  let begun = Number.NEGATIVE_INFINITY
  let next: Promise<AuditReport> | undefined
  const read = async (): Promise<AuditReport> => {
    running = true
    begun = clock.monotonic()
    try {
      return await view.audit(MOST_LINES)
    } catch (error) {
      const reason = error instanceof McbnError ? error.message : 'the file cannot be read'
      return { kept: true, lines: [], total: 0, broken: { line: 0, reason } }
    } finally {
      running = false
    }
  }
  const readAgain = () => {
    next = undefined
    last = read()
    return last
  }
  return () => {
    if (last && clock.monotonic() - begun < AUDIT_PAUSE) return last
    if (!last || !running) return readAgain()
    next ??= last.then(readAgain)
    return next
  }
}
