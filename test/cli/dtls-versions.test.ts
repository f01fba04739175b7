// Keys made from shares on dtls://, where each version has its own (RFC 9258 section 5.1 gives the reason).

import { once } from 'node:events'
import { expect, it, onTestFinished } from 'vitest'
import * as dtls from '../../src/dtls/index.js'
import { derivePsk } from '../../src/psk/index.js'
import type { DtlsVersion, PskLookup } from '../../src/psk/types.js'
import { expectFailure, KEY, mcbn, OTHER_KEY, startMcbn } from './command.js'

const DESCRIPTOR = 'ab'.repeat(32)
const SHARES = [
  ...['--share', `alice=${KEY}`, '--share', `bob=${OTHER_KEY}`, '--identity', 'Client1'],
  ...['--descriptor-hash', DESCRIPTOR, '--network', 'example', '--epoch', '3'],
] as const
const BOTH = ['--max-version', 'DTLSv1.3'] as const

function keyFor(version: string): Buffer {
  const options = { descriptorHash: Buffer.from(DESCRIPTOR, 'hex'), network: 'example', epoch: 3 }
  const protocol = version === 'DTLSv1.3' ? 'dtls13' : 'dtls12'
  return derivePsk({ alice: KEY, bob: OTHER_KEY }, { ...options, protocol })
}

/** A server of the library that speaks these, and which versions it was asked for a key of. */
async function serving(maxVersion: DtlsVersion, key = keyFor) {
  const asked: string[] = []
  const psk: PskLookup = ({ protocol }) => {
    asked.push(protocol)
    return key(protocol)
  }
  const server = dtls.createServer({ psk, maxVersion }, (socket) => {
    socket.on('error', () => {})
    socket.on('message', (message) => {
      socket.send(message)
      void socket.close()
    })
  })
  server.on('clientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    await server.close()
  })
  return { url: `dtls://127.0.0.1:${server.address()?.port}`, asked }
}

/** The version that a client of the command came to. */
async function versionOf(url: string, ...flags: readonly string[]): Promise<string | undefined> {
  const args = ['connect', url, ...SHARES, ...flags, '--verbose']
  const child = await mcbn(args, { input: 'a line\n' })
  expect(child.exit.code, child.report()).toBe(0)
  expect(child.stdout).toBe('a line\n')
  return /connected to \S+ \((\S+),/.exec(child.stderr)?.[1]
}

it('cli/keys from shares: the key of one version opens no other', async () => {
  const { url, asked } = await serving('DTLSv1.3', () => keyFor('DTLSv1.2'))
  const child = await mcbn(['connect', url, ...SHARES, ...BOTH], { input: 'x\n' })
  expectFailure(child, 1, /MCBN_PSK_MISMATCH/)
  expect(new Set(asked)).toEqual(new Set(['DTLSv1.3']))
})

it.each([
  ['dtls12', ['--min-version', 'DTLSv1.3']],
  ['dtls13', ['--max-version', 'DTLSv1.2']],
  ['tls13', []],
])('cli/keys from shares: refuses --protocol %s with %j', async (protocol, flags) => {
  const args = ['connect', 'dtls://127.0.0.1:1', ...SHARES, '--protocol', protocol, ...flags]
  expectFailure(await mcbn(args), 2, new RegExp(`--protocol ${protocol}: this key is not for`))
})

it('cli/connect with shares: DTLS 1.3 where both have it, DTLS 1.2 where the server has no other', async () => {
  const newer = await serving('DTLSv1.3')
  expect(await versionOf(newer.url, ...BOTH)).toBe('DTLSv1.3')
  expect(await versionOf(newer.url, '--min-version', 'DTLSv1.3')).toBe('DTLSv1.3')
  expect(await versionOf(newer.url, '--protocol', 'dtls13')).toBe('DTLSv1.3')
  expect(await versionOf(newer.url)).toBe('DTLSv1.2')
  expect(newer.asked).toEqual(['DTLSv1.3', 'DTLSv1.3', 'DTLSv1.3', 'DTLSv1.2'])
  const older = await serving('DTLSv1.2')
  expect(await versionOf(older.url, ...BOTH)).toBe('DTLSv1.2')
  expect(older.asked).toEqual(['DTLSv1.2'])
})

it('cli/listen with shares: serves each version with its own key', async () => {
  const server = startMcbn(['listen', 'dtls://127.0.0.1:0', ...SHARES, ...BOTH, '--echo'])
  const [, port] = await server.output(/^listening on \S+:(\d+)$/m)
  for (const version of ['DTLSv1.3', 'DTLSv1.2'] as const) {
    const psk = { identity: 'Client1', key: keyFor(version) }
    const to = { host: '127.0.0.1', port: Number(port), minVersion: version, maxVersion: version }
    const socket = await dtls.connect({ ...to, psk }).opened
    const echoed = once(socket, 'message')
    socket.send(version)
    expect((await echoed)[0].toString()).toBe(version)
    await socket.close()
    const other = keyFor(version === 'DTLSv1.3' ? 'DTLSv1.2' : 'DTLSv1.3')
    const stranger = dtls.connect({ ...to, psk: { identity: 'Client1', key: other } })
    await expect(stranger.opened).rejects.toMatchObject({ code: 'MCBN_PSK_MISMATCH' })
  }
})
