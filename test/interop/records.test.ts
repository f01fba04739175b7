// The record layer against those of other libraries: every AEAD suite that both have, in both roles, a few
// hundred messages of all sizes, which the peer sends back; then close_notify from either side.

import { once } from 'node:events'
import { beforeAll, describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { dialOpen, serve } from '../dtls/support.js'
import { seeded, seededBytes } from '../support/random.js'
import {
  canCompile,
  compilePeer,
  type Echoer,
  EXPORTER_LABEL,
  PEER_LIBRARIES,
  type PeerLibrary,
  peerCloses,
  startClient,
  startServer,
} from './peers.js'
import { credential, IDENTITY } from './support.js'

const MESSAGES = 300
/** Messages under way at a time: less than any peer's socket buffer. */
const WINDOW = 32

interface Case {
  readonly suite: string
  readonly records: 'mcbn' | 'openssl'
  /** The side that says goodbye: mcbn, or the peer. */
  readonly closer: 'mcbn' | 'peer'
}

function casesOf(suites: readonly string[]): Case[] {
  const own = suites.map((suite, index) => ({
    suite,
    records: 'mcbn' as const,
    closer: index % 2 ? ('peer' as const) : ('mcbn' as const),
  }))
  const theirs = suites.slice(0, 2).map((suite, index) => ({
    suite,
    records: 'openssl' as const,
    closer: index % 2 ? ('mcbn' as const) : ('peer' as const),
  }))
  return [...own, ...theirs]
}

describe.each(PEER_LIBRARIES)('interop/records: $name', (library) => {
  describe.skipIf(!canCompile(library))(`on ${library.package}`, () => {
    const settings = library.mtu === undefined ? {} : { mtu: library.mtu }
    let program = ''
    beforeAll(async () => {
      program = await compilePeer(library)
    }, 180_000)

    it.each(casesOf(library.suites))(
      'a client gets all from an mcbn server and back: $suite, records $records, $closer closes',
      async ({ suite, records, closer }) => {
        const { server, port } = await serve({
          ...settings,
          psk: { [IDENTITY]: credential.key },
          records,
        })
        const accepted = once(server, 'secureConnection')
        const peer = startClient(program, port, suite)
        const [socket] = (await accepted) as [DtlsSocket]
        await expectRecords(socket, peer, suite, closer, library)
        expect(server.stats.dropped['badMac']).toBe(0)
      },
    )

    it.each(casesOf(library.suites))(
      'a server gets all from an mcbn client and back: $suite, records $records, $closer closes',
      async ({ suite, records, closer }) => {
        const peer = await startServer(program, suite)
        const socket = await dialOpen({
          ...settings,
          port: peer.port,
          psk: credential,
          records,
        })
        await expectRecords(socket, peer, suite, closer, library)
      },
    )
  })
})

async function expectRecords(
  socket: DtlsSocket,
  peer: Echoer,
  suite: string,
  closer: Case['closer'],
  library: PeerLibrary,
): Promise<void> {
  expect(socket.getCipher()?.name).toBe(suite)
  expect(socket.pskIdentity?.toString()).toBe(IDENTITY)
  const exported = socket.exportKeyingMaterial(32, EXPORTER_LABEL).toString('hex')
  expect(await peer.exported()).toBe(exported)
  await expectEchoes(socket)
  expect(socket.stats).toMatchObject({ messagesSent: MESSAGES, messagesReceived: MESSAGES })
  expect(socket.stats.recordsDropped).toBe(0)
  if (closer === 'mcbn') {
    await socket.close()
    await peer.child.output('closed by peer')
  } else {
    const errors: Error[] = []
    socket.on('error', (error) => errors.push(error))
    await peerCloses(peer, socket, library)
    expect(errors).toEqual([])
  }
  await peer.child.output(`echoed ${MESSAGES}`)
}

/** Messages of every kind of size go out and come back as they were, in their order. */
async function expectEchoes(socket: DtlsSocket): Promise<void> {
  const random = seeded(socket.maxDatagramSize)
  const edges = [1, 2, 15, 16, 17, socket.maxDatagramSize - 1, socket.maxDatagramSize]
  const sent: Buffer[] = []
  const wrong: number[] = []
  let back = 0
  let arrived: () => void = () => undefined
  socket.on('message', (message) => {
    if (!sent[back]?.equals(message)) wrong.push(back)
    back += 1
    arrived()
  })
  for (let index = 0; index < MESSAGES; index += 1) {
    const length = edges[index] ?? 1 + Math.floor(random() ** 2 * socket.maxDatagramSize)
    const message = seededBytes(random, length)
    sent.push(message)
    socket.send(message)
    const under = index === MESSAGES - 1 ? 0 : WINDOW
    while (sent.length - back > under) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`only ${back} of ${sent.length} messages came back`)),
          5_000,
        )
        arrived = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
  expect(wrong).toEqual([])
}
