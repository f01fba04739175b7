// A workload on a machine of Frank's: asks the participants, and opens connections while they agree. The
// library does all of that; here it is told when.

import { join as joinPath } from 'node:path'
import { createLauncherAttester } from '../../consent/attestation/launcher.js'
import { AuditLog, verifyAudit } from '../../consent/audit/log.js'
import { type JoinOptions, join, type Network } from '../../consent/workload/index.js'
import { answerCalls, type Call } from '../answering.js'
import type { Joined, MachineCalls } from './calls.js'
import { Connections, serveNetwork } from './connections.js'
import { keysOfNetwork } from './keys-again.js'
import { searchFolder } from './search.js'

type Request<Name extends keyof MachineCalls> =
  MachineCalls[Name] extends Call<infer Fields, object> ? Fields : never

/** A network and what it has heard of wrong shares. */
interface Membership {
  readonly network: Network
  readonly blamed: string[]
}

const connections = new Connections()
/** Shares and keys, fetched again for the search; and what client and server say to each other. */
const secrets: Uint8Array[] = []
/** What the search must find: on the wire, in the clear. */
let known = Buffer.alloc(0)
let deployed: Request<'deploy'> | undefined
let audit: AuditLog | undefined
let member: Membership | undefined

answerCalls<MachineCalls>({
  async deploy(deployment) {
    if (deployed?.descriptorHash !== deployment.descriptorHash) {
      // Started anew for a new epoch, as an operator would.
      await member?.network.close()
      member = undefined
    }
    deployed = deployment
    audit ??= await AuditLog.open(joinPath(deployment.dir, 'audit.jsonl'))
    return {}
  },
  async join({ patience }) {
    if (member !== undefined && connections.alive(member.network)) return shown(member)
    const options = joinOptions(patience)
    member = await joined(options)
    connections.watch(member.network)
    known = Buffer.from(member.network.identity)
    if (options.role === 'client') await note(member.network, options)
    return shown(member)
  },
  async rejoin({ patience, participants }) {
    const other = await joined({ ...joinOptions(patience), participants })
    const result = shown(other)
    await other.network.close()
    return result
  },
  serve: () => serveNetwork(network()),
  async get({ port }) {
    const { secret, ...facts } = await connections.get(network(), port)
    secrets.push(secret)
    return facts
  },
  async echo({ port }) {
    const { secret, ...facts } = await connections.echo(network(), port)
    secrets.push(secret)
    return facts
  },
  async hold(ports) {
    await connections.hold(network(), ports)
    return {}
  },
  held: () => connections.held(),
  async audit() {
    const { lines } = await verifyAudit(joinPath(deployment().dir, 'audit.jsonl'))
    return { lines }
  },
  search: ({ root }) => searchFolder(root, secrets, known),
})

async function note(network: Network, options: JoinOptions): Promise<void> {
  secrets.push(...(await keysOfNetwork(network, options, deployment().participants)))
}

function joinOptions(patience: number): JoinOptions {
  const { descriptor, descriptorHash, role, socketPath } = deployment()
  return {
    descriptor,
    descriptorHash,
    role,
    // Looked up each time: a participant that was started again has another address.
    participants: async (label) => [deployment().participants[label] ?? ''],
    attester: createLauncherAttester({ socketPath, kind: 'local' }),
    deadline: patience,
    requestTimeout: 5_000,
    retry: { initial: 200, max: 1_000 },
    ...(audit !== undefined && { audit }),
    // Its log, which the search at the end reads.
    onProgress: (progress) => console.log(JSON.stringify(progress)),
  }
}

async function joined(options: JoinOptions): Promise<Membership> {
  const blamed: string[] = []
  const network = await join({
    ...options,
    onProgress(progress) {
      options.onProgress?.(progress)
      if (progress.state === 'blamed') blamed.push(progress.label)
    },
  })
  return { network, blamed }
}

function shown({ network, blamed }: Membership): Joined {
  const { kcv, identity, leases } = network
  return { kcv, identity, leases: leases.map(({ label }) => label), blamed: [...blamed] }
}

function deployment(): Request<'deploy'> {
  if (deployed === undefined) throw new Error('not deployed yet')
  return deployed
}

function network(): Network {
  if (member === undefined) throw new Error('this workload has no network: it has not joined one')
  return member.network
}
