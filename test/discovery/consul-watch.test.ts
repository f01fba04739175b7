import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  consulResolver,
  type Endpoint,
  type McbnError,
  type Resolver,
} from '../../src/discovery/index.js'
import { freeTcpPort } from '../support/ports.js'
import { consulServer } from './consul-server.js'
import { over } from './support.js'

/** Ports, as each answer of a watch has them. */
class Watching {
  readonly answers: string[] = []
  readonly done: Promise<unknown>
  readonly #controller = new AbortController()
  constructor(resolver: Resolver, service: string) {
    const { signal } = this.#controller
    const run = async (): Promise<void> => {
      const answers = resolver.watch?.(service, { signal }) as AsyncIterable<readonly Endpoint[]>
      for await (const endpoints of answers) {
        this.answers.push(endpoints.map(({ port }) => port).join(','))
      }
    }
    this.done = run().catch((error: unknown) => error)
    onTestFinished(async () => await this.stop())
  }
  async until(count: number): Promise<string[]> {
    await expect.poll(() => this.answers.length, { timeout: 8_000 }).toBeGreaterThanOrEqual(count)
    return this.answers
  }
  async stop(): Promise<void> {
    this.#controller.abort()
    await this.done
  }
}

describe('discovery/consul: watch (blocking queries)', () => {
  it('tells what is there, then each change once, by index and wait', async () => {
    const consul = await consulServer()
    consul.set('ledger', [{ port: 1 }])
    const watching = new Watching(over(consul, { wait: 60_000 }), 'ledger')
    await watching.until(1)
    consul.set('ledger', [{ port: 1 }, { port: 2 }])
    await watching.until(2)
    // A write that changes nothing of this service: Consul answers, the watcher hears nothing.
    consul.set('other', [{ port: 9 }])
    consul.set('ledger', [])
    expect(await watching.until(3)).toEqual(['1', '1,2', ''])
    const asked = consul.health.map(({ query }) => `${query.get('index')} ${query.get('wait')}`)
    expect(asked.slice(0, 3)).toEqual(['null null', '11 60s', '12 60s'])
  })

  it('asks again when the time is up without a change, and does not repeat itself', async () => {
    const consul = await consulServer()
    consul.set('ledger', [{ port: 1 }])
    const watching = new Watching(over(consul, { wait: 1_000 }), 'ledger')
    await expect.poll(() => consul.health.length, { timeout: 8_000 }).toBeGreaterThanOrEqual(4)
    expect(watching.answers).toEqual(['1'])
  })

  it('starts over without an index when the index goes backwards', async () => {
    const consul = await consulServer()
    consul.set('ledger', [{ port: 1 }], 50n)
    const watching = new Watching(over(consul, { wait: 1_000 }), 'ledger')
    await watching.until(1)
    // Restored from an old snapshot: the index is lower, so the question for 50 waits its time out.
    consul.set('ledger', [{ port: 2 }], 20n)
    await watching.until(2)
    // The restart has been answered, and the question after it waits.
    await expect.poll(() => consul.health.length, { timeout: 8_000 }).toBe(4)
    consul.set('ledger', [{ port: 3 }], 21n)
    expect(await watching.until(3)).toEqual(['1', '2', '3'])
    const indexes = consul.health.map(({ query }) => query.get('index'))
    expect(indexes.slice(0, 4)).toEqual([null, '50', null, '20'])
  })

  it.each([['0'], ['-1'], ['x'], [undefined]])(
    'asks for index 1 when Consul gives %o: 0 would not block',
    async (index) => {
      const consul = await consulServer()
      consul.special = ({ query }, response) => {
        if (query.get('index') !== null) return true
        if (index !== undefined) response.setHeader('x-consul-index', index)
        response.end('[{"Service":{"Address":"127.0.0.1","Port":1}}]')
        return true
      }
      await new Watching(over(consul), 'ledger').until(1)
      await expect.poll(() => consul.health.length).toBe(2)
      expect(consul.health[1]?.query.get('index')).toBe('1')
    },
  )

  it('is no busy loop when the index changes all the time: two at once, then one each interval', async () => {
    const consul = await consulServer()
    let index = 1
    consul.special = (_question, response) => {
      index += 1
      response.setHeader('x-consul-index', `${index}`)
      response.end(`[{"Service":{"Address":"127.0.0.1","Port":${index}}}]`)
      return true
    }
    const watching = new Watching(over(consul, { churnInterval: 200 }), 'ledger')
    await sleep(1_100)
    await watching.stop()
    expect(watching.answers.length).toBeGreaterThanOrEqual(4)
    expect(watching.answers.length).toBeLessThanOrEqual(8)
  })

  it('repeats what fails with growing pauses, tells of it, and goes on where it was', async () => {
    const consul = await consulServer()
    consul.set('ledger', [{ port: 1 }])
    const pauses: number[] = []
    const onRetry = (error: McbnError, pause: number) => {
      expect(error.code).toBe('MCBN_DISCOVERY_FAILED')
      pauses.push(pause)
    }
    const watching = new Watching(over(consul, { wait: 1_000, onRetry }), 'ledger')
    await watching.until(1)
    consul.special = (_question, response) => {
      response.statusCode = 500
      response.end()
      return true
    }
    await expect.poll(() => pauses.length, { timeout: 8_000 }).toBeGreaterThanOrEqual(2)
    consul.special = undefined
    consul.set('ledger', [{ port: 2 }])
    expect(await watching.until(2)).toEqual(['1', '2'])
    const [first = 0, second = 0] = pauses
    expect(first).toBeGreaterThanOrEqual(250)
    expect(first).toBeLessThanOrEqual(500)
    expect(second).toBeGreaterThanOrEqual(500)
  })

  it('throws when even the first question fails', async () => {
    const resolver = consulResolver({ address: `http://127.0.0.1:${await freeTcpPort()}` })
    expect(await new Watching(resolver, 'ledger').done).toMatchObject({
      code: 'MCBN_DISCOVERY_FAILED',
    })
  })

  it.each(['signal', 'close'] as const)('ends by %s in the middle of a wait', async (by) => {
    const consul = await consulServer()
    consul.set('ledger', [{ port: 1 }])
    const resolver = over(consul)
    const watching = new Watching(resolver, 'ledger')
    await expect.poll(() => consul.health.length).toBe(2)
    if (by === 'signal') await watching.stop()
    else await resolver.close?.()
    expect(await watching.done).toBeUndefined()
  })
})
