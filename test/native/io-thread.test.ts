import { expect, it } from 'vitest'
import { loadAddon } from '../../src/native/load.js'

it('a stopped I/O thread takes every call and does nothing', () => {
  const thread = new (loadAddon().IoThread)(() => {}, new Uint32Array(5), new Uint8Array(64))
  thread.ref()
  thread.stop()
  thread.stop()
  thread.unref()
  thread.ref()
  expect(thread.endpointStats(1)).toBeNull()
  thread.frame(64)
  expect(thread.submit(0, 64, false)).toBe(1)
  expect(thread.submit(7, 64, false)).toBe(0)
  expect(thread.released()).toBe(0)
  thread.closeEndpoint(1, 'goodbye')
  // A word of the contract that the addon does not know is an error, never a default.
  expect(() => thread.closeEndpoint(1, 'hanover' as 'handover')).toThrow(
    /expected goodbye or handover/,
  )
})
