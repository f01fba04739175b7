// The state machine of DTLS 1.2 with pre-shared keys (RFC 6347 section 4.2, RFC 4279 section 2) against a peer
// that knows the key and keeps to no order. Sequences are data: what is sent, step by step, and how it must end.
// An end is the opened session with its data, or the code of the error.

import { expect, it } from 'vitest'
import type { McbnError } from '../../src/errors.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { DtlsServerPeer } from '../support/dtls-server-peer.js'
import { alert, DTLS12, MESSAGE, message, record, SUITE, TYPE, u16 } from '../support/dtls-wire.js'
import { waitFor } from '../support/wait.js'
import { dial, freshKey, identity, serve } from './support.js'

const CIPHER = 'PSK-AES128-GCM-SHA256'
/** What a handshake that hangs ends with; every row that hangs takes as long, all at the same time. */
const TIMEOUT = 'MCBN_HANDSHAKE_TIMEOUT'
const EMPTY = Buffer.alloc(0)

/** Milliseconds. The other rows may take as long as a busy machine takes. */
function patience(end: End) {
  return {
    handshakeTimeout: end === 'open' || end === 'MCBN_HANDSHAKE_FAILED' ? 60_000 : 3_000,
    retransmitTimeout: 500,
  }
}

type Records = 'mcbn' | 'openssl'
type End = 'open' | 'MCBN_PSK_MISMATCH' | 'MCBN_HANDSHAKE_FAILED' | 'MCBN_HANDSHAKE_TIMEOUT'

// ---- a client against our server ------------------------------------------------------------------

/** After the ServerHelloDone: the datagrams of the peer's last flight, and what does not belong there. */
const CLIENT_STEPS = {
  exchange: (peer: DtlsPeer) => peer.lastFlight[0] as Buffer,
  ccs: (peer: DtlsPeer) => peer.lastFlight[1] as Buffer,
  finished: (peer: DtlsPeer) => peer.lastFlight[2] as Buffer,
  'the flight again, in new records': (peer: DtlsPeer) => peer.lastFlightAgain(),
  'a Finished in the clear': (peer: DtlsPeer) =>
    peer.plain(TYPE.handshake, message(MESSAGE.finished, 3, Buffer.alloc(12, 7))),
  'a false Finished': (peer: DtlsPeer) =>
    peer.seal(TYPE.handshake, message(MESSAGE.finished, 3, Buffer.alloc(12, 7))),
  'data in the clear': (peer: DtlsPeer) => peer.plain(TYPE.applicationData, Buffer.from('clear')),
  'data before its time': (peer: DtlsPeer) => peer.seal(TYPE.applicationData, Buffer.from('early')),
  'an exchange for somebody else': (peer: DtlsPeer) =>
    peer.plain(TYPE.handshake, message(MESSAGE.clientKeyExchange, 2, named('Stranger'))),
  'an exchange from the future': (peer: DtlsPeer) =>
    peer.plain(TYPE.handshake, message(MESSAGE.clientKeyExchange, 7, named(identity))),
  'an exchange without an end': (peer: DtlsPeer) =>
    peer.plain(TYPE.handshake, message(MESSAGE.clientKeyExchange, 2, Buffer.of(0, 9, 65))),
  'half an exchange': (peer: DtlsPeer) =>
    peer.plain(
      TYPE.handshake,
      message(MESSAGE.clientKeyExchange, 2, named(identity), { offset: 0, length: 4 }),
    ),
  'the other half': (peer: DtlsPeer) =>
    peer.plain(
      TYPE.handshake,
      message(MESSAGE.clientKeyExchange, 2, named(identity), { offset: 4 }),
    ),
  'an exchange in epoch 1': (peer: DtlsPeer) =>
    peer.seal(TYPE.handshake, message(MESSAGE.clientKeyExchange, 2, named(identity))),
  'a certificate': (peer: DtlsPeer) =>
    peer.plain(TYPE.handshake, message(MESSAGE.certificate, 2, Buffer.of(0, 0, 0))),
  'a ServerHello': (peer: DtlsPeer) =>
    peer.plain(TYPE.handshake, message(MESSAGE.serverHello, 2, Buffer.alloc(38))),
  'the hello again': (peer: DtlsPeer) => peer.helloWithCookie,
  'a ccs of two bytes': (peer: DtlsPeer) => peer.plain(TYPE.changeCipherSpec, Buffer.of(1, 1)),
  'a ccs in epoch 1': (peer: DtlsPeer) => peer.seal(TYPE.changeCipherSpec, Buffer.of(1)),
  'a record of epoch 2': () => record(TYPE.handshake, 2, 0, Buffer.alloc(60)),
  'an unknown type': (peer: DtlsPeer) => peer.plain(99, Buffer.alloc(20)),
  'a warning': () => alert(1, 90, 1_000),
  'half a record': (peer: DtlsPeer) => (peer.lastFlight[2] as Buffer).subarray(0, 20),
} as const satisfies Record<string, (peer: DtlsPeer) => Buffer>
type ClientStep = keyof typeof CLIENT_STEPS

