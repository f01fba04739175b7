import { expect, it } from 'vitest'
import { loadAddon } from '../../src/native/load.js'

it('a stopped I/O thread takes every call and does nothing', () => {
  const thread = new (loadAddon().IoThread)(() => {})
  thread.ref()
  thread.stop()
  thread.stop()
  thread.unref()
  thread.ref()
  expect(thread.endpointStats(1)).toBeNull()
  expect(thread.submit(Buffer.alloc(12), 12)).toBe(1)
  thread.closeEndpoint(1)
})
