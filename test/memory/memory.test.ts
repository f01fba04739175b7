// What is in the memory of a process when consent is over: no share, no PRK, no key. Its memory is read from
// outside, as a core dump would hold it, and its heap by V8's own snapshot.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { whereFound } from '../../src/cli/demo/finder.js'
import { deriveNetworkKeys } from '../../src/consent/shares/keys.js'
import * as tls from '../../src/tls/index.js'
import * as spec from '../consent/spec.js'
import { openDtls, openTls } from '../consent/workload/connections.js'
import { consentRig } from '../consent/workload/rig.js'
import { temporaryFolder } from '../support/paths.js'
import { type Child, start, typescript } from '../support/process.js'
import { memoryOf, whereInMemory } from './process-memory.js'

const program = new URL('./workload.ts', import.meta.url).pathname

async function told(child: Child, line: string): Promise<void> {
  child.write(`${line}\n`)
  await child.output(new RegExp(`^\\{"did":"${line.split(' ')[0]}"\\}$`, 'm'))
}

describe.skipIf(process.platform !== 'linux')('memory', () => {
  it('holds no share, PRK or key after revoke and close; before, the search finds keys', {
    timeout: 240_000,
  }, async () => {
    const rig = await consentRig()
    const folder = temporaryFolder()
    const keyFile = join(folder, 'key')
    const other = randomBytes(32)
    writeFileSync(keyFile, other)
    const settings = {
      ...{ keyFile, role: 'server', socketPath: rig.socketPath('server') },
      ...{ descriptor: rig.network.signed, participants: rig.urls },
      descriptorHash: rig.network.verified.hashHex,
    }
    const args = typescript(program, JSON.stringify(settings))
    const child = start(process.execPath, ['--expose-gc', ...args])
    const [, ports = '{}'] = await child.output(/^\{"ports":(\{.*\})\}$/m)
    const at = JSON.parse(ports) as Record<'tls' | 'dtls' | 'other', number>

    const { keys } = deriveNetworkKeys(rig.network.verified, rig.network.shares)
    const planted = new Map([['planted', createHash('sha256').update('planted').digest()]])
    const wiped = new Map<string, Buffer>([
      ...[...rig.network.shares].map(
        ([label, share]) => [`share of ${label}`, Buffer.from(share)] as const,
      ),
      ['PRK', spec.extract(rig.network.verified.hash, spec.ikmOfAll([...rig.network.shares]))],
    ])
    const kept = new Map<string, Buffer>([
      ...Object.entries(keys).map(([name, key]) => [`key of ${name}`, Buffer.from(key)] as const),
      ['revoked key', other],
    ])

    const client = await rig.join('client')
    const [stream, datagrams] = [await openTls(client, at.tls), await openDtls(client, at.dtls)]
    const own = tls.connect({
      port: at.other,
      host: '127.0.0.1',
      psk: { identity: 'other', key: other },
    })
    own.on('error', () => undefined)
    await own.opened
    for (const socket of [stream, own]) {
      socket.write('hello')
      await once(socket, 'data')
    }
    datagrams.send(Buffer.from('hello'))
    await once(datagrams, 'message')
    const pid = child.process.pid ?? 0
    const alive = whereInMemory(memoryOf(pid), new Map([...planted, ...kept]))
    // The controls: what is in use is found, so what is not found is not there.
    expect(alive).toEqual(
      expect.arrayContaining([
        'planted, as it is',
        'revoked key, as it is',
        'key of tls13, as it is',
        'key of dtls12, as it is',
      ]),
    )

    await told(child, 'revoke')
    await told(child, 'close')
    await told(child, 'collect')
    const all = new Map([...planted, ...wiped, ...kept])
    const left = whereInMemory(memoryOf(pid), all)
    const snapshot = join(folder, 'heap.heapsnapshot')
    await told(child, `snapshot ${snapshot}`)
    const heap = [{ name: 'heap', bytes: readFileSync(snapshot) }]
    child.write('end\n')
    await child.exited
    expect(left).toEqual(['planted, as it is'])
    expect(whereFound(heap, all)).toEqual([])
  })
})