const CLIENT_ROWS: readonly (readonly [steps: readonly ClientStep[], end: End])[] = [
  [['exchange', 'ccs', 'finished'], 'open'],
  // UDP brings them in any order: what is early waits or comes again.
  [['exchange', 'finished', 'ccs'], 'open'],
  [['exchange', 'exchange', 'ccs', 'ccs', 'finished', 'finished'], 'open'],
  [['the hello again', 'exchange', 'the hello again', 'ccs', 'finished'], 'open'],
  [['exchange', 'ccs', 'the flight again, in new records'], 'open'],
  [['half an exchange', 'the other half', 'ccs', 'finished'], 'open'],
  [['the other half', 'half an exchange', 'half an exchange', 'ccs', 'finished'], 'open'],
  // What belongs nowhere is left out.
  [['a certificate', 'exchange', 'ccs', 'finished'], 'open'],
  [['a ServerHello', 'exchange', 'a ServerHello', 'ccs', 'finished'], 'open'],
  [['data in the clear', 'exchange', 'data in the clear', 'ccs', 'finished'], 'open'],
  [['a record of epoch 2', 'exchange', 'a record of epoch 2', 'ccs', 'finished'], 'open'],
  [['an unknown type', 'half a record', 'exchange', 'ccs', 'half a record', 'finished'], 'open'],
  [['a ccs of two bytes', 'exchange', 'a ccs of two bytes', 'ccs', 'finished'], 'open'],
  [['an exchange from the future', 'exchange', 'ccs', 'finished'], 'open'],
  [['exchange', 'an exchange for somebody else', 'ccs', 'finished'], 'open'],
  [['exchange', 'a Finished in the clear', 'ccs', 'finished'], 'open'],
  [['a warning', 'exchange', 'ccs', 'a warning', 'finished'], 'open'],
  // Nobody gets in with a part of the flight.
  [[], TIMEOUT],
  [['exchange'], TIMEOUT],
  [['ccs', 'finished'], TIMEOUT],
  [['exchange', 'finished'], TIMEOUT],
  [['exchange', 'ccs'], TIMEOUT],
  [['exchange', 'ccs', 'a Finished in the clear'], TIMEOUT],
  [['exchange', 'ccs', 'data before its time'], TIMEOUT],
  [['exchange', 'data before its time', 'data in the clear'], TIMEOUT],
  [['exchange', 'a ccs in epoch 1', 'finished'], TIMEOUT],
  [['a ccs of two bytes', 'exchange', 'finished'], TIMEOUT],
  [['an exchange in epoch 1', 'ccs', 'finished'], TIMEOUT],
  [['an exchange from the future', 'ccs', 'finished'], TIMEOUT],
  [['half an exchange', 'ccs', 'finished'], TIMEOUT],
  [['a certificate', 'ccs', 'finished'], TIMEOUT],
  // The key is there and the Finished is not true.
  [['exchange', 'ccs', 'a false Finished'], 'MCBN_PSK_MISMATCH'],
]

