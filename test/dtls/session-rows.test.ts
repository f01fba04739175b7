// When rows of sessions are written: together where nothing waits for them, soon where something does.

import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { SessionRows } from '../../src/dtls/store/session-rows.js'
import { TestStore } from './test-store.js'

/** Of the code: milliseconds from the beginning of a write to that of the next. */
const RELAXED = 40
const AWAITED = 5

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

async function opened() {
  const store = new TestStore()
  const rows = new SessionRows(store, randomBytes(32), (error) => {
    throw error
  })
  await rows.open()
  const written: number[] = []
  const owner = { rowsWritten: (sessions: Uint32Array) => written.push(...sessions) }
  const put = (session: number, awaited = false): void =>
    rows.put(
      String.fromCharCode(session).repeat(16),
      Buffer.from([session]),
      session,
      owner,
      awaited,
    )
  return { store, rows, written, put, before: store.writes }
}

it('writes the first row at once, and what comes within 40 ms of that together', async () => {
  const { store, written, put, before } = await opened()
  put(1)
  await vi.advanceTimersByTimeAsync(0)
  expect(written).toEqual([1])
  for (let session = 2; session < 30; session += 1) {
    put(session)
    await vi.advanceTimersByTimeAsync(1)
  }
  expect(store.writes).toBe(before + 1)
  await vi.advanceTimersByTimeAsync(RELAXED)
  expect(store.writes).toBe(before + 2)
  expect(written).toHaveLength(29)
})

it('does not have a row wait so long that something waits for, nor those that were put before it', async () => {
  const { store, written, put, before } = await opened()
  put(1)
  await vi.advanceTimersByTimeAsync(0)
  put(2)
  await vi.advanceTimersByTimeAsync(1)
  put(3, true)
  await vi.advanceTimersByTimeAsync(AWAITED - 2)
  expect(store.writes).toBe(before + 1)
  await vi.advanceTimersByTimeAsync(1)
  expect(written).toEqual([1, 2, 3])
  // And the next is relaxed again.
  put(4)
  await vi.advanceTimersByTimeAsync(RELAXED - 1)
  expect(written).toEqual([1, 2, 3])
  await vi.advanceTimersByTimeAsync(1)
  expect(written).toEqual([1, 2, 3, 4])
})

it('writes at once for flush() and close()', async () => {
  const { store, rows, written, put } = await opened()
  put(1)
  await vi.advanceTimersByTimeAsync(0)
  put(2)
  await rows.flush()
  expect(written).toEqual([1, 2])
  put(3)
  await rows.close(true)
  expect(store.names).toHaveLength(3)
  expect(vi.getTimerCount()).toBe(0)
})
