// The MQTT broker mosquitto with a psk_file; MQTT 3.1.1 packets by hand.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../support/paths.js'
import { freeTcpPort } from '../support/ports.js'
import { type Child, start } from '../support/process.js'
import { describeWithOptionalPeers } from './optional-peers.js'
import { connectTo, facts, HINT, IDENTITY, KEY, LOOPBACK, refusedBy, WRONG_KEY } from './support.js'

async function broker(key = KEY): Promise<{ readonly port: number; readonly peer: Child }> {
  const folder = temporaryFolder()
  const [secrets, file] = [join(folder, 'psk.txt'), join(folder, 'mosquitto.conf')]
  const port = await freeTcpPort()
  writeFileSync(secrets, `${IDENTITY}:${key}\n`)
  writeFileSync(
    file,
    [`listener ${port} ${LOOPBACK}`, `psk_file ${secrets}`, `psk_hint ${HINT}`]
      // As root it would become the user mosquitto, who may not read the file.
      .concat(['use_identity_as_username true', 'user root', 'log_dest stderr', ''])
      .join('\n'),
  )
  const peer = start('mosquitto', ['-v', '-c', file], { foreign: true })
  await peer.output(/mosquitto version \S+ running/)
  return { port, peer }
}

/** A field of MQTT: its length in two bytes, then its UTF-8 (MQTT 3.1.1 section 1.5.3). */
function field(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes])
}

/** Packets shorter than 128 bytes: their length is one byte. */
function packet(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(type, body.length), body])
}

const CONNECT = packet(0x10, field('MQTT'), Buffer.of(4, 2, 0, 60), field('mcbn'))
const SUBSCRIBE = packet(0x82, Buffer.of(0, 1), field('a/topic'), Buffer.of(0))
const PUBLISH = packet(0x30, field('a/topic'), Buffer.from('a message'))

describeWithOptionalPeers(['mosquitto'], 'interop/mosquitto', () => {
  it.each([
    ['TLSv1.3', 'TLS_AES_128_GCM_SHA256'],
    ['TLSv1.3', 'TLS_CHACHA20_POLY1305_SHA256'],
    ['TLSv1.2', 'ECDHE-PSK-CHACHA20-POLY1305'],
    ['TLSv1.2', 'PSK-AES128-GCM-SHA256'],
  ] as const)('%s: publishes and hears its own message under %s', async (version, cipher) => {
    const { port, peer } = await broker()
    const client = await connectTo('tls', port, { ciphers: cipher, maxVersion: version })
    expect(client.facts).toEqual(facts(version, cipher))
    client.send(CONNECT)
    await client.receives('\x20\x02\0\0') // CONNACK, accepted
    client.send(SUBSCRIBE)
    client.send(PUBLISH)
    await client.receives(PUBLISH.toString())
    // The identity of the key is the user's name.
    await peer.output(new RegExp(`New client connected from \\S+ as mcbn \\(.*u'${IDENTITY}'`))
  })

  it('TLSv1.2: gives its psk function the hint of psk_hint', async () => {
    const { port } = await broker()
    const hints: (string | undefined)[] = []
    const psk = (hint: string | undefined) => {
      hints.push(hint)
      return { identity: IDENTITY, key: Buffer.from(KEY, 'hex') }
    }
    const client = await connectTo('tls', port, { psk, maxVersion: 'TLSv1.2' })
    client.send(CONNECT)
    await client.receives('\x20\x02\0\0')
    expect(hints).toEqual([HINT])
  })

  it.each(['TLSv1.3', 'TLSv1.2'] as const)('%s: names a wrong key', async (maxVersion) => {
    const { port } = await broker(WRONG_KEY)
    expect((await refusedBy('tls', port, { maxVersion })).code).toBe('MCBN_PSK_MISMATCH')
  })
})
