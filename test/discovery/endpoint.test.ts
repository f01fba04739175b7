import { describe, expect, it } from 'vitest'
import { type Endpoint, orderEndpoints, parseEndpoint } from '../../src/discovery/index.js'
import { seeded } from '../support/random.js'

function endpoint(host: string, priority: number, weight: number): Endpoint {
  return { host, port: 1, priority, weight }
}

function hosts(endpoints: readonly Endpoint[]): string {
  return endpoints.map(({ host }) => host).join('')
}

describe('discovery/endpoint', () => {
  it('takes addresses, names and 16-bit numbers, as a fresh object', () => {
    for (const host of ['127.0.0.1', '::1', 'fe80::1%eth0', 'a.example', 'a_b', 'x-1.example.']) {
      const given = { host, port: 65_535, priority: 0, weight: 65_535, servername: 'a.example' }
      expect(parseEndpoint(given)).toEqual(given)
      expect(parseEndpoint(given)).not.toBe(given)
    }
    const extra = JSON.parse('{"host":"a","port":1,"priority":0,"weight":0,"__proto__":{"x":1}}')
    expect(Object.keys(parseEndpoint(extra))).toEqual(['host', 'port', 'priority', 'weight'])
  })

  const good = { host: 'a', port: 1, priority: 0, weight: 0 }
  it.each([
    ['no object', undefined, /not an object/],
    ['null', null, /not an object/],
    ['a number as host', { ...good, host: 1 }, /host/],
    ['an empty host', { ...good, host: '' }, /host/],
    ['the root as host', { ...good, host: '.' }, /host/],
    ['a host with a line end', { ...good, host: 'a\nb' }, /host/],
    ['a host with a path', { ...good, host: 'a/b' }, /host/],
    ['a host with a user', { ...good, host: 'a@b' }, /host/],
    ['a host with escape codes', { ...good, host: '\u001b[2J' }, /host/],
    ['an address with a slip', { ...good, host: '127.0.0.1.1' }, /host/],
    ['a host of 254 characters', { ...good, host: `${'a.'.repeat(126)}aa` }, /host/],
    ['a label of 64 characters', { ...good, host: 'a'.repeat(64) }, /host/],
    ['port 0', { ...good, port: 0 }, /port/],
    ['port 65536', { ...good, port: 65_536 }, /port/],
    ['a port as text', { ...good, port: '1' }, /port/],
    ['a negative priority', { ...good, priority: -1 }, /priority/],
    ['half a weight', { ...good, weight: 0.5 }, /weight/],
    ['an address as servername', { ...good, servername: '127.0.0.1' }, /servername/],
  ])('refuses %s, and repeats nothing of it', (_, value, why) => {
    expect(parseEndpoint(value)).toMatch(why)
  })
})

describe('discovery/order', () => {
  it('puts every endpoint of a lower priority before all others (RFC 2782)', () => {
    const given = [
      endpoint('c', 7, 9),
      endpoint('a', 0, 0),
      endpoint('d', 9, 1),
      endpoint('b', 1, 0),
    ]
    for (let seed = 0; seed < 50; seed += 1) {
      expect(hosts(orderEndpoints(given, seeded(seed)))).toBe('abcd')
    }
  })

  it('puts each first as often as its weight says (seed 7)', () => {
    const random = seeded(7)
    const given = [endpoint('a', 0, 10), endpoint('b', 0, 60), endpoint('c', 0, 30)]
    const first = new Map<string, number>()
    for (let i = 0; i < 20_000; i += 1) {
      const [chosen] = orderEndpoints(given, random)
      first.set(`${chosen?.host}`, (first.get(`${chosen?.host}`) ?? 0) + 1)
    }
    // 0..100 inclusive has 101 numbers, so the shares are a little off 10, 60 and 30 %.
    expect((first.get('a') ?? 0) / 20_000).toBeCloseTo(0.1, 1)
    expect((first.get('b') ?? 0) / 20_000).toBeCloseTo(0.6, 1)
    expect((first.get('c') ?? 0) / 20_000).toBeCloseTo(0.3, 1)
  })

  it('gives weight 0 a very small chance to come first, not none (RFC 2782)', () => {
    const random = seeded(3)
    const given = [endpoint('a', 0, 0), endpoint('b', 0, 99)]
    let zeroFirst = 0
    for (let i = 0; i < 20_000; i += 1)
      zeroFirst += hosts(orderEndpoints(given, random)) === 'ab' ? 1 : 0
    expect(zeroFirst).toBeGreaterThan(20)
    expect(zeroFirst).toBeLessThan(1_000)
  })

  it('spreads evenly where nobody set weights (seed 5)', () => {
    const random = seeded(5)
    const given = ['a', 'b', 'c', 'd'].map((host) => endpoint(host, 0, 0))
    const orders = new Map<string, number>()
    for (let i = 0; i < 24_000; i += 1) {
      const order = hosts(orderEndpoints(given, random))
      orders.set(order, (orders.get(order) ?? 0) + 1)
    }
    expect(orders.size).toBe(24)
    for (const count of orders.values()) expect(Math.abs(count - 1_000)).toBeLessThan(200)
  })

  it('leaves nothing out and repeats itself with a seed, for 1,024 endpoints', () => {
    const random = seeded(9)
    const given = Array.from({ length: 1_024 }, (_, at) =>
      endpoint(`h${at}`, Math.floor(random() * 3), Math.floor(random() * 65_536)),
    )
    const ordered = orderEndpoints(given, seeded(1))
    expect(ordered).not.toEqual(given)
    expect(new Set(ordered)).toEqual(new Set(given))
    expect(orderEndpoints(given, seeded(1))).toEqual(ordered)
  })
})
