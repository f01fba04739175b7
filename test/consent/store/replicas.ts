// Replicas of one participant, in a database that is there for one test. The server is a real one.

import { afterAll, afterEach, beforeAll } from 'vitest'
import type { Verifier } from '../../../src/consent/attestation/types.js'
import { participantOfStore } from '../../../src/consent/participant/stored.js'
import {
  createPostgresStore,
  openPostgresStore,
} from '../../../src/consent/store/postgres/postgres.js'
import { postgresBinaries } from '../../support/postgres.js'
import { Databases } from '../crash/databases.js'
import { need } from '../network.js'
import { NOON, network, policyOf, TestClock, workloadOf } from '../participant/fixture.js'
import { lock } from './fixture.js'

/** Where there is none, its tests are left out; never in CI. */
export const withoutPostgres = postgresBinaries() === undefined && process.env['CI'] !== 'true'

export interface ReplicaRules {
  /** @defaultValue `automatic` */
  readonly approval?: 'automatic' | 'manual'
  /** @defaultValue 1 */
  readonly instances?: number
}

export interface ReplicaParts {
  /** @defaultValue what the policy needs */
  readonly verifiers?: readonly Verifier[]
}

/** A server for the tests of one file; what they opened is closed after each. */
export function usePostgres() {
  let server: Databases | undefined
  let made = 0
  const open: { close(): Promise<void> }[] = []
  beforeAll(async () => {
    if (postgresBinaries() !== undefined) server = await Databases.start()
  })
  afterAll(async () => await server?.stop())
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close()
  })

  /** A separate database for each test. @returns its address. */
  const database = async (): Promise<string> => {
    if (server === undefined) throw new Error('expected PostgreSQL, see docs/DEPENDENCIES.md')
    made += 1
    return await server.create(`test_${made}`)
  }
  const keep = <Closable extends { close(): Promise<void> }>(each: Closable): Closable => {
    open.push(each)
    return each
  }
  /** Two replicas of one participant, with clocks that go together. */
  const replicas = async (rules: ReplicaRules = {}, parts: readonly ReplicaParts[] = []) => {
    const { approval = 'automatic', instances = 1 } = rules
    const url = await database()
    const clock = new TestClock(NOON)
    const keys = need(network.keys, 'alice')
    const store = await createPostgresStore(url, lock, { label: 'alice', keys, clock })
    const policy = policyOf({}, { approval, instances })
    const share = need(network.shares, 'alice')
    await store.installEpoch({ descriptor: network.signed, share, policy }, lock)
    await store.close()
    const replica = async ({ verifiers }: ReplicaParts = {}) => {
      const own = keep(await openPostgresStore(url, lock, { clock }))
      const options = { clock, ...(verifiers && { verifiers }) }
      return { store: own, participant: keep(participantOfStore(own, options)), clock }
    }
    const [one, other] = [await replica(parts[0]), await replica(parts[1])]
    return { url, policy, one, other, replica }
  }
  return { database, keep, replicas }
}

/** A workload that is counted apart from others. */
export const another = (instance: string) => workloadOf('client', { instance })
