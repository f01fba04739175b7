import { describe, expect, it } from 'vitest'
import { type Resolver, staticResolver, watchAddresses } from '../../src/discovery/index.js'

const endpoint = (host: string, port = 5_685) => ({ host, port, priority: 0, weight: 0 })

/** A resolver whose answers come in this order, the last again and again; an error is thrown. */
function inTurn(...answers: readonly (readonly string[] | Error)[]): Resolver {
  let turn = 0
  return {
    async resolve() {
      const answer = answers[Math.min(turn++, answers.length - 1)] as readonly string[] | Error
      if (answer instanceof Error) throw answer
      return answer.map((host) => endpoint(host))
    },
  }
}

async function first(
  count: number,
  ...[resolver, options]: [Resolver, Parameters<typeof watchAddresses>[2]?]
): Promise<string[]> {
  const lists: string[] = []
  for await (const list of watchAddresses(resolver, 'fleet', { interval: 100, ...options })) {
    lists.push(list.map(({ host, port }) => `${host}:${port}`).join(' '))
    if (lists.length === count) break
  }
  return lists
}

describe('discovery/addresses', () => {
  it('goes on after failures and empty answers, with the addresses that it had', async () => {
    const errors: Error[] = []
    const failure = new Error('nobody answers')
    const resolver = inTurn(failure, ['192.0.2.1'], failure, [], ['192.0.2.2'])
    const lists = await first(2, resolver, { onError: (error) => errors.push(error) })
    expect(lists).toEqual(['192.0.2.1:5685', '192.0.2.2:5685'])
    expect(errors).toEqual([failure, failure])
  })

  it('looks up every address of a name, and tells each list once, in whatever order it came', async () => {
    const records = [['192.0.2.2', '192.0.2.1'], ['192.0.2.1', '192.0.2.2'], ['2001:db8::1']]
    const lookup = async (name: string) => {
      expect(name).toBe('gateway.default.svc.cluster.local')
      return (records.shift() ?? ['2001:db8::1']).map((address) => ({ address }))
    }
    const service = staticResolver({ fleet: 'gateway.default.svc.cluster.local:5685' })
    expect(await first(2, service, { lookup })).toEqual([
      '192.0.2.1:5685 192.0.2.2:5685',
      '2001:db8::1:5685',
    ])
  })

  it('ends with its signal, and refuses what it does not know', async () => {
    const controller = new AbortController()
    const watching = watchAddresses(inTurn(['192.0.2.1']), 'fleet', { signal: controller.signal })
    expect((await watching.next()).done).toBe(false)
    const next = watching.next()
    controller.abort()
    expect((await next).done).toBe(true)
    const wrong = watchAddresses(inTurn([]), 'fleet', { intervall: 1 } as never)
    await expect(wrong.next()).rejects.toMatchObject({ code: 'MCBN_OPTION_UNKNOWN' })
    const short = watchAddresses(inTurn([]), 'fleet', { interval: 1 })
    await expect(short.next()).rejects.toMatchObject({ code: 'MCBN_OPTION_RANGE' })
  })
})
