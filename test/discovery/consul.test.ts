import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { type ConsulOptions, consulResolver } from '../../src/discovery/index.js'
import { freeTcpPort } from '../support/ports.js'
import { consulServer } from './consul-server.js'
import { failure, over } from './support.js'

const TOKEN = 'f0e1d2c3-0000-4000-8000-tokenoftest1'
const BEARER = 'eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJjb25zdWwifQ.c2lnbmF0dXJl'

/** Everything that anybody could see of a value. */
function seen(value: unknown): string {
  const own = value instanceof Error ? `${value.stack} ${value.message}` : ''
  return `${inspect(value, { depth: 20, showHidden: true })} ${JSON.stringify(value)} ${own}`
}

describe('discovery/consul: registered instances', () => {
  it("gives the service's own address, else its node's; port and weight", async () => {
    const consul = await consulServer()
    consul.set('ledger', [
      { port: 1, address: 'a.example', weights: { Passing: 10, Warning: 1 } },
      { port: 2, node: '10.0.0.7' },
    ])
    expect(await over(consul).resolve('ledger')).toEqual([
      { host: 'a.example', port: 1, priority: 0, weight: 10 },
      { host: '10.0.0.7', port: 2, priority: 0, weight: 1 },
    ])
    const [question] = consul.health
    expect(`${question?.path}?${question?.query}`).toBe('/v1/health/service/ledger?passing=true')
    expect(question?.token).toBeUndefined()
  })

  it('tells of instances that cannot be used, and why', async () => {
    const consul = await consulServer()
    const told: string[] = []
    const bad = [
      { port: 0, address: 'a.example' },
      { port: 3, address: 'not a host' },
    ]
    consul.set('ledger', [...bad, { port: 1, address: 'a.example' }])
    const resolver = over(consul, { onUnusable: (reason) => told.push(reason) })
    expect(await resolver.resolve('ledger')).toHaveLength(1)
    expect(told).toHaveLength(2)
    expect(told[0]).toMatch(/^instance .* on node .*: its port is not an integer from 1 to 65535$/)
    expect(told[1]).toMatch(/its host is neither an address nor a name$/)
    consul.set('ledger', bad)
    expect((await failure(over(consul).resolve('ledger'))).message).toMatch(
      /none of 2 registered instances can be used; instance .*: its port is not an integer/,
    )
  })

  it('asks for a datacenter and tags, by the filter that Consul still documents', async () => {
    const consul = await consulServer()
    consul.set('ledger', [
      { port: 1, tags: ['blue'] },
      { port: 2, tags: ['blue', 'eu'] },
    ])
    const resolver = over(consul, { datacenter: 'dc2', tags: ['blue', 'eu'] })
    expect((await resolver.resolve('ledger')).map(({ port }) => port)).toEqual([2])
    expect(consul.health[0]?.query.get('dc')).toBe('dc2')
    expect(consul.health[0]?.query.get('filter')).toBe(
      '"blue" in Service.Tags and "eu" in Service.Tags',
    )
  })

  it('with passing: false takes failing instances too, after all others', async () => {
    const consul = await consulServer()
    const weights = { Passing: 7, Warning: 3 }
    consul.set('ledger', [
      { port: 1, status: 'critical', weights },
      { port: 2, status: 'warning', weights },
      { port: 3, weights },
    ])
    expect((await over(consul).resolve('ledger')).map(({ port }) => port)).toEqual([3])
    const all = await over(consul, { passing: false }).resolve('ledger')
    expect(all.map(({ port, priority, weight }) => [port, priority, weight])).toEqual([
      [1, 1, 3],
      [2, 0, 3],
      [3, 0, 7],
    ])
  })

  it('says so when nobody is', async () => {
    const error = await failure(over(await consulServer()).resolve('ledger'))
    expect(error.code).toBe('MCBN_DISCOVERY_FAILED')
    expect(error.message).toMatch(/"ledger" at Consul http:\/\/127\.0\.0\.1:\d+: no instance/)
  })

  it('spells odd names as one path segment', async () => {
    const consul = await consulServer()
    consul.set('a/b?c', [{ port: 1 }])
    expect(await over(consul).resolve('a/b?c')).toHaveLength(1)
  })

  it.each([
    [{ address: 'ftp://127.0.0.1' }, 'MCBN_OPTION_RANGE'],
    [{ address: 'http://127.0.0.1/v1' }, 'MCBN_OPTION_RANGE'],
    [{ address: 'http://user:hunter2@127.0.0.1' }, 'MCBN_OPTION_RANGE'],
    [{ token: 'a\r\nb: c' }, 'MCBN_OPTION_RANGE'],
    [{ token: '' }, 'MCBN_OPTION_RANGE'],
    [
      { token: 'a', login: { authMethod: 'm', bearerToken: async () => 'b' } },
      'MCBN_OPTION_CONFLICT',
    ],
    [{ login: { authMethod: 'm' } as ConsulOptions['login'] }, 'MCBN_OPTION_TYPE'],
    [{ tags: ['a" or true'] }, 'MCBN_OPTION_RANGE'],
    [{ wait: 600_001 }, 'MCBN_OPTION_RANGE'],
    [{ passing: 1 as unknown as boolean }, 'MCBN_OPTION_TYPE'],
  ])('refuses %o', (options, code) => {
    let thrown: unknown
    try {
      consulResolver(options as ConsulOptions)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toMatchObject({ code })
    expect(seen(thrown)).not.toContain('hunter2')
  })
})

describe('discovery/consul: tokens', () => {
  it('asks with the token it was given', async () => {
    const consul = await consulServer()
    consul.acl = true
    consul.tokens.add(TOKEN)
    consul.set('ledger', [{ port: 1 }])
    const resolver = over(consul, { token: TOKEN })
    expect(await resolver.resolve('ledger')).toHaveLength(1)
    await resolver.close?.()
    expect(consul.tokens.has(TOKEN)).toBe(true)
  })

  it('logs in once for all who ask, and logs out when closed', async () => {
    const consul = await consulServer()
    consul.acl = true
    consul.bearers.set('confidential-space', BEARER)
    consul.set('ledger', [{ port: 1 }])
    let asked = 0
    const bearerToken = async () => {
      asked += 1
      await sleep(50)
      return BEARER
    }
    const resolver = over(consul, { login: { authMethod: 'confidential-space', bearerToken } })
    await Promise.all(Array.from({ length: 8 }, () => resolver.resolve('ledger')))
    expect(asked).toBe(1)
    expect(consul.questions.filter(({ path }) => path === '/v1/acl/login')).toHaveLength(1)
    expect(consul.tokens.size).toBe(1)
    await resolver.close?.()
    expect(consul.tokens.size).toBe(0)
    expect((await failure(resolver.resolve('ledger'))).code).toBe('MCBN_SOCKET_CLOSED')
  })

  it('logs in anew when its token has expired, once for all who were refused', async () => {
    const consul = await consulServer()
    consul.acl = true
    consul.bearers.set('m', BEARER)
    consul.set('ledger', [{ port: 1 }])
    const resolver = over(consul, {
      login: { authMethod: 'm', bearerToken: async () => BEARER },
    })
    await resolver.resolve('ledger')
    consul.tokens.clear()
    await Promise.all(Array.from({ length: 4 }, () => resolver.resolve('ledger')))
    expect(consul.questions.filter(({ path }) => path === '/v1/acl/login')).toHaveLength(2)
  })

  it('gives up after one new login, and names a refused one; the next question tries again', async () => {
    const consul = await consulServer()
    consul.acl = true
    consul.set('ledger', [{ port: 1 }])
    const resolver = over(consul, {
      login: { authMethod: 'm', bearerToken: async () => BEARER },
    })
    expect((await failure(resolver.resolve('ledger'))).message).toMatch(
      /login by auth method "m" was refused \(HTTP status 403\)/,
    )
    consul.bearers.set('m', BEARER)
    expect(await resolver.resolve('ledger')).toHaveLength(1)
    // A Consul that forgets every token at once.
    consul.special = ({ path }, response) => {
      if (!path.startsWith('/v1/health/')) return false
      response.statusCode = 403
      response.end()
      return true
    }
    expect((await failure(resolver.resolve('ledger'))).message).toMatch(/403.*may not read/)
    expect(consul.questions.filter(({ path }) => path === '/v1/acl/login')).toHaveLength(3)
  })

  it('names what bearerToken throws, and what it gives that is not a token', async () => {
    const consul = await consulServer()
    const failing = async () => {
      throw new Error('no attester here')
    }
    for (const [bearerToken, why] of [
      [failing, /no attester here/],
      [async () => '', /bearerToken: expected a token/],
      [async () => 7 as unknown as string, /bearerToken: expected a token/],
    ] as const) {
      const error = await failure(
        over(consul, { login: { authMethod: 'm', bearerToken } }).resolve('ledger'),
      )
      expect(error.message).toMatch(why)
    }
  })

  it('shows no token in inspect, JSON or errors, even when the server sends it back', async () => {
    const consul = await consulServer()
    consul.acl = true
    consul.bearers.set('m', BEARER)
    consul.set('ledger', [{ port: 1 }])
    const login = { authMethod: 'm', bearerToken: async () => BEARER }
    const known = over(consul, { token: TOKEN })
    const loggedIn = over(consul, { login })
    await loggedIn.resolve('ledger')
    const [secret = ''] = consul.tokens
    const shown = [seen(known), seen(loggedIn)]
    const echoes: ((token: string) => readonly [number, string])[] = [
      (token) => [403, `token ${token} lacks permission`],
      (token) => [200, `${token} is not JSON`],
      (token) => [200, JSON.stringify({ token })],
      (token) => [200, JSON.stringify([{ Service: { Address: `${token} x`, Port: 1 } }])],
    ]
    for (const echo of echoes) {
      consul.special = ({ token = '', body }, response) => {
        const [status, answer] = echo(token || body)
        response.statusCode = status
        response.end(answer)
        return true
      }
      for (const resolver of [known, over(consul, { login }), loggedIn]) {
        shown.push(seen(await failure(resolver.resolve('ledger'))))
      }
    }
    // Not even HTTP: node:http keeps the bytes of an answer that it cannot read.
    consul.special = ({ token }, response) => {
      response.socket?.end(`HTTP/1.1 200 OK\r\nx: ${token}\u0001\r\n\r\n`)
      return true
    }
    shown.push(seen(await failure(known.resolve('ledger'))))
    for (const text of shown) {
      expect(text).not.toContain(TOKEN)
      expect(text).not.toContain(secret)
      expect(text).not.toContain(BEARER)
      expect(text).not.toContain(
        Buffer.from(TOKEN).toString('hex', 0, 16).replace(/../g, '$& ').trim(),
      )
    }
    expect(shown.join()).toContain('ledger')
  })
})

describe('discovery/consul: answers', () => {
  const cases: readonly [string, string, RegExp][] = [
    ['no JSON', '{', /no JSON/],
    ['no list', '{"a":1}', /not a list/],
    ['nothing', '', /not a list/],
    [
      'a list of nonsense',
      '[1,null,"x",[],{"Service":7},{"Service":{"Port":"x"}}]',
      /none of 6 registered instances can be used/,
    ],
    ['too many bytes', `["${'x'.repeat(2_200_000)}"]`, /larger than 2097152 bytes/],
    ['very deep nesting', '['.repeat(500_000), /no JSON/],
  ]
  it.each(cases)('survives %s', async (_, body, why) => {
    const consul = await consulServer()
    consul.special = (_question, response) => {
      response.end(body)
      return true
    }
    const error = await failure(over(consul).resolve('ledger'))
    expect(error.code).toBe('MCBN_DISCOVERY_FAILED')
    expect(error.message).toMatch(why)
    expect(error.message.length).toBeLessThan(400)
  })

  it('looks at 1,024 instances at most', async () => {
    const consul = await consulServer()
    consul.set(
      'ledger',
      Array.from({ length: 5_000 }, (_, at) => ({ port: at + 1 })),
    )
    expect(await over(consul).resolve('ledger')).toHaveLength(1_024)
  })

  it('follows no redirection: the token would go along', async () => {
    const [consul, other] = [await consulServer(), await consulServer()]
    consul.special = (_question, response) => {
      response.writeHead(302, { location: `${other.address}/v1/health/service/ledger` }).end()
      return true
    }
    const error = await failure(over(consul, { token: TOKEN }).resolve('ledger'))
    expect(error.message).toMatch(/HTTP status 302/)
    expect(other.questions).toEqual([])
  })

  it('ends a body without end, and a silence, after the timeout', async () => {
    const consul = await consulServer()
    const resolver = over(consul, { timeout: 300 })
    for (const drips of [true, false]) {
      consul.special = (_question, response) => {
        const timer = setInterval(() => drips && response.write(' '), 20)
        response.once('close', () => clearInterval(timer))
        return true
      }
      expect((await failure(resolver.resolve('ledger'))).message).toMatch(/within 300 ms/)
    }
  })

  it('names an agent that is not there', async () => {
    const resolver = consulResolver({ address: `http://127.0.0.1:${await freeTcpPort()}` })
    expect((await failure(resolver.resolve('ledger'))).message).toMatch(/ECONNREFUSED/)
  })

  it("rejects with the caller's reason at once", async () => {
    const consul = await consulServer()
    consul.special = () => true
    const asking = over(consul).resolve('ledger', { signal: AbortSignal.timeout(50) })
    await expect(asking).rejects.toMatchObject({ name: 'TimeoutError' })
  })
})
