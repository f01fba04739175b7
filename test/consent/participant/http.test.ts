import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../../src/consent/base/clock.js'
import {
  type ServeParticipantOptions,
  serveParticipant,
} from '../../../src/consent/participant/http.js'
import { parseRelease, parseWithdrawal } from '../../../src/consent/release/parse.js'
import { verifyRelease, verifyWithdrawal } from '../../../src/consent/release/sign.js'
import { sourceOf } from '../../../src/source.js'
import { ask, network, setup, tokenFor, workloadOf } from './fixture.js'

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Record<string, unknown>
  readonly text: string
}

async function serve(options: ServeParticipantOptions = {}) {
  const { participant, audit } = setup({ clock: systemClock })
  const server = await serveParticipant(participant, options)
  onTestFinished(async () => {
    await server.close()
    await participant.close()
  })
  return { participant, audit, server }
}

async function send(
  url: string,
  method: string,
  body?: string | Uint8Array,
  headers: Record<string, string> = { 'content-type': 'application/json' },
  agent?: Agent,
): Promise<Answer> {
  const request = httpRequest(url, { method, headers, ...(agent && { agent }) })
  request.end(body)
  const [response] = await once(request, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  const parsed: unknown = text === '' ? {} : JSON.parse(text)
  return {
    status: response.statusCode,
    headers: response.headers,
    body: parsed as Answer['body'],
    text,
  }
}

const post = (url: string, message: unknown) => send(url, 'POST', JSON.stringify(message))

/** A connection by hand. */
async function dial(
  port: number,
): Promise<{ readonly socket: Socket; readonly all: Promise<string> }> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  let text = ''
  const all = new Promise<string>((resolve) => {
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(text))
  })
  await once(socket, 'connect')
  return { socket, all }
}

