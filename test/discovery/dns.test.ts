import { describe, expect, it } from 'vitest'
import { dnsSrvResolver, srvName, staticResolver } from '../../src/discovery/index.js'
import { freeUdpPort } from '../support/ports.js'
import { dnsServer } from './dns-server.js'
import { failure } from './support.js'

const NAME = '_mcbn._tcp.example.com'
const record = { priority: 1, weight: 2, port: 8081, target: 'a.example.com' }

/** One DNS server's resolver, impatient. */
function over(server: { readonly address: string }, cacheTime = 0) {
  return dnsSrvResolver({ servers: [server.address], timeout: 300, tries: 1, cacheTime })
}

describe('discovery/dns', () => {
  it('names a service as RFC 2782 does', () => {
    expect(srvName('tls', 'example.com')).toBe(NAME)
    expect(srvName('dtls', 'example.com')).toBe('_mcbn._udp.example.com')
    expect(srvName('tls', 'example.com', 'ledger')).toBe('_ledger._tcp.example.com')
  })

  it('asks for exactly the name, and gives host, port, priority and weight', async () => {
    const server = await dnsServer(() => [record, { ...record, priority: 9, target: 'b.example' }])
    const found = await over(server).resolve(NAME)
    expect(server.asked).toEqual([NAME])
    const shared = { port: 8081, weight: 2 }
    expect(found).toEqual(
      expect.arrayContaining([
        { ...shared, host: 'a.example.com', priority: 1 },
        { ...shared, host: 'b.example', priority: 9 },
      ]),
    )
    expect(found).toHaveLength(2)
  })

  it('takes the target "." for "decidedly not available" (RFC 2782)', async () => {
    const server = await dnsServer(() => [{ priority: 0, weight: 0, port: 0, target: '' }])
    expect(await failure(over(server).resolve(NAME))).toMatchObject({
      code: 'MCBN_DISCOVERY_FAILED',
      message: expect.stringMatching(/_mcbn\._tcp\.example\.com: .*does not offer this service/),
    })
  })

  it('leaves out records that name no host or port, and says so when none is left', async () => {
    const bad = [
      { ...record, port: 0 },
      { ...record, target: 'a b.example' },
    ]
    const mixed = await dnsServer(() => [...bad, record])
    expect(await over(mixed).resolve(NAME)).toHaveLength(1)
    const told: string[] = []
    await dnsSrvResolver({
      servers: [mixed.address],
      onUnusable: (reason) => told.push(reason),
    }).resolve(NAME)
    expect(told).toHaveLength(2)
    expect(told[0]).toMatch(/its port is not an integer from 1 to 65535/)
    const hopeless = await dnsServer(() => bad)
    expect((await failure(over(hopeless).resolve(NAME))).message).toMatch(/none of 2 SRV records/)
  })

  it.each([
    ['a name that does not exist', { rcode: 3 }, /does not exist \(ENOTFOUND\)/],
    ['a name without SRV records', [], /no SRV record \(ENODATA\)/],
    ['a server that fails', { rcode: 2 }, /ESERVFAIL/],
    ['a server that refuses', { rcode: 5 }, /EREFUSED/],
    ['a server that is silent', 'silence', /in time \(ETIMEOUT\)/],
  ] as const)('names %s', async (_, answer, why) => {
    const error = await failure(over(await dnsServer(() => answer)).resolve(NAME))
    expect(error.code).toBe('MCBN_DISCOVERY_FAILED')
    expect(error.message).toMatch(why)
    expect(error.message).toContain(NAME)
  })

  it('names a server that is not there', async () => {
    const error = await failure(over({ address: `127.0.0.1:${await freeUdpPort()}` }).resolve(NAME))
    expect(error.message).toMatch(/ECONNREFUSED|ETIMEOUT/)
  })

  it('survives garbage', async () => {
    for (const garbage of [Buffer.alloc(0), Buffer.alloc(512, 0xff), Buffer.alloc(1_200)]) {
      const error = await failure(over(await dnsServer(() => garbage)).resolve(NAME))
      expect(error.code).toBe('MCBN_DISCOVERY_FAILED')
    }
  })

  it('uses an answer again for cacheTime, then asks anew; a failure is never kept', async () => {
    let rcode: 0 | 2 = 2
    const server = await dnsServer(() => (rcode === 0 ? [record] : { rcode }))
    const resolver = over(server, 300)
    await failure(resolver.resolve(NAME))
    rcode = 0
    await resolver.resolve(NAME)
    await resolver.resolve(NAME)
    // A failing server may be asked more than once for one question; only what follows is counted.
    const before = server.asked.length
    await resolver.resolve(NAME)
    expect(server.asked.length).toBe(before)
    await new Promise((resolve) => setTimeout(resolve, 350))
    await resolver.resolve(NAME)
    expect(server.asked.length).toBe(before + 1)
  })

  it("rejects with the signal's reason at once", async () => {
    const resolver = dnsSrvResolver({
      servers: [(await dnsServer(() => 'silence')).address],
      timeout: 10_000,
    })
    const controller = new AbortController()
    const asking = resolver.resolve(NAME, { signal: controller.signal })
    setTimeout(() => controller.abort(new Error('enough')), 50)
    await expect(asking).rejects.toThrow('enough')
    await expect(resolver.resolve(NAME, { signal: controller.signal })).rejects.toThrow('enough')
  })

  it('ends what is under way when it is closed, and resolves nothing more', async () => {
    const server = await dnsServer(() => 'silence')
    const resolver = dnsSrvResolver({ servers: [server.address], timeout: 10_000 })
    const asking = failure(resolver.resolve(NAME))
    await new Promise((resolve) => setTimeout(resolve, 50))
    await resolver.close?.()
    expect((await asking).message).toMatch(/ECANCELLED/)
    expect((await failure(resolver.resolve(NAME))).code).toBe('MCBN_SOCKET_CLOSED')
  })

  it.each([
    [{ servers: '127.0.0.1' as unknown as string[] }, 'MCBN_OPTION_TYPE'],
    [{ servers: [] }, 'MCBN_OPTION_RANGE'],
    [{ servers: ['dns.example'] }, 'MCBN_OPTION_RANGE'],
    [{ timeout: 0 }, 'MCBN_OPTION_RANGE'],
    [{ tries: 11 }, 'MCBN_OPTION_RANGE'],
    [{ cacheTime: -1 }, 'MCBN_OPTION_RANGE'],
  ])('refuses %o', (options, code) => {
    expect(() => dnsSrvResolver(options)).toThrow(expect.objectContaining({ code }))
  })

  it.each(['', 'a b', `${'a.'.repeat(127)}a`, 'a\u0000b'])('refuses the name %o', async (name) => {
    const error = await failure(dnsSrvResolver().resolve(name))
    expect(error.code).toBe('MCBN_DISCOVERY_FAILED')
  })
})

