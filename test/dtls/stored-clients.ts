// Clients with a session store, and what one that was killed left behind.

import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import type {
  DtlsConnectOptions,
  DtlsServerOptions,
  DtlsSocket,
  SessionStore,
} from '../../src/dtls/index.js'
import type { DtlsVersion } from '../../src/psk/types.js'
import { BOTH, collect, dialOpen, echo, freshKey, identity, roundTrip } from './support.js'
import { TestStore } from './test-store.js'

export const sealingKey = randomBytes(32)

export function stored(store: string | SessionStore): Pick<DtlsConnectOptions, 'sessionStore'> {
  return { sessionStore: { store, sealingKey } }
}

/** An echo server with connection IDs, and how to reach it. */
export async function served(
  minVersion: DtlsVersion = 'DTLSv1.2',
  options: Partial<DtlsServerOptions> = {},
) {
  const key = freshKey()
  const given = { psk: { [identity]: key }, connectionId: true, ...BOTH, ...options }
  const { server, port } = await echo(given)
  return { server, port, key, to: { port, psk: { identity, key }, connectionId: true, minVersion } }
}

/** What a client that is killed now leaves behind. It is not heard of again, but has its port still. */
export async function crashed(options: DtlsConnectOptions): Promise<TestStore> {
  const store = new TestStore()
  const client = await dialOpen({ ...options, ...stored(store) })
  await roundTrip(client)
  await expect.poll(() => store.names.length, { timeout: 10_000 }).toBe(1)
  return store.crashed()
}

/** Until the server's numbers have passed those that the row had reserved, its answers count as seen. */
export async function hears(client: DtlsSocket): Promise<void> {
  const messages = collect(client)
  const heard = (): boolean => {
    client.send('are you there?')
    return messages.length > 0
  }
  await expect.poll(heard, { interval: 5, timeout: 10_000 }).toBe(true)
}