describe('participant/http', () => {
  it('releases over HTTP', async () => {
    const { participant, server } = await serve()
    const { request } = await ask('client')
    const challenge = await post(`${server.url}/v1/request`, request)
    expect(challenge).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } })
    const c = String(challenge.body['c'])
    const token = await tokenFor(participant, request, c, Date.now(), workloadOf('client'))
    const answer = await post(`${server.url}/v1/evidence`, {
      c,
      request,
      evidence: { kind: 'local', token },
    })
    expect(answer.status).toBe(200)
    const expected = {
      label: 'alice',
      role: 'client',
      c: Buffer.from(c, 'base64url'),
      token,
    } as const
    verifyRelease(parseRelease(answer.body), network.verified, expected)
  })

  it('tells who it is, without its counters, and whether it has withdrawn', async () => {
    const { participant, server } = await serve()
    const status = await send(`${server.url}/v1/status`, 'GET')
    expect(status.body).toEqual({
      label: 'alice',
      network: 'test network',
      epoch: 1,
      descriptorHash: network.verified.hashHex,
      mode: 'n-of-n',
      t: 3,
      n: 3,
    })
    expect(await send(`${server.url}/v1/withdrawal`, 'GET')).toMatchObject({
      status: 404,
      body: { error: 'not-withdrawn' },
    })
    await participant.withdraw()
    const { status: code, body } = await send(`${server.url}/v1/withdrawal`, 'GET')
    expect(code).toBe(200)
    expect(verifyWithdrawal(parseWithdrawal(body), network.verified)).toBe(true)
    const { request } = await ask('client')
    expect(await post(`${server.url}/v1/request`, request)).toMatchObject({
      status: 403,
      body: { label: 'alice', code: 'withdrawn' },
    })
  })

  it.each<readonly [string, string, string, string, Record<string, string>, number, string]>([
    ['another path', 'GET', '/v2/request', '', {}, 404, 'not-found'],
    ['another method', 'DELETE', '/v1/request', '', {}, 405, 'method'],
    ['a read of a request', 'GET', '/v1/evidence', '', {}, 405, 'method'],
    ['a form', 'POST', '/v1/request', '{}', { 'content-type': 'text/plain' }, 415, 'media-type'],
    ['no type at all', 'POST', '/v1/request', '{}', {}, 415, 'media-type'],
    ['no JSON', 'POST', '/v1/request', '{', { 'content-type': 'application/json' }, 400, 'invalid'],
    [
      'no object',
      'POST',
      '/v1/request',
      '[]',
      { 'content-type': 'application/json' },
      400,
      'invalid',
    ],
    [
      'a field too many',
      'POST',
      '/v1/evidence',
      '{"c":"x","evidence":{},"__proto__":{"c":"y"}}',
      { 'content-type': 'application/json; charset=UTF-8' },
      400,
      'invalid',
    ],
    [
      'JSON 90,000 levels deep',
      'POST',
      '/v1/request',
      '['.repeat(90_000),
      { 'content-type': 'application/json' },
      400,
      'invalid',
    ],
  ])(
    'answers %s in JSON, without a stack',
    async (_, method, path, body, headers, status, error) => {
      const { server } = await serve()
      const answer = await send(`${server.url}${path}`, method, body, headers)
      expect(answer).toMatchObject({ status, body: { error } })
      expect(answer.headers['content-type']).toMatch(/^application\/json/)
      expect(answer.text).not.toMatch(/node_modules|\.ts:|at /)
      if (status === 405) expect(answer.headers.allow).toBe('POST')
    },
  )

  it.each(['content-length', 'transfer-encoding'])(
    'takes no more than 96 KiB (%s)',
    async (how) => {
      const { server, participant } = await serve()
      const body = Buffer.alloc(96 * 1024 + 1, ' ')
      const headers = {
        'content-type': 'application/json',
        ...(how === 'content-length' ? { [how]: String(body.length) } : { [how]: 'chunked' }),
      }
      const answer = await send(`${server.url}/v1/evidence`, 'POST', body, headers)
      expect(answer).toMatchObject({ status: 413, body: { error: 'too-large' } })
      expect(participant.status().counters.malformed).toBe(0)
    },
  )

  it('tells a client that asks too often to wait, as a participant that is busy', async () => {
    const { server } = await serve({ requestsPerSecond: 5 })
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => send(`${server.url}/v1/status`, 'GET')),
    )
    const limited = answers.filter(({ status }) => status === 429)
    expect(limited).toHaveLength(2)
    for (const { body, headers } of limited) {
      expect(body).toMatchObject({ label: 'alice', code: 'busy' })
      expect(Number(headers['retry-after'])).toBe(body['retryAfter'])
    }
  })

  it('counts what is not a path of the protocol apart: its flood keeps nobody from the protocol', async () => {
    const { server } = await serve({ requestsPerSecond: 1 })
    for (let at = 0; at < 3; at += 1) await send(`${server.url}/${at}`, 'GET')
    expect((await send(`${server.url}/`, 'GET')).status).toBe(429)
    expect((await send(`${server.url}/v1/status`, 'GET')).status).toBe(200)
  })

  it('tells nobody about its own errors, and goes on', async () => {
    const { server, participant } = await serve()
    participant.request = () => {
      throw new Error('secret detail')
    }
    const answer = await post(`${server.url}/v1/request`, (await ask('client')).request)
    expect(answer).toMatchObject({ status: 500, body: { error: 'internal' } })
    expect(answer.text).not.toContain('secret')
    expect((await send(`${server.url}/v1/status`, 'GET')).status).toBe(200)
  })

  it('answers in JSON what is no HTTP or has too long a head', async () => {
    const { server } = await serve()
    const noise = await dial(server.port)
    noise.socket.write('\x16\x03\x01\x02\x00 no HTTP\r\n\r\n')
    expect(await noise.all).toMatch(/^HTTP\/1.1 400 .*\{"error":"invalid"/s)
    const long = await dial(server.port)
    long.socket.write(`GET /v1/status HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(9_000)}\r\n\r\n`)
    expect(await long.all).toMatch(/^HTTP\/1.1 431 .*\{"error":"too-large"/s)
  })

  it.each<readonly [string, string, RegExp]>([
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', /^$/],
    [
      'an upgrade',
      'GET /v1/status HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n',
      /^HTTP\/1.1 200/,
    ],
    [
      'two lengths',
      'POST /v1/request HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      /^HTTP\/1.1 400/,
    ],
    [
      'an expectation',
      'POST /v1/request HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\nConnection: close\r\n\r\n',
      /^HTTP\/1.1 417/,
    ],
    [
      'an unknown path',
      'GET //[::/%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      /^HTTP\/1.1 (400|404)/,
    ],
    [
      'an invalid host',
      'GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n',
      /^HTTP\/1.1 400/,
    ],
  ])('survives %s', async (_, bytes, expected) => {
    const { server } = await serve()
    const { socket, all } = await dial(server.port)
    socket.write(bytes)
    expect(await all).toMatch(expected)
    expect((await send(`${server.url}/v1/status`, 'GET')).status).toBe(200)
  })

  it('closes while connections are kept open, and twice', async () => {
    const { server } = await serve()
    const agent = new Agent({ keepAlive: true })
    onTestFinished(() => agent.destroy())
    await send(`${server.url}/v1/status`, 'GET', undefined, {}, agent)
    const half = await dial(server.port)
    half.socket.write('POST /v1/request HTTP/1.1\r\n')
    await server.close()
    await server.close()
    await expect(send(`${server.url}/v1/status`, 'GET')).rejects.toThrow(/ECONNREFUSED/)
  })

  it.each<readonly [string, ServeParticipantOptions]>([
    ['port', { port: 65_536 }],
    ['connections', { connections: 0 }],
    ['requestTimeout', { requestTimeout: 10 }],
  ])('refuses a %s out of range', async (name, options) => {
    const { participant } = setup()
    await expect(serveParticipant(participant, options)).rejects.toThrow(
      expect.objectContaining({
        code: 'MCBN_OPTION_RANGE',
        message: expect.stringContaining(name),
      }),
    )
  })

  it('says when the port is taken', async () => {
    const { server, participant } = await serve()
    await expect(serveParticipant(participant, { port: server.port })).rejects.toThrow(/EADDRINUSE/)
  })

  it('lets go of silent clients', async () => {
    const { server } = await serve({ requestTimeout: 200 })
    const { socket, all } = await dial(server.port)
    socket.write('POST /v1/request HTTP/1.1\r\nHost: a\r\n')
    expect(await all).toMatch(/^HTTP\/1.1 408 .*\{"error":"timeout"/s)
  })
})

describe('participant/connections', () => {
  it('lets one more of a source in, in the place of the one that has done nothing for longest', async () => {
    const { server } = await serve({ connections: 8 })
    const open = async () => {
      const socket = connect(server.port, '127.0.0.1')
      socket.on('error', () => undefined)
      await once(socket, 'connect')
      onTestFinished(() => void socket.destroy())
      return socket
    }
    const [first, second] = [await open(), await open()]
    // Known to the server before the third comes.
    second.write('GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(second, 'data')
    const gone = once(first, 'close')
    const third = await open()
    await gone
    third.write('GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(`${await once(third, 'data')}`).toMatch(/^HTTP\/1\.1 200 /)
    expect(second.destroyed).toBe(false)
  })

  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:0db8:0000:0002::9', '2001:db8:0:2::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    [undefined, 'unknown'],
  ])('counts %s as %s', (address, source) => {
    expect(sourceOf(address).own).toBe(source)
  })
})