function named(name: string): Buffer {
  return Buffer.concat([u16(name.length), Buffer.from(name)])
}

it('dtls/state machine: every sequence ends our server’s handshake as it must, on both record layers', async () => {
  await expectEnds(CLIENT_ROWS, async (steps, end, records) => {
    const key = freshKey()
    const psk = { [identity]: key }
    const { server, port, failures } = await serve({
      psk,
      ciphers: CIPHER,
      records,
      ...patience(end),
    })
    const heard: string[] = []
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {})
      socket.on('message', (data) => heard.push(data.toString()))
    })
    const peer = await DtlsPeer.create({ port, identity: Buffer.from(identity), key })
    await peer.hello()
    peer.makeLastFlight()
    for (const step of steps) peer.send(CLIENT_STEPS[step](peer))
    await waitFor('an end', () => failures.length > 0 || server.stats.handshakesCompleted === 1)
    if (end === 'open') peer.sendSealed(TYPE.applicationData, Buffer.from('proved'))
    if (end === 'open') await waitFor('data', () => heard.length > 0 || failures.length > 0)
    return { code: failures[0]?.code, heard }
  })
})

// ---- a server against our client ------------------------------------------------------------------

type ServerStep = (peer: DtlsServerPeer) => Buffer | Promise<Buffer>
const finished: ServerStep = async (peer) =>
  Buffer.concat([
    peer.plain(TYPE.changeCipherSpec, Buffer.of(1)),
    peer.seal(TYPE.handshake, await peer.finished()),
  ])

const SERVER_STEPS = {
  hello: (peer) => peer.serverHello(),
  done: (peer) => peer.next(MESSAGE.serverHelloDone, EMPTY),
  'a hint': (peer) => peer.next(MESSAGE.serverKeyExchange, named('hint')),
  'ccs and finished': finished,
  'finished before ccs': async (peer) => {
    const last = peer.seal(TYPE.handshake, await peer.finished())
    return Buffer.concat([last, peer.plain(TYPE.changeCipherSpec, Buffer.of(1))])
  },
  'finished without ccs': async (peer) => peer.seal(TYPE.handshake, await peer.finished()),
  'ccs and a Finished in the clear': async (peer) =>
    Buffer.concat([
      peer.plain(TYPE.changeCipherSpec, Buffer.of(1)),
      peer.plain(TYPE.handshake, await peer.finished()),
    ]),
  'ccs and a false Finished': async (peer) => {
    const last = await peer.finished()
    last[last.length - 1] = (last[last.length - 1] ?? 0) ^ 1
    return Buffer.concat([
      peer.plain(TYPE.changeCipherSpec, Buffer.of(1)),
      peer.seal(TYPE.handshake, last),
    ])
  },
  'a suite that was not offered': (peer) => peer.serverHello(0x00ae),
  'DTLS 1.0': (peer) => peer.serverHello(SUITE, 0xfeff),
  'a HelloRequest': (peer) => peer.plain(TYPE.handshake, message(MESSAGE.helloRequest, 0, EMPTY)),
  'a certificate': (peer) =>
    peer.plain(TYPE.handshake, message(MESSAGE.certificate, 1, Buffer.of(0, 0, 0))),
  'a ClientKeyExchange': (peer) =>
    peer.plain(TYPE.handshake, message(MESSAGE.clientKeyExchange, 1, named('x'))),
  'a ccs': (peer) => peer.plain(TYPE.changeCipherSpec, Buffer.of(1)),
  'data in the clear': (peer) => peer.plain(TYPE.applicationData, Buffer.from('clear')),
  'data before its time': (peer) => peer.seal(TYPE.applicationData, Buffer.from('early')),
  'a record of epoch 2': () => record(TYPE.handshake, 2, 0, Buffer.alloc(60)),
  'another version': (peer) => {
    const made = peer.plain(TYPE.handshake, message(MESSAGE.serverHelloDone, 1, EMPTY))
    made.writeUInt16BE(DTLS12 + 1, 1)
    return made
  },
} as const satisfies Record<string, ServerStep>
type ServerStepName = keyof typeof SERVER_STEPS