describe('discovery/static', () => {
  it('knows what was written down', async () => {
    const resolver = staticResolver({
      one: '127.0.0.1:8081',
      more: ['[::1]:1', { host: 'b.example', port: 2, priority: 3, weight: 4, servername: 'b' }],
    })
    expect(await resolver.resolve('one')).toEqual([
      { host: '127.0.0.1', port: 8081, priority: 0, weight: 0 },
    ])
    expect(await resolver.resolve('more')).toEqual([
      { host: '::1', port: 1, priority: 0, weight: 0 },
      { host: 'b.example', port: 2, priority: 3, weight: 4, servername: 'b' },
    ])
  })

  it.each(['two', '__proto__', 'constructor', ''])('does not know %o', async (service) => {
    const error = await failure(staticResolver({ one: '127.0.0.1:8081' }).resolve(service))
    expect(error.code).toBe('MCBN_DISCOVERY_FAILED')
  })

  it.each(['127.0.0.1', '::1:1', '127.0.0.1:0', '127.0.0.1:65536', ':1', 'a b:1', '[a:1'])(
    'refuses %o, naming service and position',
    (text) => {
      expect(() => staticResolver({ ledger: ['127.0.0.1:1', text] })).toThrow(
        expect.objectContaining({
          code: 'MCBN_OPTION_RANGE',
          message: expect.stringMatching(/^services\.ledger\[1\]: expected an endpoint/),
        }),
      )
    },
  )
})
