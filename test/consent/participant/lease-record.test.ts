import { describe, expect, it } from 'vitest'
import { AuditLog } from '../../../src/consent/audit.js'
import { LeaseRecord } from '../../../src/consent/participant/lease-record.js'
import { NOON, network, released, round, setup, TestClock, workloadOf } from './fixture.js'

const hash = network.verified.hashHex

describe('participant/lease-record', () => {
  it('knows from a real audit what is still out, once for each instance', async () => {
    const clock = new TestClock()
    const audit = AuditLog.inMemory({ clock })
    const before = setup({ clock, audit })
    const other = workloadOf('server', { instance: '2', project: 'local-project' })
    released((await round({ ...before, clock }, 'client')).answer)
    clock.pass(300_000)
    released((await round({ ...before, clock }, 'client')).answer)
    released((await round({ ...before, clock }, 'server', other)).answer)
    await before.participant.close()
    const record = new LeaseRecord()
    for (const line of audit.recent()) record.hear(line)
    const leases = record.running(hash, clock.wall())
    expect(leases).toEqual([...before.participant.leases()].reverse().sort(byRole))
    expect(leases).toMatchObject([{ role: 'client', renewals: 1 }, { role: 'server' }])
    expect(record.running(hash, clock.wall() + 600_000)).toEqual([])
    expect(record.running('00'.repeat(32), clock.wall())).toEqual([])
  })

  it('takes nothing that does not look like a lease', () => {
    const record = new LeaseRecord()
    const chain = { seq: 1, time: new Date(NOON).toISOString(), prev: '' }
    record.hear({ ...chain, event: 'started', descriptorHash: hash })
    record.hear({ ...chain, event: 'released', role: 'client', expiresAt: NOON + 1 })
    record.hear({ ...chain, event: 'released', role: 'other', issuedAt: NOON, expiresAt: NOON + 1 })
    record.hear({ ...chain, event: 'refused', role: 'client', issuedAt: NOON, expiresAt: NOON + 1 })
    expect(record.running(hash, NOON)).toEqual([])
  })
})

function byRole(left: { readonly role: string }, right: { readonly role: string }): number {
  return left.role < right.role ? -1 : 1
}
