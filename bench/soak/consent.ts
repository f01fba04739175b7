// The consent of a soak: one network lives all the time; others are made, used, given back or withdrawn from.
//
//   <minutes>     prints ready, and counts: networks, withdrawals, renewals, consent-failed

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import * as consent from '../../src/consent/index.js'
import { endAfter, HOST, say } from './common.js'

endAfter(Number(process.argv[2]))

const LEASE_SECONDS = 5
/** A network of the short ones lives so long: at least one renewal. */
const LIFE_MS = 6_000
const images = { client: `sha256:${'c1'.repeat(32)}`, server: `sha256:${'5e'.repeat(32)}` }
const issuer = await consent.createLocalIssuer({ issuer: 'https://issuer.example' })
const counts = { networks: 0, withdrawals: 0, renewals: 0, 'consent-failed': 0 }

/** Two participants who serve their shares. */
async function people(name: string) {
  const network = { network: name, epoch: 1 }
  const members = ['alice', 'bob'].map((label) => {
    const [keys, share] = [consent.generateParticipantKeys(), randomBytes(32)]
    const commitment = consent.shareCommitment({ ...network, label, share }).toString('base64url')
    return { label, keys, share, listed: { label, ...consent.publicKeys(keys), commitment } }
  })
  const now = Math.floor(Date.now() / 1000)
  const document = consent.createDescriptor({
    ...network,
    mode: 'n-of-n',
    participants: members.map(({ listed }) => listed),
    roles: {
      client: { id: 'client', images: [images.client] },
      server: { id: 'server', images: [images.server] },
    },
    validity: { notBefore: now - 60, notAfter: now + 86_400 },
  })
  let signed: consent.SignedDescriptor = { descriptor: document, signatures: {} }
  for (const { label, keys } of members)
    signed = consent.addSignature(signed, label, consent.signDescriptor(document, label, keys))
  const descriptor = consent.verifySignedDescriptor(signed)
  const policy = consent.examplePolicy(descriptor, {
    attestation: ['local'],
    localIssuers: [{ issuer: issuer.issuer, jwks: issuer.jwks() }],
    projects: ['local-project'],
    approval: 'automatic',
    leaseSeconds: LEASE_SECONDS,
  })
  const verifiers = consent.createVerifiers(policy)
  const participants = members.map(({ label, keys, share }) =>
    consent.createParticipant({ descriptor, label, keys, share, policy, verifiers }),
  )
  const served = await Promise.all(participants.map((each) => consent.serveParticipant(each)))
  const urls = Object.fromEntries(members.map(({ label }, at) => [label, `${served[at]?.url}`]))
  const join = async (role: consent.Role): Promise<consent.Network> => {
    const env = { MCBN_DESCRIPTOR_HASH: descriptor.hashHex }
    const workload = { imageDigest: images[role], env }
    const evidence = async ({ audience, nonce }: consent.EvidenceRequest) => {
      const said = { audience, nonces: [nonce], workload, now: Date.now() }
      return { kind: 'local', token: await issuer.mint(consent.confidentialSpaceClaims(said)) }
    }
    const where = { descriptor: signed, descriptorHash: descriptor.hash, participants: urls }
    const network = await consent.join({ ...where, role, attester: { kind: 'local', evidence } })
    network.on('renewed', () => {
      counts.renewals += 1
    })
    return network
  }
  const close = async (): Promise<void> => {
    for (const each of [...served, ...participants]) await each.close()
  }
  return { participants, join, close }
}

/** From two who agree to a connection, and its end. */
async function life(name: string, milliseconds: number, withdraws: boolean): Promise<void> {
  const group = await people(name)
  try {
    await use(group, milliseconds, withdraws)
  } finally {
    await group.close()
  }
}

type Group = Awaited<ReturnType<typeof people>>

async function use(group: Group, milliseconds: number, withdraws: boolean): Promise<void> {
  const joining = await Promise.allSettled([group.join('client'), group.join('server')])
  const networks = joining.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  try {
    const [client, server] = networks
    if (!client || !server) throw new Error(`expected two networks, got ${networks.length}`)
    counts.networks += 1
    await talk(client, server, milliseconds, withdraws ? group : undefined)
  } finally {
    for (const each of networks) await each.close()
  }
}

/** `withdrawsFrom`: at the end one of them withdraws. */
async function talk(
  client: consent.Network,
  server: consent.Network,
  milliseconds: number,
  withdrawsFrom: Group | undefined,
): Promise<void> {
  const listener = server.tls.createServer({}, (peer) => {
    peer.on('error', () => {})
    peer.pipe(peer)
  })
  await once(listener.listen(0, HOST), 'listening')
  const { port } = listener.address() as AddressInfo
  const socket = client.tls.connect({ host: HOST, port })
  const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
  socket.on('data', () => {})
  await socket.opened
  for (let left = milliseconds / 500; left > 0; left -= 1) {
    if (socket.destroyed) throw new Error('the connection ended although nobody withdrew')
    socket.write('still here')
    await sleep(500)
  }
  if (withdrawsFrom) {
    await withdrawsFrom.participants[1]?.withdraw()
    await closed
    counts.withdrawals += 1
  }
}

async function forever(name: string, milliseconds: number): Promise<void> {
  for (let round = 0; ; round += 1) {
    try {
      await life(`${name}-${round}`, milliseconds, round % 2 === 1)
    } catch (error) {
      counts['consent-failed'] += 1
      process.stderr.write(`${error}\n`)
      await sleep(1_000)
    }
  }
}

void forever('long', 60_000 * Math.max(1, Number(process.argv[2])))
for (const name of ['first', 'second']) void forever(name, LIFE_MS)
setInterval(() => {
  for (const [name, value] of Object.entries(counts)) say(name, value)
}, 2_000)
say('ready', 1)
