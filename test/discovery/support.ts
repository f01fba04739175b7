// What the tests of resolvers share.

import { expect, onTestFinished } from 'vitest'
import {
  type ConsulOptions,
  consulResolver,
  McbnError,
  type Resolver,
} from '../../src/discovery/index.js'
import type { ConsulServer } from './consul-server.js'

/** A resolver over the stand-in, impatient; closed when the running test ends. */
export function over(consul: ConsulServer, options: ConsulOptions = {}): Resolver {
  const resolver = consulResolver({
    address: consul.address,
    timeout: 2_000,
    churnInterval: 50,
    ...options,
  })
  onTestFinished(async () => await resolver.close?.())
  return resolver
}

/** The McbnError that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<McbnError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(McbnError)
  return error as McbnError
}
