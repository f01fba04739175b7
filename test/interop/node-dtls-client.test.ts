// node-dtls-client, a DTLS 1.2 client in JavaScript that drives lamps and gateways over Node's UDP sockets,
// against mcbn's servers: every suite it speaks, on both of our record layers. It has no server, knows no
// extension (so no extended master secret) and never sends a flight again. An identity hint is not tried: it
// throws at the ServerKeyExchange that carries one.

import { once } from 'node:events'
import { dtls as nodeDtls } from 'node-dtls-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { echo, failureNumber, nextMessage, type Served, serve } from '../dtls/support.js'
import { seeded, seededBytes } from '../support/random.js'
import { credential, IDENTITY, KEY, LOOPBACK, WRONG_KEY } from './support.js'

type SuiteName = NonNullable<nodeDtls.Options['ciphers']>[number]

const MESSAGES = 300
/** Messages under way at a time: its socket has the system's usual buffer. */
const WINDOW = 32
/** Milliseconds until it gives up; by itself it would after one second. */
const PATIENCE = 10_000

interface Suite {
  /** OpenSSL's name. */
  readonly name: string
  /** The registry's, as the client wants it. */
  readonly theirs: SuiteName
}

const AEAD: readonly Suite[] = [
  { name: 'PSK-AES128-GCM-SHA256', theirs: 'TLS_PSK_WITH_AES_128_GCM_SHA256' },
  { name: 'PSK-AES256-GCM-SHA384', theirs: 'TLS_PSK_WITH_AES_256_GCM_SHA384' },
  { name: 'PSK-AES128-CCM', theirs: 'TLS_PSK_WITH_AES_128_CCM' },
  { name: 'PSK-AES256-CCM', theirs: 'TLS_PSK_WITH_AES_256_CCM' },
  { name: 'PSK-AES128-CCM8', theirs: 'TLS_PSK_WITH_AES_128_CCM_8' },
  { name: 'PSK-AES256-CCM8', theirs: 'TLS_PSK_WITH_AES_256_CCM_8' },
]
const CBC: readonly Suite[] = [
  { name: 'PSK-AES128-CBC-SHA', theirs: 'TLS_PSK_WITH_AES_128_CBC_SHA' },
  { name: 'PSK-AES256-CBC-SHA', theirs: 'TLS_PSK_WITH_AES_256_CBC_SHA' },
  { name: 'PSK-AES128-CBC-SHA256', theirs: 'TLS_PSK_WITH_AES_128_CBC_SHA256' },
  { name: 'PSK-AES256-CBC-SHA384', theirs: 'TLS_PSK_WITH_AES_256_CBC_SHA384' },
]
const CCM8 = AEAD[4] as Suite

const CASES = [
  ...AEAD.flatMap((suite) =>
    (['mcbn', 'openssl'] as const).map((records) => ({ ...suite, records })),
  ),
  // Always on OpenSSL's records.
  ...CBC.map((suite) => ({ ...suite, records: 'mcbn' as const })),
].map((chosen, index) => ({ ...chosen, closer: index % 3 ? ('client' as const) : 'mcbn' }))

/** A client whose handshake has begun; closed when the test ends. */
function open(port: number, ciphers?: SuiteName[], key = credential.key, identity = IDENTITY) {
  const client = nodeDtls.createSocket({
    type: 'udp4',
    address: LOOPBACK,
    port,
    // It makes bytes of this by Buffer.from(key, 'ascii'), which for Node is latin1: any byte can be said.
    psk: { [identity]: Buffer.from(key).toString('latin1') },
    timeout: PATIENCE,
    ...(ciphers && { ciphers }),
  })
  let over = false
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      over = true
      resolve()
    }
    client.once('close', end).once('error', end)
  })
  onTestFinished(() => {
    // Its UDP socket is closed after either event, and close() would throw.
    if (!over) client.close()
  })
  return { client, ended }
}

async function openPair(served: Served<undefined>, ciphers?: SuiteName[]) {
  const accepted = once(served.server, 'secureConnection')
  const { client, ended } = open(served.port, ciphers)
  await once(client, 'connected')
  const [socket] = (await accepted) as [DtlsSocket]
  return { client, ended, socket }
}

