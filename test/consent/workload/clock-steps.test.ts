// The wall clock of a workload's machine is set by hours, by a real clock of a real process (libfaketime). Put
// back, it prolongs no consent; put ahead, it ends it, since a machine that was paused looks the same.

import { describe, expect, it } from 'vitest'
import { startTypescript } from '../../support/process.js'
import { canStepClocks, SteppedClock } from '../../support/stepped-clock.js'
import { waitFor } from '../../support/wait.js'
import { need } from '../network.js'
import { endOf, openTls } from './connections.js'
import { frankBefore } from './proxy.js'
import { consentRig } from './rig.js'

const LEASE_SECONDS = 5

async function serverWithClock() {
  const rig = await consentRig({ leaseSeconds: LEASE_SECONDS })
  const frank = await frankBefore(`${rig.urls['carol']}`)
  const clock = new SteppedClock()
  const file = new URL('./stopped-server.ts', import.meta.url).pathname
  const settings = {
    socketPath: rig.socketPath('server'),
    descriptor: rig.network.signed,
    descriptorHash: rig.network.verified.hashHex,
    role: 'server',
    participants: { ...rig.urls, carol: frank.url },
  }
  const child = startTypescript(file, [JSON.stringify(settings)], { env: clock.env })
  const [, port] = await child.output(/"listening":.*"port":(\d+)/)
  const client = await rig.join('client')
  const socket = await openTls(client, Number(port))
  socket.write('in time')
  await child.output(/\{"data":"in time"\}/)
  /** How often carol has prolonged the server's lease. */
  const renewals = () =>
    need(rig.participants, 'carol')
      .leases()
      .find(({ role }) => role === 'server')?.renewals ?? 0
  return { rig, frank, clock, child, client, socket, renewals }
}

describe.skipIf(!canStepClocks())('consent/clock steps', () => {
  it('a clock that is put back ends nothing, and prolongs nothing once renewals stay away', async () => {
    const { frank, clock, child, socket, renewals } = await serverWithClock()
    clock.set(-6)
    const before = renewals()
    await waitFor('two renewals by the new clock', () => renewals() >= before + 2)
    socket.write('six hours ago')
    await child.output(/\{"data":"six hours ago"\}/)
    const end = endOf(socket)
    frank.drop = true
    await child.output(/\{"ended":\{"code":"unrenewed","epoch":1,"labels":\["carol"\]\}\}/)
    await end
    expect(child.stdout).toContain('{"closed":"MCBN_CONSENT_ENDED"}')
  })

  it('a withdrawal ends it as soon as by a right clock', async () => {
    const { rig, clock, child } = await serverWithClock()
    clock.set(-48)
    await need(rig.participants, 'carol').withdraw()
    await child.output(/\{"ended":\{"code":"withdrawn","epoch":1,"labels":\["carol"\]\}\}/)
  })

  it('a clock that is put ahead ends it at once, before another byte is taken', async () => {
    const { clock, child, client, socket } = await serverWithClock()
    const end = endOf(socket)
    clock.set(6)
    socket.write('six hours later')
    await child.output(
      /\{"ended":\{"code":"expired","epoch":1,"labels":\["alice","bob","carol"\]\}\}/,
    )
    await end
    expect(child.stdout).not.toContain('six hours later')
    expect(client.leases).toHaveLength(3)
  })
})
