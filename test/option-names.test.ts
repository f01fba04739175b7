// No public call takes an option that it does not know: a misspelt one would silently do nothing.

import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import * as consent from '../src/consent/index.js'
import * as discovery from '../src/discovery/index.js'
import * as dtls from '../src/dtls/index.js'
import { McbnError } from '../src/errors.js'
import * as psk from '../src/psk/index.js'
import * as tls from '../src/tls/index.js'

const key = Buffer.alloc(32, 7)
const credential = { identity: 'Client1', key }
const shares = { alice: Buffer.alloc(32, 1).fill(2, 16), bob: Buffer.alloc(32, 3).fill(4, 16) }
const binding = { descriptorHash: key, network: 'n', epoch: 1, protocol: 'tls13' } as const
const target = { targetProtocol: 'TLSv1.3', targetKdf: 'sha256' } as const
const services = { ledger: '127.0.0.1:9' }
const resolver = discovery.staticResolver(services)

type Call = (options: object) => unknown

/** Call, what it is given besides, a misspelt option, the right one. */
const CALLS: readonly (readonly [string, Call, string, string])[] = [
  [
    'tls.connect',
    (o) => tls.connect({ port: 9, psk: credential, ...o }),
    'handshakeTimout',
    'handshakeTimeout',
  ],
  [
    'tls.connect',
    (o) => tls.connect({ port: 9, psk: credential, ...o }),
    'serverName',
    'servername',
  ],
  [
    'tls.connect psk',
    (o) => tls.connect({ port: 9, psk: { ...credential, ...o } }),
    'hsah',
    'hash',
  ],
  [
    'tls.createServer',
    (o) => tls.createServer({ psk: {}, ...o }),
    'unknownIdentify',
    'unknownIdentity',
  ],
  ['tls.createServer psk', (o) => tls.createServer({ psk: { a: { key, ...o } } }), 'pear', 'peer'],
  ['tls setPsk', (o) => tls.createServer({ psk: {} }).setPsk('a', { key, ...o }), 'hsh', 'hash'],
  [
    'dtls.connect',
    (o) => dtls.connect({ port: 9, psk: credential, ...o }),
    'idleTimout',
    'idleTimeout',
  ],
  [
    'dtls.connect psk',
    (o) => dtls.connect({ port: 9, psk: { ...credential, ...o } }),
    'hash_',
    'hash',
  ],
  ['dtls.createServer', (o) => dtls.createServer({ psk: {}, ...o }), 'maxSession', 'maxSessions'],
  [
    'dtls.createServer psk',
    (o) => dtls.createServer({ psk: { a: { key, ...o } } }),
    'Hash',
    'hash',
  ],
  ['dtls listen', (o) => dtls.createServer({ psk: {} }).listen({ port: 0, ...o }), 'hots', 'host'],
  ['psk.derivePsk', (o) => psk.derivePsk(shares, { ...binding, ...o }), 'epcoh', 'epoch'],
  [
    'psk.derivePsk',
    (o) => psk.derivePsk([key, key], { scheme: 'hmac-chain', ...o }),
    'shceme',
    'scheme',
  ],
  ['psk.importPsk', (o) => psk.importPsk({ ...credential, ...target, ...o }), 'contxt', 'context'],
  [
    'discovery.connect',
    (o) => discovery.connect(resolver, 'ledger', neverOpened, o),
    'atempts',
    'attempts',
  ],
  [
    'discovery.tryEndpoints',
    (o) => discovery.tryEndpoints(resolver, 'ledger', neverTried, o),
    'timeOut',
    'timeout',
  ],
  [
    'dtls.createServer sessionStore',
    (o) =>
      dtls.createServer({
        psk: {},
        sessionStore: { store: 'x', sealingKey: Buffer.alloc(32), ...o },
      }),
    'sealingkey',
    'sealingKey',
  ],
  [
    'dtls.valkeySessionStore',
    (o) => dtls.valkeySessionStore({ url: 'redis://127.0.0.1', name: 'pumps', ...o }),
    'takeoverAfter',
    'takeOverAfter',
  ],
  ['discovery.dnsSrvResolver', (o) => discovery.dnsSrvResolver(o), 'server', 'servers'],
  ['discovery.consulResolver', (o) => discovery.consulResolver(o), 'adress', 'address'],
  [
    'discovery.consulResolver login',
    (o) => discovery.consulResolver({ login: { authMethod: 'm', bearerToken, ...o } }),
    'authMetod',
    'authMethod',
  ],
  [
    'discovery.staticResolver',
    (o) => discovery.staticResolver({ a: { host: 'b', port: 1, ...o } }),
    'wieght',
    'weight',
  ],
  [
    'discovery.watchAddresses',
    (o) => drained(discovery.watchAddresses(resolver, 'ledger', o)),
    'intervall',
    'interval',
  ],
  [
    'discovery.resolveParticipants',
    (o) => discovery.resolveParticipants(resolver, ['ledger'], o),
    'protocl',
    'protocol',
  ],
  ['resolver.resolve, static', (o) => resolver.resolve('ledger', o), 'singal', 'signal'],
  [
    'resolver.resolve, DNS',
    (o) => discovery.dnsSrvResolver().resolve('a.example', o),
    'singal',
    'signal',
  ],
  [
    'resolver.resolve, Consul',
    (o) => discovery.consulResolver().resolve('ledger', o),
    'singal',
    'signal',
  ],
  [
    'resolver.watch, Consul',
    (o) => drained(discovery.consulResolver().watch?.('ledger', o)),
    'singal',
    'signal',
  ],
]

