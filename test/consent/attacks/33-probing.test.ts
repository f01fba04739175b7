// A stranger without a key tries identities, to learn which networks and epochs a server serves. A known
// identity with a wrong key and an identity that nobody has must look alike in bytes, and in time, which
// bench/timing/ measures.

import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { McbnError } from '../../../src/errors.js'
import { dial as dialDtls } from '../../dtls/support.js'
import { recordsOf } from '../../support/dtls-wire.js'
import { slowdown } from '../../support/pace.js'
import { type Tap, tapTcp, tapUdp } from '../../support/tap.js'
import { presentIdentity } from '../../support/tls-peer.js'
import { dial } from '../../tls/support.js'
import { type TestNetwork, testNetwork } from '../network.js'
import { echoDtls, echoTls, rejection } from '../workload/connections.js'
import { consentRig } from '../workload/rig.js'

let network: TestNetwork
let before: TestNetwork
beforeAll(() => {
  before = testNetwork({ fields: { epoch: 1 } })
  network = testNetwork({ keys: before.keys, fields: { epoch: 2 } })
})

/** An identity as this version makes them, of no network at all. */
const nobody = () => `mcbn1.${randomBytes(17).toString('base64url').slice(0, 22)}`
const known = () => network.verified.identity

async function ports() {
  const rig = await consentRig({ network })
  const server = await rig.join('server')
  return { tls: await echoTls(server), dtls: await echoDtls(server) }
}

interface Seen {
  /** What came back: type and length of each record, and the content of what is not encrypted. */
  readonly records: readonly string[]
  readonly error: Readonly<Record<string, unknown>>
}

/** Its words and fields; port and identity are the prober's own. */
function shown(error: McbnError): Seen['error'] {
  const { code, kind, alert, message } = error
  return { code, kind, alert, message: message.replaceAll(/:\d+|mcbn1\.[\w-]{22}/g, '') }
}

async function probeTls(
  target: number,
  version: 'TLSv1.3' | 'TLSv1.2',
  identity: string,
): Promise<Seen> {
  const tap = await tapTcp(target)
  const psk = { identity, key: randomBytes(32) }
  const socket = dial({ port: tap.port, minVersion: version, maxVersion: version, psk })
  const error = await rejection<McbnError>(socket.opened)
  return { records: tlsRecords(tap), error: shown(error) }
}

function tlsRecords(tap: Tap): string[] {
  const bytes = tap.bytes('server')
  const records: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt16BE(at + 3)
    const fragment = bytes.subarray(at + 5, at + 5 + length)
    // Alerts of two bytes are in the clear: their level and description are part of what is seen.
    records.push(`${bytes[at]} ${length}${bytes[at] === 21 ? ` ${fragment.toString('hex')}` : ''}`)
    at += 5 + length
  }
  return records
}

async function probeDtls(target: number, identity: string): Promise<Seen> {
  const tap = await tapUdp(target)
  const psk = { identity, key: randomBytes(32) }
  const socket = dialDtls({ port: tap.port, handshakeTimeout: 800 * slowdown, psk })
  const error = await rejection<McbnError>(socket.opened)
  const records = recordsOf(tap.bytes('server')).map(
    ({ type, epoch, fragment }) =>
      `${type} ${epoch} ${fragment.length}${type === 21 ? ` ${fragment.toString('hex')}` : ''}`,
  )
  return { records, error: shown(error) }
}

describe('attack 33: probing which identities exist', () => {
  it.each(['TLSv1.3', 'TLSv1.2'] as const)('looks alike in every byte over %s', async (version) => {
    const { tls } = await ports()
    const right = await probeTls(tls.port, version, known())
    expect(right.records.length).toBeGreaterThan(0)
    expect(right.error['code']).toBe('MCBN_PSK_MISMATCH')
    for (const identity of [nobody(), nobody(), before.verified.identity]) {
      expect(await probeTls(tls.port, version, identity)).toEqual(right)
    }
  })

  it('looks alike over TLS 1.2 for a client that reads the alert itself', async () => {
    const { tls } = await ports()
    const probe = (identity: string) =>
      presentIdentity({
        port: tls.port,
        identity: Buffer.from(identity),
        key: randomBytes(32),
      })
    const right = await probe(known())
    expect(right.opened).toBe(false)
    expect(right.alerts).toHaveLength(1)
    expect(await probe(nobody())).toEqual(right)
    expect(await probe(before.verified.identity)).toEqual(right)
  })

  it('looks alike in every byte over DTLS 1.2', async () => {
    const { dtls } = await ports()
    const right = await probeDtls(dtls.port, known())
    expect(right.error['code']).toBe('MCBN_PSK_MISMATCH')
    // HelloVerifyRequest, the server's flight, and a word at the end.
    expect(right.records.length).toBeGreaterThan(2)
    expect(await probeDtls(dtls.port, nobody())).toEqual(right)
    expect(await probeDtls(dtls.port, before.verified.identity)).toEqual(right)
  })

  it("is told apart where an application asks for it: unknownIdentity 'alert'", async () => {
    const rig = await consentRig({ network })
    const server = await rig.join('server')
    const { port } = await echoTls(server, { unknownIdentity: 'alert' })
    for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
      const right = await probeTls(port, version, known())
      expect(await probeTls(port, version, nobody())).not.toEqual(right)
    }
  })

  it("tells the server's own log which of the two it was", async () => {
    const { tls } = await ports()
    await probeTls(tls.port, 'TLSv1.3', known())
    await probeTls(tls.port, 'TLSv1.3', nobody())
    expect(tls.failures.map(({ code }) => code)).toEqual([
      'MCBN_PSK_MISMATCH',
      'MCBN_PSK_IDENTITY_UNKNOWN',
    ])
  })
})