/** Messages of every kind of size go to the server and come back as they were, in their order. */
async function expectEchoes(client: nodeDtls.Socket, largest: number): Promise<void> {
  const random = seeded(largest)
  const edges = [1, 2, 15, 16, 17, largest - 1, largest]
  const sent: Buffer[] = []
  const wrong: number[] = []
  let back = 0
  let arrived: () => void = () => undefined
  client.on('message', (message: Buffer) => {
    if (!sent[back]?.equals(message)) wrong.push(back)
    back += 1
    arrived()
  })
  for (let index = 0; index < MESSAGES; index += 1) {
    const length = edges[index] ?? 1 + Math.floor(random() ** 2 * largest)
    const message = seededBytes(random, length)
    sent.push(message)
    client.send(message)
    const under = index === MESSAGES - 1 ? 0 : WINDOW
    while (sent.length - back > under) {
      await new Promise<void>((resolve, reject) => {
        const late = () => reject(new Error(`only ${back} of ${sent.length} messages came back`))
        const timer = setTimeout(late, 5_000)
        arrived = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
  expect(wrong).toEqual([])
}

describe('interop/node-dtls-client against mcbn', () => {
  it.each(CASES)(
    'gets all its messages back: $name, records $records, $closer closes',
    async ({ name, theirs, records, closer }) => {
      const served = await echo({ psk: { [IDENTITY]: credential.key }, ciphers: name, records })
      const { client, ended, socket } = await openPair(served, [theirs])
      expect(socket.getProtocol()).toBe('DTLSv1.2')
      expect(socket.getCipher()?.name).toBe(name)
      expect(socket.pskIdentity?.toString()).toBe(IDENTITY)

      await expectEchoes(client, socket.maxDatagramSize)
      expect(socket.stats).toMatchObject({ messagesSent: MESSAGES, messagesReceived: MESSAGES })
      expect(socket.stats.recordsDropped).toBe(0)
      expect(served.server.stats.dropped['badMac']).toBe(0)

      const errors: Error[] = []
      socket.on('error', (error) => errors.push(error))
      if (closer === 'mcbn') await socket.close()
      else client.close()
      await Promise.all([ended, socket.closed])
      expect(errors).toEqual([])
      expect(served.failures).toEqual([])
    },
  )

  it('agrees on a suite with an AEAD when both sides keep their own lists', async () => {
    const served = await echo({ psk: { [IDENTITY]: credential.key } })
    const { client, socket } = await openPair(served)
    expect(AEAD.map(({ name }) => name)).toContain(socket.getCipher()?.name)
    await expectEchoes(client, socket.maxDatagramSize)
  })

  it.each([
    ['a path of 256 bytes', { mtu: 256 }],
    ['a key that comes later', { psk: async () => credential.key }],
  ])('copes with %s', async (_what, settings) => {
    const served = await serve({ psk: { [IDENTITY]: credential.key }, ...settings })
    const { client, socket } = await openPair(served, [CCM8.theirs])
    client.send(Buffer.from('over there'))
    expect((await nextMessage(socket)).toString()).toBe('over there')
    socket.send('and back')
    const [message] = await once(client, 'message')
    expect(String(message)).toBe('and back')
  })

  it('has no keying material to export: it does not know RFC 7627', async () => {
    const { socket } = await openPair(await serve({ psk: { [IDENTITY]: credential.key } }))
    expect(() => socket.exportKeyingMaterial(32, 'EXPORTER-test')).toThrow(
      expect.objectContaining({ code: 'MCBN_EXPORTER_UNAVAILABLE' }),
    )
  })

  describe.each(['mcbn', 'openssl'] as const)('records %s', (records) => {
    it.each([
      ['a wrong key', WRONG_KEY, IDENTITY, 'MCBN_PSK_MISMATCH'],
      ['an unknown identity', KEY, 'Stranger', 'MCBN_PSK_IDENTITY_UNKNOWN'],
    ])('is refused by alert for %s', async (_what, key, identity, code) => {
      const served = await serve({ psk: { [IDENTITY]: credential.key }, records })
      const { client } = open(served.port, [CCM8.theirs], Buffer.from(key, 'hex'), identity)
      const refused = new Promise<Error>((resolve) => client.once('error', resolve))
      expect((await failureNumber(served.failures, 1)).code).toBe(code)
      expect((await refused).message).toMatch(/^received fatal alert: \w+$/i)
      expect(served.failures).toHaveLength(1)
    })
  })

  it('is refused by name when it has none of the suites that the server wants', async () => {
    const served = await serve({
      psk: { [IDENTITY]: credential.key },
      ciphers: 'PSK-CHACHA20-POLY1305',
    })
    const { client } = open(served.port)
    const refused = new Promise<Error>((resolve) => client.once('error', resolve))
    expect((await failureNumber(served.failures, 1)).code).toBe('MCBN_HANDSHAKE_FAILED')
    expect((await refused).message).toMatch(/handshake_failure/i)
  })
})
