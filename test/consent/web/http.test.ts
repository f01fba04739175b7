// The page without a browser: which requests get in, which are turned away, and the bounds.

import { request as httpRequest } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../../src/consent/base/clock.js'
import { MOST_STREAMS_OF_SESSION } from '../../../src/consent/participant/web/live.js'
import { Login, MOST_LINKS, MOST_WRONG } from '../../../src/consent/participant/web/login.js'
import { MOST_SESSIONS, Sessions } from '../../../src/consent/participant/web/sessions.js'
import { MOST_PENDING, pageState, seenOf } from '../../../src/consent/participant/web/state.js'
import { waitFor } from '../../support/wait.js'
import { MemoryParticipant, someFacts, someRequest } from './memory-participant.js'
import { type PageServer, servePageForTest } from './page-server.js'

const JSON_TYPE = 'application/json'

describe('web/login', () => {
  it('answers the right token with a cookie that scripts and other sites do not get', async () => {
    const page = await servePageForTest(new MemoryParticipant())
    const answer = await post(page, '/web/login', { secret: page.web.token })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('set-cookie')).toMatch(
      /^mcbn-[0-9a-f]{12}=[\w-]{43}; Max-Age=3600; Path=\/; HttpOnly; SameSite=Strict$/,
    )
  })

  it('refuses a wrong, an empty and a missing token alike', async () => {
    const page = await servePageForTest(new MemoryParticipant())
    for (const body of [{ secret: 'A'.repeat(43) }, { secret: '' }, {}, [], { secret: 7 }]) {
      const answer = await post(page, '/web/login', body)
      expect(answer.status).toBe(401)
      expect(answer.headers.get('set-cookie')).toBeNull()
    }
  })

  it('tells who guesses to wait, and lets the owner in all the same: nobody is locked out', async () => {
    const page = await servePageForTest(new MemoryParticipant())
    const link = new URL(page.web.link(page.base)).hash.replace('#login=', '')
    const answers = await Promise.all(
      Array.from({ length: 300 }, () => post(page, '/web/login', { secret: 'wrong' })),
    )
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(MOST_WRONG)
    const waiting = answers.filter(({ status }) => status === 429)
    expect(waiting).toHaveLength(300 - MOST_WRONG)
    expect(Number(waiting[0]?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await post(page, '/web/login', { secret: link })).status).toBe(200)
    expect((await post(page, '/web/login', { secret: link })).status).toBe(429)
    expect((await post(page, '/web/login', { secret: page.web.token })).status).toBe(200)
  })

  it('does not count right tokens', async () => {
    const page = await servePageForTest(new MemoryParticipant())
    for (let times = 0; times < 2 * MOST_WRONG; times += 1) {
      expect((await post(page, '/web/login', { secret: page.web.token })).status).toBe(200)
    }
  })

  it('takes a link once, and only the newest eight', async () => {
    const login = new Login(clockAt(() => 0))
    const [oldest = '', ...links] = Array.from({ length: MOST_LINKS + 1 }, () => login.link())
    expect(await login.check(oldest)).toMatchObject({ ok: false })
    for (const link of links) {
      expect(await login.check(link)).toEqual({ ok: true })
      expect(await login.check(link)).toMatchObject({ ok: false })
    }
  })

  it('takes no link after ten minutes', async () => {
    let now = 0
    const login = new Login(clockAt(() => now))
    const link = login.link()
    now = 600_000
    expect(await login.check(link)).toEqual({ ok: false })
  })

  it('puts the secret of a link where no server and no log gets it', async () => {
    const page = await servePageForTest(new MemoryParticipant())
    const link = new URL(page.web.link(page.base))
    expect(link.pathname + link.search).toBe('/')
    expect(link.hash).toMatch(/^#login=[\w-]{43}$/)
    expect(page.web.link('http://0.0.0.0:7001')).toMatch(/^http:\/\/127\.0\.0\.1:7001\/#login=/)
    expect(page.web.link('http://[::]:7001')).toMatch(/^http:\/\/\[::1\]:7001\/#login=/)
  })
})

describe('web/session', () => {
  it('needs the cookie and the key, both right', async () => {
    const page = await servePageForTest(new MemoryParticipant())
    const { cookie, key } = await signedIn(page)
    const get = (headers: Record<string, string>) => fetch(`${page.base}/web/state`, { headers })
    expect((await get({ cookie, 'x-mcbn-key': key })).status).toBe(200)
    expect((await get({ cookie })).status).toBe(401)
    expect((await get({ cookie, 'x-mcbn-key': altered(key) })).status).toBe(401)
    expect((await get({ 'x-mcbn-key': key })).status).toBe(401)
    expect((await get({ cookie: altered(cookie), 'x-mcbn-key': key })).status).toBe(401)
  })

  it('ends when signing out, and its stream with it', async () => {
    const participant = new MemoryParticipant()
    const page = await servePageForTest(participant)
    const headers = await signedInHeaders(page)
    const stream = await fetch(`${page.base}/web/events`, { headers })
    await waitFor('the stream to listen', () => participant.listeners === 1)
    expect((await post(page, '/web/logout', {}, headers)).status).toBe(200)
    expect(await stream.text()).toMatch(/event: ended\n/)
    expect(participant.listeners).toBe(0)
    expect((await fetch(`${page.base}/web/state`, { headers })).status).toBe(401)
  })

  it('ends after its time however often it is used', async () => {
    let now = 0
    const page = await servePageForTest(new MemoryParticipant(), {
      sessionMinutes: 2,
      clock: clockAt(() => now),
    })
    const headers = await signedInHeaders(page)
    const status = async () => (await fetch(`${page.base}/web/state`, { headers })).status
    now = 119_999
    expect(await status()).toBe(200)
    now = 120_000
    expect(await status()).toBe(401)
  })

  it('keeps at most sixteen; the oldest ends when there is one more', () => {
    const sessions = new Sessions(
      clockAt(() => 0),
      1_000,
    )
    const all = Array.from({ length: 10 * MOST_SESSIONS }, () => sessions.open())
    expect(sessions.size).toBe(MOST_SESSIONS)
    const alive = all.filter(({ cookie, key }) => sessions.find(cookie, key) !== undefined)
    expect(alive).toEqual(all.slice(-MOST_SESSIONS))
  })

  it('is named after the participant: cookies do not know ports', async () => {
    const bob = new MemoryParticipant()
    bob.changes = { label: 'bob' }
    const pages = [
      await servePageForTest(new MemoryParticipant()),
      await servePageForTest(bob),
    ] as const
    const [alice, other] = [await signedIn(pages[0]), await signedIn(pages[1])]
    expect(alice.cookie.split('=')[0]).not.toBe(other.cookie.split('=')[0])
  })

  it.each([0, 1.5, 1_441, Number.NaN])('refuses a length of %s minutes', async (minutes) => {
    await expect(
      servePageForTest(new MemoryParticipant(), { sessionMinutes: minutes }),
    ).rejects.toMatchObject({ code: 'MCBN_OPTION_RANGE' })
  })
})

describe('web/guard', () => {
  it.each(['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example:80', '10.0.0.1', ''])(
    'refuses Host %j (DNS rebinding)',
    async (host) => {
      const page = await servePageForTest(new MemoryParticipant())
      for (const path of ['/', '/web/main.js', '/web/state']) {
        // Without any, HTTP/1.1 itself is broken (RFC 9112 section 3.2).
        const wanted = host === '' ? [400, 403] : [403]
        expect(wanted).toContain(await rawStatus(page, { path, headers: { host } }))
      }
    },
  )

  it.each(['localhost', 'LOCALHOST:7001', '127.0.0.1:1', '[::1]:80'])(
    'takes Host %j',
    async (host) => {
      const page = await servePageForTest(new MemoryParticipant())
      expect(await rawStatus(page, { path: '/', headers: { host } })).toBe(200)
    },
  )

  it('takes a Host that the owner named', async () => {
    const page = await servePageForTest(new MemoryParticipant(), { hosts: ['Consent.Example'] })
    expect(await rawStatus(page, { path: '/', headers: { host: 'consent.example' } })).toBe(200)
    expect(await rawStatus(page, { path: '/', headers: { host: 'other.example' } })).toBe(403)
  })

  it.each([
    ['another origin', { origin: 'http://evil.example' }],
    ['another port', { origin: 'http://127.0.0.1:1' }],
    ['a sandboxed frame', { origin: 'null' }],
    ['a program that sends none', { origin: undefined }],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a simple request', { 'content-type': 'text/plain' }],
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['another port, as browsers say it', { 'sec-fetch-site': 'same-site' }],
  ])('refuses a decision from %s, even with cookie and key (CSRF)', async (_who, changes) => {
    const participant = new MemoryParticipant()
    const request = someRequest()
    participant.requests = [request]
    const page = await servePageForTest(participant)
    const headers = { ...(await signedInHeaders(page)), ...changes }
    const body = { id: request.id, seen: seenOf(request) }
    expect((await post(page, '/web/approve', body, headers)).status).toBe(403)
    expect(participant.asked).toEqual([])
  })

  it('sends strict headers with everything, refusals too', async () => {
    const page = await servePageForTest(new MemoryParticipant())
    for (const path of ['/', '/web/main.js', '/web/icon.svg', '/web/state']) {
      const { headers } = await fetch(`${page.base}${path}`)
      const policy = `${headers.get('content-security-policy')}`
      expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self'/)
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toMatch(/unsafe|https?:|data:|\*/)
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('x-frame-options')).toBe('DENY')
      expect(headers.get('access-control-allow-origin')).toBeNull()
    }
  })

  it('leaves other routes of the same server alone', async () => {
    const page = await servePageForTest(new MemoryParticipant())
    expect(await rawStatus(page, { path: '/v1/status', headers: { host: 'any' } })).toBe(200)
  })

  it('refuses bodies over 4 KiB', async () => {
    const page = await servePageForTest(new MemoryParticipant())
    expect((await post(page, '/web/login', { secret: 'A'.repeat(5_000) })).status).toBe(413)
  })

  it.each([
    '/web/../package.json',
    '/web/page/main.js',
    '/web/%2e%2e/web.ts',
    '/web/tsconfig.json',
  ])('has no file %s', async (path) => {
    const page = await servePageForTest(new MemoryParticipant())
    expect(await rawStatus(page, { path, headers: { host: 'localhost' } })).toBe(404)
  })
})

describe('web/decisions', () => {
  it('decides about what was seen, and says when it has changed or is gone', async () => {
    const participant = new MemoryParticipant()
    const request = someRequest()
    participant.requests = [{ ...request, facts: someFacts({ env: new Map([['DEBUG', '1']]) }) }]
    const page = await servePageForTest(participant)
    const headers = await signedInHeaders(page)
    const approve = () =>
      post(page, '/web/approve', { id: request.id, seen: seenOf(request) }, headers)
    expect((await approve()).status).toBe(409)
    expect(participant.asked).toEqual([])
    // The same again with fresh evidence is what was seen.
    participant.requests = [
      { ...request, times: 8, facts: { ...request.facts, attestedAt: 5, expiresAt: 6 } },
    ]
    expect((await approve()).status).toBe(200)
    expect(participant.asked).toEqual([`approved ${request.id}`])
    expect((await approve()).status).toBe(404)
  })

  it.each([undefined, '', 'withdraw', 'withdraw bob', 'Withdraw alice', ['withdraw alice']])(
    'does not withdraw on %j',
    async (confirm) => {
      const participant = new MemoryParticipant()
      const page = await servePageForTest(participant)
      const headers = await signedInHeaders(page)
      expect((await post(page, '/web/withdraw', { confirm }, headers)).status).toBe(400)
      expect(participant.asked).toEqual([])
    },
  )

  it('tells nothing of errors that are not its own', async () => {
    const participant = new MemoryParticipant()
    participant.withdraw = () => {
      throw new Error('secret path /home/alice/.mcbn')
    }
    const page = await servePageForTest(participant)
    const body = { confirm: 'withdraw alice' }
    const answer = await post(page, '/web/withdraw', body, await signedInHeaders(page))
    expect(answer.status).toBe(500)
    expect(await answer.text()).not.toContain('secret path')
  })

  it('shows at most twenty requests and counts the rest', () => {
    const participant = new MemoryParticipant()
    participant.requests = Array.from({ length: 500 }, (_, at) => someRequest({ id: `${at}` }))
    const state = pageState(participant, Date.now(), 0)
    expect(state.pending).toHaveLength(MOST_PENDING)
    expect(state.pendingTotal).toBe(500)
  })
})

describe('web/live', () => {
  it('sends a state at once and after a change, many changes as one', async () => {
    const participant = new MemoryParticipant()
    const page = await servePageForTest(participant)
    const headers = await signedInHeaders(page)
    const stream = await fetch(`${page.base}/web/events`, { headers })
    await waitFor('the stream to listen', () => participant.listeners === 1)
    await new Promise((resolve) => setTimeout(resolve, 400))
    for (let times = 0; times < 1_000; times += 1) participant.changed()
    await new Promise((resolve) => setTimeout(resolve, 700))
    page.web.close()
    const states = (await stream.text()).match(/event: state\n/g) ?? []
    expect(states.length).toBeGreaterThanOrEqual(2)
    expect(states.length).toBeLessThanOrEqual(4)
  })

  it('gives a session three streams; a fourth is told to poll until one has left', async () => {
    const participant = new MemoryParticipant()
    const page = await servePageForTest(participant)
    const headers = await signedInHeaders(page)
    const leave = new AbortController()
    const open = (signal?: AbortSignal) =>
      fetch(`${page.base}/web/events`, { headers, ...(signal && { signal }) })
    await open(leave.signal)
    for (let more = 1; more < MOST_STREAMS_OF_SESSION; more += 1) await open()
    expect((await open()).status).toBe(503)
    leave.abort()
    await waitFor(
      'the stream to be given up',
      () => participant.listeners === MOST_STREAMS_OF_SESSION - 1,
    )
    expect((await open()).status).toBe(200)
  })

  it('reads the audit once for many requests, and again for a later one', async () => {
    const participant = new MemoryParticipant()
    const readings: (() => void)[] = []
    participant.audit = async () => {
      const total = readings.length
      await new Promise<void>((resolve) => readings.push(resolve))
      return { kept: true, lines: [], total }
    }
    let now = 0
    const page = await servePageForTest(participant, { clock: clockAt(() => now) })
    const headers = await signedInHeaders(page)
    const ask = async () => {
      const answer = await fetch(`${page.base}/web/audit`, { headers })
      return ((await answer.json()) as { total: number }).total
    }
    const early = ask()
    await waitFor('the first reading', () => readings.length === 1)
    now = 1_000
    // It is still going on, but began too early for these.
    const late = Promise.all(Array.from({ length: 20 }, ask))
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(readings).toHaveLength(1)
    readings[0]?.()
    expect(await early).toBe(0)
    await waitFor('the second reading', () => readings.length === 2)
    readings[1]?.()
    expect(new Set(await late)).toEqual(new Set([1]))
    expect(readings).toHaveLength(2)
  })
})

/** Another last character, still base64url. */
function altered(text: string): string {
  return text.slice(0, -1) + (text.endsWith('A') ? 'B' : 'A')
}

function clockAt(monotonic: () => number): Clock {
  return { wall: () => Date.now(), monotonic, after: () => () => {} }
}

function post(
  page: PageServer,
  path: string,
  body: unknown,
  changes: Readonly<Record<string, string | undefined>> = {},
): Promise<Response> {
  const all = { origin: page.base, 'content-type': JSON_TYPE, ...changes }
  const headers = Object.entries(all).filter((header): header is [string, string] => !!header[1])
  return fetch(page.base + path, { method: 'POST', headers, body: JSON.stringify(body) })
}

async function signedIn(page: PageServer): Promise<{ cookie: string; key: string }> {
  const answer = await post(page, '/web/login', { secret: page.web.token })
  const { key } = (await answer.json()) as { key: string }
  return { cookie: answer.headers.get('set-cookie')?.split(';')[0] ?? '', key }
}

async function signedInHeaders(page: PageServer): Promise<Record<string, string>> {
  const { cookie, key } = await signedIn(page)
  return { cookie, 'x-mcbn-key': key }
}

/** fetch() sets Host itself and tidies paths. */
function rawStatus(
  page: PageServer,
  { path, headers }: { path: string; headers: Record<string, string> },
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: page.port, path, headers, setHost: false }
    httpRequest(options, (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
      .on('error', reject)
      .end()
  })
}
