// Alice and Bob have to agree; then a client and a server meet; then Bob changes his mind. All of it in one
// process here, which only an example may do: in earnest each participant and each workload is a separate
// machine (`mcbn participant`, `mcbn workload`), and hardware says what a workload is.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import * as consent from 'mcbn/consent'

// What is to run. This issuer stands in for the hardware that would attest it.
const images = { client: `sha256:${'c1'.repeat(32)}`, server: `sha256:${'5e'.repeat(32)}` }
const issuer = await consent.createLocalIssuer({ issuer: 'https://issuer.example' })

// Each participant makes keys and a share of 32 bytes; both sign one description of the network.
const network = { network: 'example', epoch: 1 }
const people = ['alice', 'bob'].map((label) => {
  const [keys, share] = [consent.generateParticipantKeys(), randomBytes(32)]
  const commitment = consent.shareCommitment({ ...network, label, share }).toString('base64url')
  return { label, keys, share, listed: { label, ...consent.publicKeys(keys), commitment } }
})
const now = Math.floor(Date.now() / 1000)
const document = consent.createDescriptor({
  ...network,
  mode: 'n-of-n',
  participants: people.map(({ listed }) => listed),
  roles: {
    client: { id: 'client.example', images: [images.client] },
    server: { id: 'server.example', images: [images.server] },
  },
  validity: { notBefore: now - 60, notAfter: now + 3_600 },
})
let signed: consent.SignedDescriptor = { descriptor: document, signatures: {} }
for (const { label, keys } of people) {
  signed = consent.addSignature(signed, label, consent.signDescriptor(document, label, keys))
}
const descriptor = consent.verifySignedDescriptor(signed)

// Each gives its share, for five seconds at a time, only to what its policy allows.
const policy = consent.examplePolicy(descriptor, {
  attestation: ['local'],
  localIssuers: [{ issuer: issuer.issuer, jwks: issuer.jwks() }],
  projects: ['local-project'],
  approval: 'automatic', // 'manual' asks a person
  leaseSeconds: 5,
})
const verifiers = consent.createVerifiers(policy)
const participants = people.map(({ label, keys, share }) =>
  consent.createParticipant({ descriptor, label, keys, share, policy, verifiers }),
)
const served = await Promise.all(participants.map((each) => consent.serveParticipant(each)))
const addresses = Object.fromEntries(people.map(({ label }, at) => [label, `${served[at]?.url}`]))

// A workload proves what it is and collects the shares: that opens ordinary TLS and DTLS sockets.
function join(role: consent.Role): Promise<consent.Network> {
  const workload = { imageDigest: images[role], env: { MCBN_DESCRIPTOR_HASH: descriptor.hashHex } }
  const evidence = async ({ audience, nonce }: consent.EvidenceRequest) => {
    const said = { audience, nonces: [nonce], workload, now: Date.now() }
    return { kind: 'local', token: await issuer.mint(consent.confidentialSpaceClaims(said)) }
  }
  const where = { descriptor: signed, descriptorHash: descriptor.hash, participants: addresses }
  return consent.join({ ...where, role, attester: { kind: 'local', evidence } })
}
const [client, server] = await Promise.all([join('client'), join('server')])
const listener = server.tls.createServer({}, (peer) => {
  peer.on('error', () => {}) // whichever end hears of a withdrawal first, cuts
  peer.write('hello, both agreed')
})
await once(listener.listen(0, '127.0.0.1'), 'listening')
const { port } = listener.address() as AddressInfo
const socket = client.tls.connect({ host: '127.0.0.1', port })
const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
console.log(`client hears: ${await once(socket, 'data')}`)
await participants[1]?.withdraw()
await closed // at the next renewal
console.log('bob has withdrawn: the connection is closed')
await join('client').catch((error) => console.log(error.message))
for (const each of [client, server, ...served, ...participants]) await each.close()
