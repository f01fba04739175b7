// All of consent in one process, as loudly as it can be: a ceremony, participants out of their folders,
// two workloads, connections, errors of every kind, withdrawal. Every object and error is printed in every way
// that a program prints things by accident. Attack 30 looks through all of it.
//
//   whole-round.ts <folder for everything> <file for the secrets, outside of it>

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join as joinPath } from 'node:path'
import { inspect } from 'node:util'
import { createLauncherAttester } from '../../../../src/consent/attestation/launcher.js'
import { createLocalIssuer } from '../../../../src/consent/attestation/local/issuer.js'
import { serveLauncher } from '../../../../src/consent/attestation/local/launcher.js'
import type { Attester } from '../../../../src/consent/attestation/types.js'
import {
  exportPrivate,
  generateParticipantKeys,
  importPrivate,
  type ParticipantKeys,
  publicKeys,
} from '../../../../src/consent/base/keys.js'
import { Ceremony } from '../../../../src/consent/ceremony/ceremony.js'
import { createPlan } from '../../../../src/consent/ceremony/plan.js'
import { CeremonyState } from '../../../../src/consent/ceremony/state.js'
import { verifySignedDescriptor } from '../../../../src/consent/descriptor/signed.js'
import type { Role } from '../../../../src/consent/descriptor/types.js'
import { serveParticipant } from '../../../../src/consent/participant/http.js'
import type { Participant } from '../../../../src/consent/participant/participant.js'
import { participantOfStore } from '../../../../src/consent/participant/stored.js'
import { parsePolicy } from '../../../../src/consent/policy/parse.js'
import { generateReceiver, sealShare } from '../../../../src/consent/release/seal.js'
import { deriveNetworkKeys } from '../../../../src/consent/shares/keys.js'
import { createStore, openStore } from '../../../../src/consent/store/open.js'
import { openSecrets, sealSecrets } from '../../../../src/consent/store/seal.js'
import { join, type Network } from '../../../../src/consent/workload/index.js'
import * as dtls from '../../../../src/dtls/index.js'
import { derivePsk } from '../../../../src/psk/derive.js'
import * as tls from '../../../../src/tls/index.js'
import { CLIENT_IMAGE, need, SERVER_IMAGE, testNetwork } from '../../network.js'
import * as spec from '../../spec.js'

const [folder = '', secretsFile = ''] = process.argv.slice(2)
const HOST = '127.0.0.1'
const secrets: Record<string, string> = {}
const tokens: string[] = []

function keep(name: string, bytes: Uint8Array): void {
  secrets[name] = Buffer.from(bytes).toString('hex')
}

/** In every way in which programs show things. */
function show(name: string, value: unknown): void {
  console.log(name, value)
  console.log(inspect(value, { depth: 12, showHidden: true, getters: true, maxArrayLength: null }))
  console.log(`${String(value)} ${JSON.stringify(value, jsonable)}`)
  if (value instanceof Error) console.error(value.stack, inspect(value.cause, { depth: 12 }))
}