const none = undefined as never
/** Those of consent come first to their options' names, whatever else is wrong. */
const CONSENT_CALLS: readonly (readonly [string, Call, string, string])[] = [
  ['join', (o) => consent.join({ ...o } as never), 'deadlin', 'deadline'],
  ['createParticipant', (o) => consent.createParticipant(o as never), 'polcy', 'policy'],
  ['notifyOfPending', (o) => consent.notifyOfPending(none, o), 'webhok', 'webhook'],
  ['serveParticipantWeb', (o) => consent.serveParticipantWeb(none, o), 'prot', 'port'],
  ['serveParticipant', (o) => consent.serveParticipant(none, o), 'prot', 'port'],
  [
    'createParticipantWeb',
    (o) => consent.createParticipantWeb(none, o),
    'sesionMinutes',
    'sessionMinutes',
  ],
  ['examplePolicy', (o) => consent.examplePolicy(none, o), 'instance', 'instances'],
  ['createLauncherAttester', (o) => consent.createLauncherAttester(o), 'socketpath', 'socketPath'],
  ['createVerifiers', (o) => consent.createVerifiers(none, o), 'verifers', 'verifiers'],
  ['createGcpOidcVerifier', (o) => consent.createGcpOidcVerifier(o), 'cooldwn', 'cooldown'],
  ['createGcpPkiVerifier', (o) => consent.createGcpPkiVerifier(o as never), 'root', 'roots'],
  ['serveLauncher', (o) => consent.serveLauncher(o as never), 'issuers', 'issuer'],
  ['createLocalIssuer', (o) => consent.createLocalIssuer(o as never), 'key', 'keys'],
  ['createLocalVerifier', (o) => consent.createLocalVerifier(o as never), 'issuer', 'issuers'],
  ['checkLocalIssuers', (o) => consent.checkLocalIssuers(o as never), 'issuer', 'issuers'],
  ['AuditLog.open', (o) => consent.AuditLog.open('/nowhere/audit', o), 'fsnc', 'fsync'],
  ['AuditLog.inMemory', (o) => consent.AuditLog.inMemory(o), 'clok', 'clock'],
  ['verifyAudit', (o) => consent.verifyAudit(none, o), 'note', 'noted'],
  [
    'verifySignedDescriptor',
    (o) => consent.verifySignedDescriptor(none, o),
    'descriptorhash',
    'descriptorHash',
  ],
  ['createStore', (o) => consent.createStore('/nowhere', none, o as never), 'lable', 'label'],
  ['openStore', (o) => consent.openStore('/nowhere', none, o), 'fsnc', 'fsync'],
  [
    'createPostgresStore',
    (o) => consent.createPostgresStore('postgres://', none, o as never),
    'lable',
    'label',
  ],
  [
    'openPostgresStore',
    (o) => consent.openPostgresStore('postgres://', none, o as never),
    'lable',
    'label',
  ],
  [
    'sealPostgresRow',
    (o) => consent.sealPostgresRow('postgres://', none, o as never),
    'policyhash',
    'policyHash',
  ],
  ['splitSecret', (o) => consent.splitSecret(none, o as never), 'threshhold', 'threshold'],
  ['driveStep', (o) => consent.driveStep(none, o as never), 'transprot', 'transport'],
  [
    'CeremonyState.create',
    (o) => consent.CeremonyState.create('/nowhere', o as never),
    'lok',
    'lock',
  ],
  ['serveBoard', (o) => consent.serveBoard(o as never), 'pla', 'plan'],
  ['participantOfStore', (o) => consent.participantOfStore(none, o), 'limit', 'limits'],
]

/** Exported functions and classes without an argument that holds options. */
const WITHOUT_OPTIONS: readonly string[] = [
  'tls.TlsServer', // tls.createServer makes it
  'tls.TlsSocket', // tls.connect makes it
  'dtls.DtlsServer',
  'dtls.DtlsSocket',
  'dtls.fileSessionStore', // takes a path
  'psk.McbnError',
  'psk.copyPskKey',
  'psk.hkdfExpand',
  'psk.hkdfExtract',
  'psk.identityBytes',
  'psk.identityText',
  'psk.loadPskFile',
  'psk.parseKeyText',
  'psk.parsePskFile',
  'discovery.McbnError',
  'discovery.orderEndpoints',
  'discovery.parseEndpoint', // takes what strangers say, and only what it knows of it
  'discovery.srvName',
]

