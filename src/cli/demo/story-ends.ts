// Steps 8 to 12: consent ends, goes on in another form, is betrayed, and leaves no trace.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Meddling } from './calls.js'
import { CLOSED_BY_PEER, nameOf, PARTICIPANTS } from './cast.js'
import { expectEqual, expectInsufficient, expectMatch, expectOneOf, expectTrue } from './expect.js'
import { listeningPorts } from './kernel-sockets.js'
import type { Stage } from './stage.js'
import { type Finding, type Step, StepFailed } from './steps.js'
import { doorsOf, joinBoth } from './story-consent.js'

export const END_STEPS: readonly Step<Stage>[] = [
  { name: 'withdraw', title: 'Carol withdraws: open connections close', run: withdraw },
  { name: 'threshold', title: 'A new epoch, 2 of 3: connects while Carol refuses', run: goOn },
  { name: 'blocked', title: 'Frank blocks renewals: that is no consent', run: blockRenewals },
  { name: 'blame', title: "Bob's damaged share names Bob", run: blameBob },
  { name: 'search', title: 'Frank has seen no share and no key', run: search },
]

async function withdraw(stage: Stage): Promise<Finding> {
  await stage.client.call('hold', doorsOf(stage))
  const began = performance.now()
  await stage.participant('carol').call('withdraw', {})
  const { reason, labels, tls, dtls, answers } = await stage.client.call('held', {})
  const seconds = Math.round((performance.now() - began) / 100) / 10
  expectEqual('end', [reason, labels], ['withdrawn', ['carol']])
  // Whichever workload renews first learns of it first, and closes.
  for (const end of [tls, dtls])
    expectOneOf('connection', end, ['MCBN_CONSENT_ENDED', CLOSED_BY_PEER])
  expectTrue(
    `an end within the lease of ${stage.pace.leaseSeconds} s`,
    seconds <= stage.pace.leaseSeconds,
  )
  expectTrue('messages on the connections before', answers > 0)
  await serverClosed(stage)
  for (const machine of [stage.server, stage.client]) {
    const again = machine.call('join', { patience: stage.pace.join })
    const { refused } = await expectInsufficient(machine.name, again)
    expectEqual(`${machine.name}: refused`, refused, ['carol: withdrawn'])
  }
  return {
    detail: `TLS and DTLS ended ${seconds} s later, at the next renewal (lease ${stage.pace.leaseSeconds} s): ${tls}`,
    also: ['the server has closed its ports; nobody can join again: carol refused (withdrawn)'],
    facts: {
      reason,
      participant: 'carol',
      seconds,
      leaseSeconds: stage.pace.leaseSeconds,
      tls,
      dtls,
    },
  }
}

/** It renews at a time that it chooses itself. */
async function serverClosed(stage: Stage): Promise<void> {
  const { ports } = stage
  if (ports === undefined) throw new StepFailed('expected a server, got none')
  const until = performance.now() + stage.pace.leaseSeconds * 1_000
  for (;;) {
    const { code } = await stage.frank.call('knock', { port: ports.tls })
    const open = listeningPorts(stage.server.pid) ?? []
    if (code === 'ECONNREFUSED' && open.length === 0) return
    if (performance.now() > until) {
      throw new StepFailed(`server: expected closed ports, got ${open.join()} (${code})`)
    }
    await sleep(100)
  }
}

async function goOn(stage: Stage): Promise<Finding> {
  const { hash } = await stage.ceremony(2, 't-of-n', 2)
  await stage.serve({
    approval: (label) => (label === 'carol' ? 'manual' : 'automatic'),
    brief: true,
  })
  const before = stage.kcv
  const kcv = await joinBoth(stage)
  expectTrue('another key than in the epoch before', kcv !== before)
  const refusal = { decision: 'refused', roles: ['server', 'client'] } as const
  await stage.participant('carol').call('decide', refusal)
  const participants = await stage.carry('client, again', stage.direct)
  const again = await stage.client.call('rejoin', { patience: stage.pace.join, participants })
  expectEqual('leases', [...again.leases].sort(), ['alice', 'bob'])
  expectEqual('key check value', again.kcv, kcv)
  const { tls, dtls } = await stage.listen()
  const { protocol, body } = await stage.client.call('get', { port: tls })
  expectMatch('answer', body, /^hello/)
  expectTrue('the datagram to come back', (await stage.client.call('echo', { port: dtls })).equal)
  return {
    detail: `descriptor ${hash.slice(0, 16)}..., made without a dealer; Alice and Bob are enough: ${protocol} and DTLSv1.2 answer`,
    also: [`fresh shares, fresh keys: key check value ${kcv.slice(0, 16)}...`],
    facts: { descriptorHash: hash, need: 2, leases: again.leases.length, kcv },
  }
}

