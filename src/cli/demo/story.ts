// The story that `mcbn demo` tells: shares become a key, the key becomes connections, and whoever lacks
// a share gets none. A list of steps, so that participants, attestation and withdrawal find their place.

import { randomBytes } from 'node:crypto'
import type { CallName, Request } from './messages.js'
import { type DemoNetwork, demoNetwork, PARTICIPANTS, type Participant } from './network.js'
import { type Finding, type Step, StepFailed } from './steps.js'
import { Workload, WorkloadRefused } from './workload-process.js'

const SHARE_BYTES = 32
const REPLY = 'hello from the server\n'

/** What the steps hand on to each other. */
export class Story {
  readonly network: DemoNetwork = demoNetwork()
  readonly shares = new Map<Participant, Buffer>()
  readonly #workloads: Workload[] = []
  #server: Workload | undefined
  #client: Workload | undefined
  ports: { readonly tlsPort: number; readonly dtlsPort: number } | undefined

  /** Starts a process that {@link stop} will end. */
  workload(name: string): Workload {
    const workload = new Workload(name)
    this.#workloads.push(workload)
    return workload
  }

  get server(): Workload {
    this.#server ??= this.workload('server')
    return this.#server
  }

  get client(): Workload {
    this.#client ??= this.workload('client')
    return this.#client
  }

  /** Copies: IPC clones them, the workload wipes its clone, and these are wiped by {@link stop}. */
  sharesOf(labels: readonly Participant[]): Record<string, Uint8Array> {
    return Object.fromEntries(
      labels.map((label) => [label, this.shares.get(label) ?? missing(label)]),
    )
  }

