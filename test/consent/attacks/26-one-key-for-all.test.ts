// One key in two protocols could be attacked in the weaker one. Each protocol of a network has its own
// key, and none of them opens another protocol's door.

import { describe, expect, it } from 'vitest'
import { deriveNetworkKeys } from '../../../src/consent/shares/keys.js'
import type { McbnError } from '../../../src/errors.js'
import { dialOpen as openDtls } from '../../dtls/support.js'
import { dial } from '../../tls/support.js'
import { testNetwork } from '../network.js'
import { echoDtls, echoTls, rejection } from '../workload/connections.js'
import { consentRig } from '../workload/rig.js'

const PROTOCOLS = ['tls13', 'tls12', 'dtls12', 'kcv'] as const
type Name = (typeof PROTOCOLS)[number]

describe('attack 26: one key across protocols', () => {
  it.each([
    ['n-of-n', undefined],
    ['t-of-n', 2],
  ] as const)('finds no two alike, %s', (_mode, t) => {
    const network = testNetwork({ ...(t !== undefined && { t }) })
    const some = new Map([...network.shares].slice(0, t ?? network.shares.size))
    const { keys, kcv } = deriveNetworkKeys(network.verified, some)
    const all = [...Object.values(keys).map((key) => key.toString('hex')), kcv]
    expect(Object.keys(keys).sort()).toEqual(['dtls12', 'tls12', 'tls13'])
    expect(new Set(all).size).toBe(4)
    for (const key of all) expect(key).toMatch(/^[0-9a-f]{64}$/)
  })

  it('finds none alike in another epoch or network that has the same shares', () => {
    const one = testNetwork()
    const shares = one.shares
    const others = [
      one,
      testNetwork({ keys: one.keys, shares, fields: { epoch: 2 } }),
      testNetwork({ keys: one.keys, shares, fields: { network: 'another' } }),
    ]
    const all = others.flatMap(({ verified }) => {
      const { keys, kcv } = deriveNetworkKeys(verified, shares)
      return [...Object.values(keys).map((key) => key.toString('hex')), kcv]
    })
    expect(new Set(all).size).toBe(12)
  })

  it('opens each protocol with its own key only: four keys against three real servers', async () => {
    const rig = await consentRig()
    const server = await rig.join('server')
    const tls = await echoTls(server)
    const dtls = await echoDtls(server)
    const derived = deriveNetworkKeys(rig.network.verified, rig.network.shares)
    const key = (name: Name): Buffer =>
      name === 'kcv' ? Buffer.from(derived.kcv, 'hex') : (derived.keys[name] as Buffer)
    const { identity } = rig.network.verified

    const open = {
      tls13: (name: Name) =>
        dial({ port: tls.port, minVersion: 'TLSv1.3', psk: { identity, key: key(name) } }).opened,
      tls12: (name: Name) =>
        dial({ port: tls.port, maxVersion: 'TLSv1.2', psk: { identity, key: key(name) } }).opened,
      dtls12: (name: Name) =>
        openDtls({ port: dtls.port, handshakeTimeout: 1_500, psk: { identity, key: key(name) } }),
    } as const
    for (const protocol of ['tls13', 'tls12', 'dtls12'] as const) {
      // The right key first: a server that lets nobody in would prove nothing.
      await open[protocol](protocol)
      const wrong = PROTOCOLS.filter((name) => name !== protocol)
      const errors = await Promise.all(
        wrong.map((name) => rejection<McbnError>(open[protocol](name))),
      )
      for (const { code } of errors) {
        expect(['MCBN_PSK_MISMATCH', 'MCBN_HANDSHAKE_TIMEOUT'], protocol).toContain(code)
      }
    }
  })
})
