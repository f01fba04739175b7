// Whether strangers at a workload's own address can end its network: renewals with and without 2,000 requests
// a second beside them.

import { confidentialSpaceClaims } from '../src/consent/attestation/local/claims.js'
import { createLocalVerifier } from '../src/consent/attestation/local/verifier.js'
import { type Attester, join, type Network } from '../src/consent/index.js'
import { serveParticipant } from '../src/consent/participant/http.js'
import { createParticipant } from '../src/consent/participant/participant.js'
import { script } from './lib/child.js'
import { IMAGE, Stage } from './lib/consent-rounds.js'
import { HOST } from './lib/credentials.js'
import type { Measurement, Sample } from './lib/measurement.js'

const LEASE_SECONDS = 5
const LEASES = 3
const NETWORKS = 12
const STRANGERS_PER_SECOND = 2_000
/** What a participant allows one source by default. */
const RATE = 100

function attesterOf(stage: Stage, instance: string): Attester {
  const env = { MCBN_DESCRIPTOR_HASH: stage.descriptor.hashHex }
  return {
    kind: 'local',
    async evidence({ audience, nonce }) {
      const workload = { imageDigest: IMAGE, env, instance }
      const claims = { audience, nonces: [nonce], workload, now: Date.now() }
      return { kind: 'local', token: await stage.issuer.mint(confidentialSpaceClaims(claims)) }
    },
  }
}

/** The 99th of 100 renewals at the participant that strangers ask; none may end a network. */
async function renewals(strangers: boolean): Promise<Sample> {
  using stage = await Stage.make({ leaseSeconds: LEASE_SECONDS, instances: NETWORKS })
  await using alice = await script(
    'consent-peer.ts',
    stage.folder,
    stage.keyFile,
    'disk',
    `${RATE}`,
  )
  const port = await alice.value('port')
  const { issuer, jwks } = stage.issuer
  const bob = createParticipant({
    ...{ descriptor: stage.descriptor, label: 'bob', ...stage.bob },
    verifiers: [createLocalVerifier({ issuers: [{ issuer, jwks: jwks() }] })],
  })
  const server = await serveParticipant(bob, { requestsPerSecond: 10_000 })
  const took: number[] = []
  const ended: string[] = []
  const networks: Network[] = []
  try {
    for (let at = 0; at < NETWORKS; at += 1) {
      let asked = 0
      const network = await join({
        descriptor: stage.descriptor.signed,
        descriptorHash: stage.descriptor.hash,
        role: 'client',
        attester: attesterOf(stage, `${1000 + at}`),
        participants: { alice: `http://${HOST}:${port}`, bob: server.url },
        onProgress: ({ label, state }) => {
          if (label !== 'alice') return
          if (state === 'asking') asked = performance.now()
          if (state === 'released') took.push(performance.now() - asked)
        },
      })
      void network.ended.then(({ code }) => ended.push(code))
      networks.push(network)
    }
    took.length = 0
    await using flood = strangers
      ? await script('consent-stranger.ts', `${port}`, dhOf(stage), `${STRANGERS_PER_SECOND}`)
      : undefined
    await flood?.value('ready')
    const before = alice.residentBytes
    await new Promise((resolve) => setTimeout(resolve, LEASES * LEASE_SECONDS * 1000))
    if (ended.length > 0) throw new Error(`${ended.length} networks ended: ${ended.join(', ')}`)
    const grown = (alice.residentBytes - before) / 1024
    const sorted = took.sort((left, right) => left - right)
    if (sorted.length < NETWORKS * LEASES) throw new Error(`only ${sorted.length} renewals`)
    const facts = {
      renewals: sorted.length,
      'median ms': Math.round(sorted[sorted.length >> 1] ?? 0),
      'KB more': Math.round(grown),
      ...(flood && { strangers: await flood.value('sent') }),
    }
    return { value: 1000 * (sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN), facts }
  } finally {
    await Promise.all(networks.map((network) => network.close()))
    await server.close()
    await bob.close()
  }
}

function dhOf(stage: Stage): string {
  return stage.descriptor.hash.toString('base64url')
}

export function strangerMeasurements(): Measurement[] {
  return [
    {
      name: 'consent-strangers',
      title: `99th percentile of renewals, ${NETWORKS} networks, over ${LEASES} leases of ${LEASE_SECONDS} s`,
      unit: 'us',
      better: 'lower',
      bars: [{ against: 'mcbn, quiet', ratio: 3 }],
      mostRounds: 3,
      skipped: [],
      subjects: [
        { name: `mcbn, ${STRANGERS_PER_SECOND} strangers/s beside`, run: () => renewals(true) },
        { name: 'mcbn, quiet', run: () => renewals(false) },
      ],
    },
  ]
}