  /** Ends all processes and wipes the shares. May be called at any time, more than once. */
  stop(): void {
    for (const workload of this.#workloads) workload.stop()
    for (const share of this.shares.values()) share.fill(0)
  }
}

export const STORY: readonly Step<Story>[] = [
  { name: 'shares', title: 'Alice, Bob and Carol each make a share', run: makeShares },
  { name: 'derive', title: 'Server and client derive the same keys from them', run: deriveKeys },
  { name: 'tls', title: 'HTTP over TLS 1.3 between the two processes', run: connectTls },
  { name: 'dtls', title: 'A datagram over DTLS 1.2 and back', run: connectDtls },
  { name: 'share-missing', title: "Without Carol's share nobody connects", run: tryWithoutCarol },
  {
    name: 'share-wrong',
    title: "With a wrong share of Carol's nobody connects",
    run: tryWrongShare,
  },
  { name: 'still-serving', title: 'The server still serves who has consent', run: connectAgain },
]

function makeShares({ shares, network }: Story): Finding {
  for (const label of PARTICIPANTS) shares.set(label, randomBytes(SHARE_BYTES))
  return {
    detail: `${PARTICIPANTS.length} x ${SHARE_BYTES} random bytes, bound to the network "${network.network}"`,
    facts: {
      participants: PARTICIPANTS.length,
      bytes: SHARE_BYTES,
      descriptorHash: Buffer.from(network.descriptorHash).toString('hex'),
    },
  }
}

async function deriveKeys(story: Story): Promise<Finding> {
  const request = { network: story.network, shares: story.sharesOf(PARTICIPANTS), insist: false }
  const [server, client] = await Promise.all([
    story.server.call('join', request),
    story.client.call('join', request),
  ])
  expectEqual('key check value of the client', client.kcv, server.kcv)
  const processes = `processes ${story.server.pid} and ${story.client.pid}`
  return {
    detail: `${processes} have the same key check value ${server.kcv.slice(0, 16)}...`,
    facts: { kcv: server.kcv },
  }
}

async function connectTls(story: Story): Promise<Finding> {
  story.ports ??= await story.server.call('serve', {})
  const { status, body, protocol, cipher } = await story.client.call('get', {
    port: story.ports.tlsPort,
  })
  expectEqual('HTTP status', status, 200)
  expectEqual('body', body, REPLY)
  expectEqual('protocol', protocol, 'TLSv1.3')
  return {
    detail: `${protocol}, ${cipher}: GET / -> ${status} "${body.trim()}"`,
    facts: { protocol, cipher, status },
  }
}

async function connectDtls(story: Story): Promise<Finding> {
  const sent = 'This is a UDP message'
  const { text, protocol, cipher } = await story.client.call('echo', {
    port: portsOf(story).dtlsPort,
    text: sent,
  })
  expectEqual('echo', text, sent)
  expectEqual('protocol', protocol, 'DTLSv1.2')
  return {
    detail: `${protocol}, ${cipher}: "${text}" came back`,
    facts: { protocol, cipher },
  }
}

async function tryWithoutCarol(story: Story): Promise<Finding> {
  const client = story.workload('client without Carol')
  const request = { network: story.network, shares: story.sharesOf(['alice', 'bob']) }
  await expectRefusal(client, 'join', { ...request, insist: false }, 'MCBN_SHARE_INVALID')
  // An altered workload could ignore the rule: what two shares make is simply another key.
  await client.call('join', { ...request, insist: true })
  await expectNoConnection(story, client)
  return {
    detail: 'no key is derived; forced with two shares, TLS and DTLS refuse it: MCBN_PSK_MISMATCH',
    facts: {
      derivation: 'MCBN_SHARE_INVALID',
      tls: 'MCBN_PSK_MISMATCH',
      dtls: 'MCBN_PSK_MISMATCH',
    },
  }
}

async function tryWrongShare(story: Story): Promise<Finding> {
  const client = story.workload('client with a wrong share')
  const shares = { ...story.sharesOf(['alice', 'bob']), carol: randomBytes(SHARE_BYTES) }
  await client.call('join', { network: story.network, shares, insist: false })
  await expectNoConnection(story, client)
  return {
    detail: 'TLS 1.3 and DTLS 1.2 refuse it and say why: MCBN_PSK_MISMATCH',
    facts: { tls: 'MCBN_PSK_MISMATCH', dtls: 'MCBN_PSK_MISMATCH' },
  }
}

async function connectAgain(story: Story): Promise<Finding> {
  const { tlsPort, dtlsPort } = portsOf(story)
  const [{ status }, { text }] = await Promise.all([
    story.client.call('get', { port: tlsPort }),
    story.client.call('echo', { port: dtlsPort, text: 'again' }),
  ])
  expectEqual('HTTP status', status, 200)
  expectEqual('echo', text, 'again')
  return { detail: 'after all refusals, TLS 1.3 and DTLS 1.2 answer the right client' }
}

async function expectNoConnection(story: Story, client: Workload): Promise<void> {
  const { tlsPort, dtlsPort } = portsOf(story)
  await expectRefusal(client, 'get', { port: tlsPort }, 'MCBN_PSK_MISMATCH')
  await expectRefusal(client, 'echo', { port: dtlsPort, text: 'hello' }, 'MCBN_PSK_MISMATCH')
}

/** The call must fail, and for this reason: a refusal for another one proves nothing. */
async function expectRefusal<Name extends CallName>(
  workload: Workload,
  call: Name,
  request: Request<Name>,
  code: string,
): Promise<void> {
  try {
    await workload.call(call, request)
  } catch (error) {
    if (error instanceof WorkloadRefused && error.code === code) return
    throw error
  }
  throw new StepFailed(
    `${workload.name}: expected "${call}" to be refused with ${code}, it was not`,
  )
}

function expectEqual(what: string, got: string | number, expected: string | number): void {
  if (got === expected) return
  throw new StepFailed(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`)
}

function portsOf({ ports }: Story): NonNullable<Story['ports']> {
  if (ports === undefined) throw new StepFailed('expected a server that listens, got none')
  return ports
}

function missing(label: Participant): never {
  throw new StepFailed(`expected a share of ${label}, got none`)
}