async function blockRenewals(stage: Stage): Promise<Finding> {
  await stage.client.call('hold', doorsOf(stage))
  const began = performance.now()
  const block = async (how: Meddling): Promise<void> => {
    for (const owner of ['server', 'client']) {
      await stage.forAll((label) => stage.frank.call('meddle', { owner, label, how }))
    }
  }
  await block('block')
  const { reason, labels, tls, dtls } = await stage.client.call('held', {})
  const seconds = Math.round((performance.now() - began) / 100) / 10
  expectEqual('end', reason, 'unrenewed')
  for (const end of [tls, dtls])
    expectOneOf('connection', end, ['MCBN_CONSENT_ENDED', CLOSED_BY_PEER])
  await serverClosed(stage)
  await block('nothing')
  return {
    detail: `the leases of ${labels.map(nameOf).join(' and ')} ran out: TLS and DTLS ended ${seconds} s later (lease ${stage.pace.leaseSeconds} s): ${tls}`,
    also: ['who carries the messages can only take consent away'],
    facts: { reason, seconds, leaseSeconds: stage.pace.leaseSeconds, tls, dtls },
  }
}

async function blameBob(stage: Stage): Promise<Finding> {
  await stage.serve({
    approval: (label) => (label === 'carol' ? 'manual' : 'automatic'),
    damaged: 'bob',
  })
  const participants = await stage.carry('client, blaming', stage.direct)
  const attempt = (patience: number) => stage.client.call('rejoin', { patience, participants })
  const alone = await expectInsufficient('damaged share', attempt(stage.pace.join))
  expectEqual('blamed', alone.blamed, ['bob'])
  const approval = { decision: 'approved', roles: ['client'] } as const
  await stage.participant('carol').call('decide', approval)
  const { leases, kcv } = await attempt(stage.pace.join)
  expectEqual('leases', [...leases].sort(), ['alice', 'carol'])
  expectEqual('key check value', kcv, stage.kcv)
  return {
    detail:
      'bob sent a bad share: he signed it for this very request, and it is not what he committed to',
    also: [
      `${alone.message} (MCBN_CONSENT_INSUFFICIENT)`,
      'now Carol agrees: Alice and Carol are enough, and the keys are the same',
    ],
    facts: { blamed: 'bob', leases: [...leases].sort().join() },
  }
}

async function search(stage: Stage): Promise<Finding> {
  const audits = [
    ...(await stage.forAll((_label, actor) => actor.call('audit', {}))),
    ...(await Promise.all([stage.server, stage.client].map((each) => each.call('audit', {})))),
  ]
  const lines = audits.reduce((sum, audit) => sum + audit.lines, 0)
  expectTrue(
    'lines in every audit',
    audits.every((audit) => audit.lines > 0),
  )
  const { root } = stage
  const searches = [
    ...(await stage.forAll((_label, actor) => actor.call('search', { root }))),
    await stage.client.call('search', { root }),
  ]
  const owners = [...PARTICIPANTS, 'client']
  for (const [at, { found, control, spellings }] of searches.entries()) {
    expectTrue(`the search of ${owners[at]} to find what is public`, control)
    expectTrue(`the search of ${owners[at]} to find what it has planted`, spellings > 0)
    expectTrue(`no secret of ${owners[at]} in the files`, !found)
  }
  const secrets = searches.reduce((sum, each) => sum + each.secrets, 0)
  const { messages, tls, dtls } = await stage.frank.call('seen', {})
  const { files = 0, bytes = 0, spellings = 0 } = searches.at(-1) ?? {}
  const size = `${files} files, ${Math.round(bytes / 1024)} KiB`
  return {
    detail: `${secrets} secrets looked for, each by the process that has it: none found`,
    also: [
      `in all that Frank recorded (messages ${messages} bytes, TLS ${tls}, DTLS ${dtls}), all logs, folders and audits: ${size}`,
      `in ${spellings} spellings, each planted first and found (bytes, hex, base64, <Buffer ..>, JSON, decimal, escapes)`,
      `${audits.length} audits verified, ${lines} lines`,
    ],
    facts: {
      secrets,
      found: false,
      spellings,
      files,
      bytes,
      seenByFrank: messages + tls + dtls,
      auditLines: lines,
    },
  }
}
