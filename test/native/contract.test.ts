// What the addon and TypeScript must both know: the addon exports it, TypeScript says the same.

import { describe, expect, it } from 'vitest'
import { CONNECTION_ID_BOUNDS, REPLAY_WINDOW_BOUNDS } from '../../src/dtls/options.js'
import { DTLS_DEFAULTS } from '../../src/dtls/types.js'
import { READY } from '../../src/native/contract.js'
import { EVENT, EVENT_ROW_LENGTH, FRAME, NO_DETAIL } from '../../src/native/dtls.js'
import {
  NO_ENDPOINT_FIGURES,
  NO_SESSION_FIGURES,
  NO_UDP_FIGURES,
} from '../../src/native/figures.js'
import { loadAddon } from '../../src/native/load.js'
import { READY_RANGE } from '../../src/native/tls.js'
import { IDENTITY_MAX_BYTES } from '../../src/psk/identity.js'
import { KEY_MAX_BYTES, KEY_MIN_BYTES } from '../../src/psk/key.js'

const addon = loadAddon()
const { contract } = addon
const key = Buffer.alloc(32, 7)
const identity = Buffer.from('Client1')

const CONTEXT = {
  server: true,
  datagram: true,
  min13: false,
  max12: true,
  ciphers: '',
  identityHint: '',
  alpn: [],
  keys: new addon.KeyTable(),
  ask: true,
  conceal: true,
}
const LIMITS = { maxSessions: 1, maxHandshakes: 1, maxSessionsPerHost: 0, evictAfter: 0 }
const ENDPOINT = {
  address: '127.0.0.1',
  port: 0,
  reusePort: false,
  ipv6Only: false,
  recvBufferSize: 0,
  sendBufferSize: 0,
  mtu: 1400,
  handshakeTimeout: 0,
  retransmitTimeout: 0,
  idleTimeout: 0,
  forgeryLimit: 0,
  replayWindow: 64,
  busyPoll: 0,
  connectionId: -1,
  opensslRecords: false,
  keylog: false,
}
const LISTEN = { ...ENDPOINT, threads: 1, threadIndex: 0, cookieSecret: key, rowKey: key }
const CONNECT = {
  ...ENDPOINT,
  port: 9,
  localAddress: '',
  localPort: 0,
  servername: '',
  otherCredentials: [],
  rowKey: key,
  rowPrefix: key.subarray(0, 8),
}
const SESSION = { keylog: false, servername: '', askForHint: true }
const CREDENTIAL = { identity, key, hash: 'sha256' }

const context = new addon.Context(CONTEXT)
const client = new addon.Context({ ...CONTEXT, server: false, ask: false })
const tlsClient = new addon.Context({
  ...CONTEXT,
  server: false,
  datagram: false,
  max12: false,
  ask: false,
})
const withThread = (use: (thread: ReturnType<typeof newThread>) => unknown): void => {
  const thread = newThread()
  try {
    use(thread)
  } finally {
    thread.stop()
  }
}
const newThread = () =>
  new addon.IoThread(() => {}, new Uint32Array(EVENT_ROW_LENGTH), new Uint8Array(64))

/** Each object that the addon reads: a right one, and the call that is given it. */
const CALLS: readonly (readonly [string, object, (given: never) => void])[] = [
  ['Context', CONTEXT, (given) => new addon.Context(given)],
  ['Admission', LIMITS, (given) => new addon.Admission(given)],
  ['TlsSession', SESSION, (given) => new addon.TlsSession(tlsClient, given)],
  ['useKey', CREDENTIAL, (given) => new addon.TlsSession(tlsClient, SESSION).useKey(given)],
  [
    'listen',
    LISTEN,
    (given) =>
      withThread((thread) => thread.listen(1, context, given, new addon.Admission(LIMITS))),
  ],
  ['connect', CONNECT, (given) => withThread((thread) => thread.connect(1, client, given))],
  [
    'answer',
    { key, hash: 'sha384' },
    (given) => withThread((thread) => thread.answer(1, 1, 1, given)),
  ],
]

describe('native/contract', () => {
  it('has the same events, in rows of the same length', () => {
    expect(contract.events).toEqual(EVENT)
    expect([contract.eventRowLength, contract.noDetail]).toEqual([EVENT_ROW_LENGTH, NO_DETAIL])
  })

  it('has the same bits of a step, and the same room around a message', () => {
    expect(contract.ready).toEqual(READY)
    expect(contract.readyRange).toBe(READY_RANGE)
    expect(contract.frame).toEqual(FRAME)
  })

  it('has the same bounds and, where native tests rely on them, defaults', () => {
    expect(DTLS_DEFAULTS).toMatchObject(contract.defaults)
    const { unit: _, ...replayWindow } = REPLAY_WINDOW_BOUNDS
    const { unit: __, ...connectionId } = CONNECTION_ID_BOUNDS
    expect(contract.bounds).toEqual({
      identity: { min: 1, max: IDENTITY_MAX_BYTES },
      key: { min: KEY_MIN_BYTES, max: KEY_MAX_BYTES },
      replayWindow,
      connectionId,
    })
  })

  it('counts the same, reasons for dropping included', () => {
    expect(contract.figures).toEqual({
      endpoint: NO_ENDPOINT_FIGURES,
      session: NO_SESSION_FIGURES,
      udp: NO_UDP_FIGURES,
    })
  })

  it.each(CALLS)('%s takes the fields that both know', (_, given, call) => {
    expect(() => call(given as never)).not.toThrow()
  })

  it.each(CALLS)('%s refuses a field too many, too few, of another type', (_, given, call) => {
    expect(() => call({ ...given, colour: 1 } as never)).toThrow(/mcbn addon: .*colour: unknown/)
    for (const name of Object.keys(given)) {
      const optional = name === 'keys' || name === 'credential'
      const { [name as never]: __, ...without } = given
      if (!optional) expect(() => call(without as never), name).toThrow(/mcbn addon: /)
      const wrong = { ...given, [name]: Symbol.iterator }
      if (!optional) expect(() => call(wrong as never), name).toThrow(/mcbn addon: /)
    }
    expect(() => call('nothing' as never)).toThrow(/mcbn addon: /)
  })

  it.each(['sha1', '', undefined])('takes the hash %s for none', (hash) => {
    expect(() => new addon.KeyTable().set(identity, key, hash as never, false)).toThrow(/sha384/)
    expect(() => withThread((thread) => thread.answer(1, 1, 1, { key, hash } as never))).toThrow()
  })

  it.each(['failed', { key, hash: 'sha256', unknown: true }] as const)(
    'takes the answer %s',
    (answer) => {
      expect(() => withThread((thread) => thread.answer(1, 1, 1, answer))).not.toThrow()
    },
  )

  it('refuses other answers', () => {
    expect(() => withThread((thread) => thread.answer(1, 1, 1, 'maybe' as never))).toThrow(/failed/)
  })
})
