// What memory holds when consent is over: that of a participant which has withdrawn, and is closed; that of a workload
// of t-of-n which is closed. It is searched while the process runs, and in the core dump that its end by SIGABRT leaves.

import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exportPrivate } from '../../src/consent/base/keys.js'
import { deriveNetworkKeys } from '../../src/consent/shares/keys.js'
import { reconstructSecret } from '../../src/consent/shares/threshold.js'
import { need } from '../consent/network.js'
import * as spec from '../consent/spec.js'
import { openDtls, openTls } from '../consent/workload/connections.js'
import { consentRig, policyOf } from '../consent/workload/rig.js'
import { temporaryFolder } from '../support/paths.js'
import { type Child, start, typescript } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import { coreIn, dumpsCores, memoryOf, whereInMemory } from './process-memory.js'

const PLANTED = ['planted', createHash('sha256').update('planted').digest()] as const
const CONTROL = ['planted, as it is']

/** A program that leaves a core dump in its own folder. */
function program(name: string, settings: object): { child: Child; folder: string } {
  const folder = temporaryFolder()
  const file = new URL(name, import.meta.url).pathname
  const node = [process.execPath, '--expose-gc', ...typescript(file, JSON.stringify(settings))]
  const shell = 'ulimit -c unlimited; exec "$0" "$@"'
  return { child: start('sh', ['-c', shell, ...node], { cwd: folder }), folder }
}

/** Until it has done so this time, however often it has before. */
async function told(child: Child, line: string): Promise<void> {
  const done = (): number => child.stdout.split(`{"did":"${line}"}\n`).length
  const before = done()
  child.write(`${line}\n`)
  await waitFor(line, () => done() > before)
}

/** What of the secrets is in the memory of the process. */
async function found(child: Child, secrets: Iterable<readonly [string, Buffer]>) {
  await told(child, 'collect')
  return whereInMemory(memoryOf(child.process.pid ?? 0), new Map([PLANTED, ...secrets]))
}

/** The same of its core dump. */
async function dumped(child: Child, folder: string, secrets: Iterable<readonly [string, Buffer]>) {
  child.process.kill('SIGABRT')
  await child.exited
  return dumpsCores() ? whereInMemory(coreIn(folder), new Map([PLANTED, ...secrets])) : CONTROL
}

describe.skipIf(process.platform !== 'linux')('memory/core dump', () => {
  it('a participant: share and keys while it serves, no share once it has withdrawn, and nothing once it is closed', {
    timeout: 240_000,
  }, async () => {
    const rig = await consentRig()
    const label = 'carol'
    const seeds = exportPrivate(need(rig.network.keys, label))
    const share = Buffer.from(need(rig.network.shares, label))
    const secretsFile = join(temporaryFolder(), 'secrets')
    writeFileSync(secretsFile, Buffer.concat([share, seeds.ed25519, seeds.x25519]))
    const { child, folder } = program('./participant.ts', {
      ...{ secretsFile, label, descriptor: rig.network.signed },
      policy: policyOf(rig.network, rig.issuer),
    })
    const [, url = ''] = await child.output(/^\{"url":"(.*)"\}$/m)
    await rig.join('client', { participants: { ...rig.urls, [label]: url } })

    const secrets = [
      ['share', share],
      ['Ed25519 key', seeds.ed25519],
      ['X25519 key', seeds.x25519],
    ] as const
    const keys = ['Ed25519 key, as it is', 'X25519 key, as it is']
    expect(await found(child, secrets)).toEqual([...keys, ...CONTROL, 'share, as it is'])
    await told(child, 'withdraw')
    expect(await found(child, secrets)).toEqual([...keys, ...CONTROL])
    await told(child, 'close')
    // OpenSSL wipes a key when V8 collects its KeyObject.
    expect(await found(child, secrets)).toEqual(CONTROL)
    expect(await dumped(child, folder, secrets)).toEqual(CONTROL)
  })

  it('a workload of t-of-n: its keys while it serves; no key and no PRK once it is closed', {
    timeout: 240_000,
  }, async () => {
    const rig = await consentRig({ t: 2 })
    const keyFile = join(temporaryFolder(), 'key')
    writeFileSync(keyFile, Buffer.alloc(32, 9))
    const { verified, shares } = rig.network
    const { child, folder } = program('./workload.ts', {
      ...{ keyFile, role: 'server', socketPath: rig.socketPath('server') },
      ...{ descriptor: rig.network.signed, participants: rig.urls },
      descriptorHash: verified.hashHex,
    })
    const [, ports = '{}'] = await child.output(/^\{"ports":(\{.*\})\}$/m)
    const at = JSON.parse(ports) as Record<'tls' | 'dtls', number>
    const client = await rig.join('client')
    await openTls(client, at.tls)
    await openDtls(client, at.dtls)

    const two = new Map([...shares].slice(0, 2))
    const secret = reconstructSecret(verified, two)
    const keys = Object.entries(deriveNetworkKeys(verified, two).keys).map(
      ([name, key]) => [`key of ${name}`, Buffer.from(key)] as const,
    )
    // Not the shares and their secret: JavaScript cannot wipe the integers made of them (docs/RELIABILITY.md).
    const wiped = [['PRK', spec.extract(verified.hash, spec.ikmOfThreshold(secret))] as const]
    expect(await found(child, keys)).toEqual(
      expect.arrayContaining([...CONTROL, 'key of tls13, as it is', 'key of dtls12, as it is']),
    )
    await told(child, 'close')
    expect(await found(child, [...keys, ...wiped])).toEqual(CONTROL)
    expect(await dumped(child, folder, [...keys, ...wiped])).toEqual(CONTROL)
  })
})