const SERVER_ROWS: readonly (readonly [steps: readonly ServerStepName[], end: End])[] = [
  [['hello', 'done', 'ccs and finished'], 'open'],
  [['hello', 'a hint', 'done', 'ccs and finished'], 'open'],
  [['hello', 'done', 'finished before ccs'], 'open'],
  [['data in the clear', 'hello', 'data in the clear', 'done', 'ccs and finished'], 'open'],
  [['a HelloRequest', 'hello', 'a HelloRequest', 'done', 'ccs and finished'], 'open'],
  [['a ccs', 'hello', 'a ccs', 'done', 'ccs and finished'], 'open'],
  [['hello', 'a certificate', 'a ClientKeyExchange', 'done', 'ccs and finished'], 'open'],
  [['a record of epoch 2', 'hello', 'another version', 'done', 'ccs and finished'], 'open'],
  [[], TIMEOUT],
  [['hello'], TIMEOUT],
  [['hello', 'a hint'], TIMEOUT],
  [['hello', 'a certificate'], TIMEOUT],
  [['hello', 'data before its time'], TIMEOUT],
  [['hello', 'done', 'finished without ccs'], TIMEOUT],
  [['hello', 'done', 'ccs and a Finished in the clear'], TIMEOUT],
  [['hello', 'done', 'a ccs', 'data before its time'], TIMEOUT],
  [['hello', 'done', 'ccs and a false Finished'], 'MCBN_PSK_MISMATCH'],
  [['a suite that was not offered'], 'MCBN_HANDSHAKE_FAILED'],
  [['DTLS 1.0'], 'MCBN_HANDSHAKE_FAILED'],
]

it('dtls/state machine: every sequence ends our client’s handshake as it must, on both record layers', async () => {
  await expectEnds(SERVER_ROWS, async (steps, end, records) => {
    const key = freshKey()
    const peer = await DtlsServerPeer.create(key)
    const settings = { ciphers: CIPHER, records, ...patience(end) }
    const client = dial({ port: peer.port, psk: { identity, key }, ...settings })
    const heard: string[] = []
    client.on('message', (data) => heard.push(data.toString()))
    const opening = client.opened.then(
      () => undefined,
      (error) => (error as McbnError).code,
    )
    await peer.hello()
    for (const step of steps) peer.send(await (SERVER_STEPS[step] as ServerStep)(peer))
    const code = await opening
    if (end === 'open') peer.send(peer.seal(TYPE.applicationData, Buffer.from('proved')))
    if (end === 'open') await waitFor('data', () => heard.length > 0 || code !== undefined)
    return { code, heard }
  })
})

/** All rows on both record layers at once, since those that hang end with their timeouts; all that were wrong are shown. */
async function expectEnds<Step extends string>(
  rows: readonly (readonly [steps: readonly Step[], end: End])[],
  run: (
    steps: readonly Step[],
    end: End,
    records: Records,
  ) => Promise<{ code: string | undefined; heard: string[] }>,
): Promise<void> {
  const cases = (['mcbn', 'openssl'] as const).flatMap((records) =>
    rows.map(([steps, end]) => ({ name: `${records}: ${steps.join(', ')}`, steps, end, records })),
  )
  const found = await Promise.all(
    cases.map(async ({ name, steps, end, records }) => [name, await run(steps, end, records)]),
  )
  const expected = cases.map(({ name, end }) => [
    name,
    // Nothing that was said before the proof is heard after it.
    end === 'open' ? { code: undefined, heard: ['proved'] } : { code: end, heard: [] },
  ])
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected))
}