/** Sockets have circles and servers bigints; nothing else may get in the way of showing all. */
function jsonable(this: unknown, key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}`
  return key.startsWith('_') || value instanceof Map ? undefined : value
}

async function fails(name: string, call: () => unknown): Promise<void> {
  try {
    await call()
  } catch (error) {
    return show(`${name}:`, error)
  }
  throw new Error(`${name}: expected it to fail`)
}

function keepKeys(name: string, keys: ParticipantKeys): void {
  const seeds = exportPrivate(keys)
  keep(`${name}: Ed25519`, seeds.ed25519)
  keep(`${name}: X25519`, seeds.x25519)
}

// ---- a ceremony of each kind ------------------------------------------------------------------------

for (const mode of ['n-of-n', 't-of-n'] as const) {
  const people = new Map(['ann', 'ben', 'cy'].map((label) => [label, generateParticipantKeys()]))
  const plan = createPlan({
    network: `ceremony ${mode}`,
    epoch: 1,
    mode,
    t: mode === 'n-of-n' ? 3 : 2,
    participants: [...people].map(([label, keys]) => ({ label, ...publicKeys(keys) })),
    roles: {
      client: { id: 'client', images: [CLIENT_IMAGE] },
      server: { id: 'server', images: [SERVER_IMAGE] },
    },
    validity: { notBefore: 0, notAfter: 4_102_444_800 },
  })
  const all = [...people].map(([label, keys]) => {
    keepKeys(`${mode}: ${label}`, keys)
    return Ceremony.begin({ plan, label, keys })
  })
  for (const { label, secret } of all) {
    if (secret.kind === 'share') keep(`${mode}: first share of ${label}`, secret.share)
    else {
      for (const [at, scalar] of secret.polynomial.coefficients.entries()) {
        keep(`${mode}: coefficient ${at} of ${label}`, scalar)
      }
    }
  }
  for (let round = 0; round < 6; round += 1) {
    const sent = all.flatMap((one) => one.outgoing())
    for (const one of all) {
      for (const { name } of one.awaited()) {
        const message = sent.find((candidate) => candidate.name === name)
        if (message) one.accept(name, message.bytes)
      }
    }
    for (const one of all) await one.advance()
    for (const one of all) show(`ceremony of ${one.label}:`, one)
    for (const message of sent) show('message:', message.bytes.toString())
  }
  for (const one of all) {
    const { share, descriptor } = one.result()
    keep(`${mode}: share of ${one.label}`, share)
    show('ceremony result:', descriptor)
  }
  const [first] = all
  await fails('message of nobody', () => first?.accept('commit-ben', Buffer.from('{}')))
  const lock = { passphrase: 'a passphrase of the ceremony' }
  const state = await CeremonyState.create(joinPath(folder, `ceremony-${mode}`), {
    label: 'ann',
    lock,
    keys: need(people, 'ann'),
  })
  show('ceremony state:', state)
  state.close()
  await fails('ceremony state with another passphrase', () =>
    CeremonyState.open(joinPath(folder, `ceremony-${mode}`), { passphrase: 'something else' }),
  )
}
keep('passphrase of the ceremony', Buffer.from('a passphrase of the ceremony'))

// ---- participants out of their folders -----------------------------------------------------------

const network = testNetwork()
const { verified, signed } = network
const issuer = await createLocalIssuer({ issuer: 'https://issuer.test' })
const passphrase = 'correct horse battery staple'
const keyFile = randomBytes(32)
keep('passphrase', Buffer.from(passphrase))
keep('key file', keyFile)

const policy = parsePolicy({
  version: 'mcbn/1',
  network: network.descriptor.network,
  descriptorHash: verified.hashHex,
  roles: Object.fromEntries(
    (['client', 'server'] as const).map((role) => [
      role,
      {
        images: [role === 'client' ? CLIENT_IMAGE : SERVER_IMAGE],
        attestation: ['local'],
        projects: ['local-project'],
        args: [],
        env: {},
        instances: 4,
      },
    ]),
  ),
  localIssuers: [{ issuer: issuer.issuer, jwks: issuer.jwks() }],
})
show('policy:', policy)

const participants: Participant[] = []
const urls: Record<string, string> = {}
const closing: (() => Promise<unknown>)[] = []
for (const label of network.keys.keys()) {
  const keys = need(network.keys, label)
  const share = need(network.shares, label)
  keepKeys(label, keys)
  keep(`share of ${label}`, share)
  show('keys:', keys)
  const lock = label === 'alice' ? { passphrase } : { keyFile }
  const dir = joinPath(folder, label)
  const made = await createStore(dir, lock, { label, keys })
  await fails('a crooked share', () =>
    made.installEpoch({ descriptor: signed, share: share.subarray(1), policy }, lock),
  )
  const others = need(network.shares, label === 'alice' ? 'bob' : 'alice')
  await fails("another's share", () =>
    made.installEpoch({ descriptor: signed, share: others, policy }, lock),
  )
  await made.installEpoch({ descriptor: signed, share, policy }, lock)
  await made.close()
  await fails('another lock', () => openStore(dir, { keyFile: randomBytes(32) }))
  const store = await openStore(dir, lock)
  await fails('opened twice', () => openStore(dir, lock))
  const participant = participantOfStore(store)
  const server = await serveParticipant(participant)
  closing.push(async () => {
    await server.close()
    await participant.close()
    await store.close()
  })
  show('store:', store)
  show('participant:', participant)
  show('audit:', store.audit)
  for (const event of ['pending', 'released', 'refused', 'decided', 'withdrawn'] as const) {
    participant.on(event, (value: unknown) => show(`${label} ${event}:`, value))
  }
  participants.push(participant)
  urls[label] = server.url
  show('participant server:', server)
}
const [alice] = participants as [Participant]
await fails('a request of nonsense', () => alice.request({ v: 'mcbn/1', dh: 'x' }))
await fails('evidence of nonsense', () =>
  alice.evidence({
    c: randomBytes(32).toString('base64url'),
    request: { v: 'mcbn/1' },
    evidence: { kind: 'local', token: 'x' },
  }),
)

// ---- two workloads -------------------------------------------------------------------------------------

let launchers = 0
async function attesterOf(role: Role, imageDigest: string): Promise<Attester> {
  launchers += 1
  const socketPath = joinPath(folder, `launcher-${launchers}.sock`)
  const instance = role === 'client' ? '1001' : '2002'
  const env = { MCBN_DESCRIPTOR_HASH: verified.hashHex }
  const workload = () => ({ imageDigest, env, instance })
  const launcher = await serveLauncher({ socketPath, issuer, workload })
  closing.push(() => launcher.close())
  const inner = createLauncherAttester({ socketPath, kind: 'local' })
  show('attester:', inner)
  return {
    kind: inner.kind,
    async evidence(request) {
      const evidence = await inner.evidence(request)
      tokens.push(evidence.token)
      return evidence
    },
  }
}

async function joined(role: Role, imageDigest: string, more: object = {}): Promise<Network> {
  return await join({
    descriptor: signed,
    descriptorHash: verified.hashHex,
    role,
    attester: await attesterOf(role, imageDigest),
    participants: urls,
    retry: { initial: 50, max: 200 },
    deadline: 10_000,
    onProgress: (step) => show('progress:', step),
    ...more,
  })
}

await fails('the wrong image', () => joined('client', SERVER_IMAGE))
await fails('another descriptor', () =>
  joined('client', CLIENT_IMAGE, { descriptorHash: 'ab'.repeat(32) }),
)
const client = await joined('client', CLIENT_IMAGE)
const server = await joined('server', SERVER_IMAGE)
show('joined:', client)
show('joined:', server)
show('leases:', client.leases)

const derived = deriveNetworkKeys(verified, network.shares)
for (const [name, key] of Object.entries(derived.keys)) keep(`key of ${name}`, key)
keep('PRK', spec.extract(verified.hash, spec.ikmOfAll([...network.shares])))
show('network keys:', derived)
show('verified descriptor:', verified)

const tlsServer = server.tls.createServer(
  {},
  (socket) => void socket.on('error', () => {}).pipe(socket),
)
tlsServer.on('tlsClientError', (error) => show('tlsClientError:', error))
tlsServer.listen(0, HOST)
await once(tlsServer, 'listening')
const tlsPort = (tlsServer.address() as AddressInfo).port
for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
  const socket = client.tls.connect({ host: HOST, port: tlsPort, maxVersion })
  await socket.opened
  socket.write('hello')
  await once(socket, 'data')
  show('TLS socket:', socket)
}
const dtlsServer = server.dtls.createServer({}, (socket) => {
  socket.on('message', (message) => socket.send(message))
})
dtlsServer.on('clientError', (error) => show('clientError:', error))
dtlsServer.listen(0, HOST)
await once(dtlsServer, 'listening')
const dtlsPort = (dtlsServer.address() as AddressInfo).port
const datagrams = client.dtls.connect({ host: HOST, port: dtlsPort })
await datagrams.opened
datagrams.send('hello')
await once(datagrams, 'message')
show('DTLS socket:', datagrams)
show('DTLS server:', dtlsServer)
show('TLS server:', tlsServer)

// ---- errors whose makers have a key in hand -------------------------------------------------------------

const key = derived.keys.dtls12 as Buffer
for (const identity of [verified.identity, 'nobody']) {
  const options = { host: HOST, psk: { identity, key } }
  const ended = async (socket: tls.TlsSocket | dtls.DtlsSocket) => {
    socket.on('error', () => {})
    show('socket to be:', socket)
    await socket.opened
  }
  await fails('TLS with the key of DTLS', () => ended(tls.connect({ ...options, port: tlsPort })))
  if (identity === 'nobody') {
    await fails('DTLS', () =>
      ended(dtls.connect({ ...options, port: dtlsPort, handshakeTimeout: 1_000 })),
    )
  }
}
const shares = [...network.shares.values()]
await fails('too short a key', () =>
  tls.connect({ port: 1, psk: { identity: 'x', key: key.subarray(0, 8) } }),
)
await fails('too long a key', () =>
  tls.connect({ port: 1, psk: { identity: 'x', key: Buffer.concat([key, Buffer.alloc(999)]) } }),
)
await fails('a key as text', () =>
  dtls.connect({ port: 1, host: HOST, psk: { identity: 'x', key: key.toString('hex') as never } }),
)
await fails('too few shares', () =>
  deriveNetworkKeys(verified, new Map([...network.shares].slice(1))),
)
await fails('shares as text', () =>
  deriveNetworkKeys(verified, new Map([['alice', shares[0]?.toString('hex') as never]])),
)
await fails('derivePsk of upper case', () =>
  derivePsk(
    { alice: `${shares[0]?.toString('hex').toUpperCase()}`, bob: `${shares[1]?.toString('hex')}` },
    { descriptorHash: verified.hash, network: 'n', epoch: 1, protocol: 'tls13' },
  ),
)
await fails('seeds', () => importPrivate({ ed25519: key.subarray(1), x25519: key }))
await fails('a descriptor with a secret in it', () =>
  verifySignedDescriptor({ ...signed, share: shares[0]?.toString('hex') }),
)
await fails('a policy with a secret in it', () =>
  parsePolicy({ ...policy, leaseSeconds: { share: shares[0]?.toString('hex') } }),
)
const sealed = await sealSecrets(shares[0] as Buffer, { passphrase }, Buffer.from('aad'))
show('sealed:', sealed)
await fails('opened with more', () => openSecrets(sealed, { passphrase }, Buffer.from('more')))
const receiver = await generateReceiver()
show('receiver:', receiver)
const context = {
  dh: verified.hash,
  role: 'client',
  label: 'alice',
  c: randomBytes(32),
  token: 'a.b.c',
  header: { releaseId: 'A'.repeat(22), epoch: 1, issuedAt: 1, notAfter: 2, leaseSeconds: 1 },
} as const
const release = await sealShare({ ...context, share: shares[0] as Buffer, pk: receiver.publicKey })
show('release:', release)
await fails('opened as another', () => receiver.open({ ...context, ...release, label: 'bob' }))

// ---- the end ------------------------------------------------------------------------------------------------

show('withdrawal:', await alice.withdraw())
await fails('one who has withdrawn', () => joined('client', CLIENT_IMAGE, { deadline: 1_500 }))
for (const each of [client, server]) {
  await each.close()
  show('ended:', await each.ended)
  show('closed:', each)
}
await fails('a connection without consent', () => client.tls.connect({ port: tlsPort }))
derived.wipe()
await fails('wiped keys', () => derived.keys)
show('wiped:', derived)
for (const close of closing) await close()
show('closed:', alice)
show('report:', process.resourceUsage())
mkdirSync(joinPath(secretsFile, '..'), { recursive: true })
writeFileSync(secretsFile, JSON.stringify({ secrets, tokens }), { mode: 0o600 })
console.log('whole round done')
