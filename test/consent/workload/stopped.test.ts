import { setTimeout as sleepFor } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { startTypescript } from '../../support/process.js'
import { endOf, openTls } from './connections.js'
import { consentRig } from './rig.js'

const LEASE_SECONDS = 5

describe('consent/stopped process', () => {
  it('closes its connections when it goes on after its lease, before it hears a byte', async () => {
    const rig = await consentRig({ leaseSeconds: LEASE_SECONDS })
    const file = new URL('./stopped-server.ts', import.meta.url).pathname
    const child = startTypescript(file, [
      JSON.stringify({
        socketPath: rig.socketPath('server'),
        descriptor: rig.network.signed,
        descriptorHash: rig.network.verified.hashHex,
        role: 'server',
        participants: rig.urls,
      }),
    ])
    const [, port] = await child.output(/"listening":.*"port":(\d+)/)
    const client = await rig.join('client')
    const socket = await openTls(client, Number(port))
    socket.write('in time')
    await child.output(/\{"data":"in time"\}/)
    const end = endOf(socket)

    child.process.kill('SIGSTOP')
    await sleepFor(LEASE_SECONDS * 1_000 + 500)
    // The client's own leases were renewed: it may send, and the kernel keeps it for the server.
    socket.write('too late')
    await sleepFor(100)
    child.process.kill('SIGCONT')

    await child.output(
      /\{"ended":\{"code":"expired","epoch":1,"labels":\["alice","bob","carol"\]\}\}/,
    )
    await end
    expect(child.stdout).toContain('{"closed":"MCBN_CONSENT_ENDED"}')
    expect(child.stdout).not.toContain('too late')
    expect(await child.exited).toEqual({ code: 0, signal: null })
    expect(client.leases).toHaveLength(3)
  })
})