describe('option names', () => {
  it.each(CALLS)('%s refuses a misspelt option, and names the right one', async (...row) => {
    const [, call, misspelt, right] = row
    const error = await thrownBy(() => call({ [misspelt]: undefined }))
    expect(error).toMatchObject({ code: 'MCBN_OPTION_UNKNOWN', kind: 'usage' })
    expect(error.message).toContain(`${misspelt}: `)
    expect(error.message).toContain(`did you mean ${right}?`)
  })

  it.each(CALLS)('%s lists what it takes where no name is near', async (...row) => {
    const [, call, , right] = row
    const error = await thrownBy(() => call({ zzzzzzzzzzzzzzzz: 1 }))
    expect(error.code).toBe('MCBN_OPTION_UNKNOWN')
    expect(error.message).toMatch(new RegExp(`expected one of .*\\b${right}\\b`))
  })

  it.each(CONSENT_CALLS)('consent: %s refuses a misspelt option', async (...row) => {
    const [, call, misspelt, right] = row
    const error = await thrownBy(() => call({ [misspelt]: undefined }))
    expect(error.code).toBe('MCBN_OPTION_UNKNOWN')
    expect(error.message).toContain(`did you mean ${right}?`)
  })

  it('covers every function that the package exports', () => {
    const exported = Object.entries({ tls, dtls, psk, discovery }).flatMap(([module, names]) =>
      Object.entries(names)
        .filter(([, value]) => typeof value === 'function')
        .map(([name]) => `${module}.${name}`),
    )
    const covered = new Set([...CALLS.map(([name]) => name), ...WITHOUT_OPTIONS])
    expect(exported.filter((name) => !covered.has(name))).toEqual([])
  })

  it.each([
    [
      'tls.connect',
      { rejectUnauthorized: false },
      /pre-shared key takes the place of certificates/,
    ],
    ['tls.connect', { session: Buffer.alloc(1) }, /never resumed/],
    ['tls.connect', { headers: {} }, /host, port and psk/],
    ['tls.createServer', { port: 443 }, /listen\(\)/],
    ['tls.createServer', { pskCallback: () => null }, /use psk/],
    ['dtls.connect', { maxSessions: 1 }, /an option of dtls\.createServer/],
    ['dtls.createServer', { host: 'localhost' }, /listen\(\)/],
    ['dtls.createServer', { localPort: 1 }, /an option of dtls\.connect/],
  ])('%s tells what to do instead of %j', async (name, options, advice) => {
    const [, call] = CALLS.find(([each]) => each === name) ?? []
    const error = await thrownBy(() => call?.(options))
    expect(error).toMatchObject({
      code: 'MCBN_OPTION_UNKNOWN',
      message: expect.stringMatching(advice),
    })
  })

  it('looks at inherited options too, and at none that every object has', () => {
    const inherited = Object.create({ maxSession: 1 })
    expect(() => dtls.createServer(Object.assign(inherited, { psk: {} }))).toThrow(/maxSessions/)
    expect(dtls.createServer({ psk: {}, toString: () => 'mine' } as never)).toBeInstanceOf(
      dtls.DtlsServer,
    )
  })

  it('takes an endpoint of mcbn/discovery as it is', async () => {
    const [endpoint] = await resolver.resolve('ledger')
    for (const { connect } of [tls, dtls]) {
      const socket = connect({ ...endpoint, psk: credential })
      socket.on('error', () => {})
      socket.destroy()
    }
  })

  it('never repeats a value, nor a long name', async () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    const text = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('hex')
    const error = await thrownBy(() =>
      dtls.createServer({ psk: {}, pks: text, [text]: 1 } as never),
    )
    expect(error.message).not.toContain(text)
    const named = await thrownBy(() => dtls.createServer({ psk: {}, [text.repeat(9)]: 1 } as never))
    expect(named.message).not.toContain(text)
  })
})

async function thrownBy(call: () => unknown): Promise<McbnError> {
  try {
    await call()
  } catch (error) {
    expect(error).toBeInstanceOf(McbnError)
    return error as McbnError
  }
  throw new Error('expected it to be refused')
}

async function bearerToken(): Promise<string> {
  return 'token'
}

function neverOpened(): never {
  throw new Error('expected no attempt')
}

async function neverTried(): Promise<never> {
  throw new Error('expected no attempt')
}

async function drained(batches: AsyncIterable<unknown> | undefined): Promise<void> {
  for await (const _ of batches ?? []) return
}
