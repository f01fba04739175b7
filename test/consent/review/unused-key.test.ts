// Keys are wiped when consent ends: also the copy of a socket that has not got as far as using it.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { expect, it, vi } from 'vitest'
import { connect } from '../../../src/tls/index.js'

it('review/keys: leaves no copy of the key behind when a client ends before its handshake', async () => {
  const key = randomBytes(32)
  const made: Buffer[] = []
  const from = Buffer.from.bind(Buffer) as (...values: unknown[]) => Buffer
  // Where copies of keys are made: src/secret-bytes.ts.
  const spy = vi.spyOn(Buffer, 'from').mockImplementation(((...values: unknown[]) => {
    const buffer = from(...values)
    made.push(buffer)
    return buffer
  }) as typeof Buffer.from)
  try {
    const socket = connect({ host: '127.0.0.1', port: 9, psk: { identity: 'client', key } })
    expect(made.filter((buffer) => buffer.equals(key))).toHaveLength(1)
    socket.destroy()
    await once(socket, 'close')
  } finally {
    spy.mockRestore()
  }
  expect(made.filter((buffer) => buffer.equals(key))).toEqual([])
})
