// What goes wrong around a process: it runs out of descriptors, or is stopped and goes on. Sessions that are open
// and handshakes on sockets that are open live on; what needs a new descriptor fails with a reason.

import { setTimeout as sleepFor } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { dialOpen, freshKey, identity, roundTrip } from '../dtls/support.js'
import { type Child, start, typescript } from '../support/process.js'
import * as tls from '../tls/support.js'

async function served(key: Buffer): Promise<{ child: Child; dtls: number; tls: number }> {
  const script = typescript('test/hostile/children/few-descriptors.ts', key.toString('hex'))
  const child = start('sh', ['-c', 'ulimit -n 256; exec "$0" "$@"', process.execPath, ...script])
  const [line] = await child.output(/^\{"dtls":\d+,"tls":\d+\}$/m)
  return { child, ...JSON.parse(line) }
}

describe('hostile/faults: no descriptor is left', () => {
  it('DTLS serves old sessions and new ones; what needs a descriptor fails with EMFILE, and works later', async () => {
    const key = freshKey()
    const psk = { identity, key }
    const server = await served(key)
    const old = await dialOpen({ port: server.dtls, psk })
    const stream = await tls.dialOpen({ port: server.tls, psk })
    server.child.write('fill\n')
    await server.child.output(/^"EMFILE"$/m)

    await roundTrip(old)
    await roundTrip(await dialOpen({ port: server.dtls, psk }))
    const echoed = new Promise((resolve) => stream.once('data', resolve))
    stream.write('still here')
    expect(String(await echoed)).toBe('still here')

    server.child.write('connect\n')
    const [, dtls, tcp] = await server.child.output(/^\{"dtls":"(.*)","tls":"(.*)"\}$/m)
    expect(dtls).toMatch(/^MCBN_CONNECTION_FAILED: .*EMFILE/)
    expect(tcp).toMatch(/^MCBN_CONNECTION_FAILED: .*EMFILE/)

    server.child.write('release\nconnect\n')
    await server.child.output(/^\{"dtls":"connected","tls":"connected"\}$/m)
    await roundTrip(old)
  })
})

describe('hostile/faults: a process that is stopped and goes on', () => {
  it('answers then what came meanwhile, in the sessions that it had', async () => {
    const key = freshKey()
    const server = await served(key)
    const socket = await dialOpen({ port: server.dtls, psk: { identity, key } })
    await roundTrip(socket)
    server.child.process.kill('SIGSTOP')
    const answer = roundTrip(socket, 'sent while it stood still')
    // Not a measure: the server must only have had the time not to answer.
    await sleepFor(300)
    expect(socket.stats.messagesReceived).toBe(1)
    server.child.process.kill('SIGCONT')
    await answer
    expect(socket.stats).toMatchObject({ messagesReceived: 2, recordsDropped: 0 })
  })
})
