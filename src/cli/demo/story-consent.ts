// Steps 1 to 4: no connection before everybody agrees; then one.

import { verifySignedDescriptor } from '../../consent/descriptor/signed.js'
import { nameOf, PARTICIPANTS } from './cast.js'
import { expectEqual, expectMatch, expectRefusal, expectShares, expectTrue } from './expect.js'
import { listeningPorts } from './kernel-sockets.js'
import type { Stage } from './stage.js'
import { type Finding, type Step, StepFailed } from './steps.js'

export const CONSENT_STEPS: readonly Step<Stage>[] = [
  {
    name: 'ceremony',
    title: 'Alice, Bob and Carol make keys and shares together',
    run: makeShares,
  },
  { name: 'ask', title: 'Server and client ask; without Carol nothing listens', run: askThree },
  { name: 'tls', title: 'Carol consents: HTTP over TLS 1.3', run: connectTls },
  { name: 'dtls', title: 'A datagram over DTLS 1.2 and back', run: connectDtls },
]

async function makeShares(stage: Stage): Promise<Finding> {
  await stage.open()
  await stage.makeKeys()
  const { descriptor, hash } = await stage.ceremony(1, 'n-of-n', 3)
  const { participants } = verifySignedDescriptor(descriptor).descriptor
  expectEqual(
    'participants',
    participants.map(({ label }) => label),
    PARTICIPANTS,
  )
  return {
    detail: `descriptor ${hash.slice(0, 16)}..., 3 of 3 shares needed, signed by ${PARTICIPANTS.map(nameOf).join(', ')}`,
    also: [
      `${stage.size} processes: 3 participants, 3 machines, the hardware vendor, and Frank between them all`,
    ],
    facts: { processes: stage.size, descriptorHash: hash, signatures: participants.length },
  }
}

async function askThree(stage: Stage): Promise<Finding> {
  // Carol wants to look at every workload herself.
  await stage.serve({ approval: (label) => (label === 'carol' ? 'manual' : 'automatic') })
  const told = await Promise.all(
    [stage.server, stage.client].map(async (machine) => {
      const ask = () => machine.call('join', { patience: stage.pace.patience })
      const { need, refused, silent, message } = await expectShares(machine.name, 2, ask)
      expectEqual(`${machine.name}: shares needed`, need, 3)
      expectEqual(`${machine.name}: refused`, refused, ['carol: manual'])
      expectEqual(`${machine.name}: silent`, silent, [])
      return message
    }),
  )
  const ports = [stage.server, stage.client].map(({ pid }) => listeningPorts(pid))
  const known = ports.every((list) => list !== undefined)
  expectEqual(
    'ports that the workloads listen on',
    ports.flatMap((list) => list ?? []),
    [],
  )
  const call = stage.client.call('get', { port: 9 })
  expectMatch('client', (await expectRefusal('client', call)).message, /has not joined/)
  return {
    detail: `${told[0]} (MCBN_CONSENT_INSUFFICIENT)`,
    also: [
      known
        ? 'no key is derived; by the list of the kernel, neither workload has a TCP or UDP port open'
        : 'no key is derived, the client cannot connect',
    ],
    facts: {
      code: 'MCBN_CONSENT_INSUFFICIENT',
      need: 3,
      have: 2,
      missing: 'carol',
      ...(known && { listening: 0 }),
    },
  }
}

async function connectTls(stage: Stage): Promise<Finding> {
  const decision = { decision: 'approved', roles: ['server', 'client'] } as const
  await stage.participant('carol').call('decide', decision)
  const kcv = await joinBoth(stage)
  const { tls } = await stage.listen()
  const { protocol, cipher, body } = await stage.client.call('get', { port: tls })
  expectEqual('protocol', protocol, 'TLSv1.3')
  expectMatch('answer', body, /^hello from the server/)
  return {
    detail: `${protocol}, ${cipher}, through Frank: GET / -> 200 "${body}"`,
    also: [`both workloads derived the same keys: key check value ${kcv.slice(0, 16)}...`],
    facts: { protocol, cipher, status: 200, kcv },
  }
}

async function connectDtls(stage: Stage): Promise<Finding> {
  const { protocol, cipher, equal } = await stage.client.call('echo', { port: doorsOf(stage).dtls })
  expectEqual('protocol', protocol, 'DTLSv1.2')
  expectTrue('the datagram to come back as it was sent', equal)
  return {
    detail: `${protocol}, ${cipher}, through Frank: a secret datagram came back unchanged`,
    facts: { protocol, cipher },
  }
}

/** Both workloads join; everybody needed agrees. @returns the key check value. */
export async function joinBoth(stage: Stage): Promise<string> {
  const [server, client] = await Promise.all([
    stage.server.call('join', { patience: stage.pace.join }),
    stage.client.call('join', { patience: stage.pace.join }),
  ])
  expectEqual('key check value of the client', client.kcv, server.kcv)
  stage.kcv = client.kcv
  return client.kcv
}

export function doorsOf({ doors }: Stage): NonNullable<Stage['doors']> {
  if (doors === undefined) throw new StepFailed('expected a server that listens, got none')
  return doors
}
