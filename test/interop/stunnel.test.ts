// stunnel with a PSKsecrets file, as server and as client: plain TCP on one side, mcbn on the other.

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { loadPskFile } from '../../src/psk/index.js'
import { temporaryFolder } from '../support/paths.js'
import { freeTcpPort } from '../support/ports.js'
import { type Child, nextEvent, start } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import { describeWithOptionalPeers } from './optional-peers.js'
import {
  connectTo,
  expectEchoed,
  FROM_PEER,
  facts,
  IDENTITY,
  KEY,
  LOOPBACK,
  refusedBy,
  serveEcho,
  WRONG_KEY,
} from './support.js'

interface Stunnel {
  readonly peer: Child
  readonly port: number
  readonly secrets: string
}

/** @param service - lines of the service's section besides `accept` and PSKsecrets. */
async function stunnel(service: readonly string[], key = KEY): Promise<Stunnel> {
  const folder = temporaryFolder()
  const secrets = join(folder, 'psk.txt')
  const file = join(folder, 'stunnel.conf')
  const port = await freeTcpPort()
  writeFileSync(secrets, `${IDENTITY}:${key}\n`, { mode: 0o600 })
  const section = ['[mcbn]', `accept = ${LOOPBACK}:${port}`, `PSKsecrets = ${secrets}`, ...service]
  writeFileSync(file, ['foreground = yes', 'debug = info', 'pid =', ...section, ''].join('\n'))
  const peer = start('stunnel', [file], { foreign: true })
  await peer.output('Configuration successful')
  return { peer, port, secrets }
}

async function plainEcho(): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

const VERSIONS = [
  ['TLSv1.3', 'TLS_AES_128_GCM_SHA256', ['ciphersuites = TLS_AES_128_GCM_SHA256']],
  ['TLSv1.2', 'ECDHE-PSK-CHACHA20-POLY1305', ['sslVersionMax = TLSv1.2', 'ciphers = PSK']],
  [
    'TLSv1.2',
    'PSK-AES256-GCM-SHA384',
    ['sslVersionMax = TLSv1.2', 'ciphers = PSK-AES256-GCM-SHA384'],
  ],
] as const

describeWithOptionalPeers(['stunnel'], 'interop/stunnel', () => {
  it.each(VERSIONS)('%s: as client, echoes under %s', async (version, cipher, lines) => {
    const server = await serveEcho('tls')
    const target = `connect = ${LOOPBACK}:${server.port}`
    const { port, secrets } = await stunnel(['client = yes', target, ...lines])
    expect(loadPskFile(secrets).get(IDENTITY)?.toString('hex')).toBe(KEY)
    const socket = connect(port, LOOPBACK)
    onTestFinished(() => void socket.destroy())
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    await nextEvent(socket, 'connect')
    socket.write(FROM_PEER)
    await waitFor('the echo', () => Buffer.concat(chunks).toString() === FROM_PEER)
    expect(server.received()).toBe(FROM_PEER)
    expect(await server.accepted).toEqual(facts(version, cipher))
  })

  it.each(VERSIONS)('%s: as server, echoes under %s', async (version, cipher, lines) => {
    const { port, peer } = await stunnel([`connect = ${LOOPBACK}:${await plainEcho()}`, ...lines])
    const client = await connectTo('tls', port, { ciphers: version === 'TLSv1.2' ? cipher : '' })
    await expectEchoed(client, facts(version, cipher))
    await client.close()
    await peer.output(/connections? closed|Connection closed/i)
  })

  it.each(VERSIONS.slice(0, 2))('%s: as server, a wrong key is named', async (...version) => {
    const target = `connect = ${LOOPBACK}:${await plainEcho()}`
    const { port } = await stunnel([target, ...version[2]], WRONG_KEY)
    expect((await refusedBy('tls', port)).code).toBe('MCBN_PSK_MISMATCH')
  })
})
