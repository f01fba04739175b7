// What a person does with their participant: look, approve, refuse, withdraw. Most of it is a word to the process that
// serves, so what opens a folder or a database is loaded only where one has to be.

import { Command } from 'commander'
import { fromUnixSeconds } from '../../consent/base/time.js'
import { type AdminStatus, callAdmin } from '../../consent/participant/admin.js'
import type { Withdrawal } from '../../consent/release/messages.js'
import type { Lease } from '../../consent/store/lease.js'
import { isPostgres } from '../../consent/store/postgres/connection.js'
import type { Decision } from '../../consent/store/state.js'
import { McbnError } from '../../errors.js'
import { UsageError } from '../exit.js'
import { shellWord } from './files.js'
import { addLockOptions, type LockFlags } from './lock.js'
import { integer } from './network-options.js'
import { addFolderOptions, type FolderFlags, lockOf, openKept } from './participant-options.js'
import { described } from './participant-told.js'
import { report } from './report.js'

export function statusCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('status')))
    .summary('list waiting requests, holders of your share, and its network')
    .description(
      'List waiting requests, holders of your share, and its network. Needs no passphrase; what waits and\n' +
        'what is out is known only while mcbn participant serve runs.',
    )
    .action(async (flags: FolderFlags & LockFlags) => {
      const { dir, json } = flags
      if (isPostgres(dir)) return await statusInDatabase(flags)
      const running = await callAdmin(dir, 'status', {})
      if (running !== undefined) {
        report(json, { running: true, ...running }, runningLines(running, dir))
        return
      }
      const { label, descriptor, policy, state } = await readFolder(dir)
      const { network, epoch } = descriptor?.descriptor ?? {}
      const descriptorHash = descriptor?.hashHex
      const object = { running: false, label, network, epoch, descriptorHash, ...state }
      report(json, { ...object, policy: policy !== undefined }, [
        `${label}: not running`,
        ...(descriptorHash === undefined
          ? ['  no share yet: see mcbn participant install']
          : [`  ${network}, epoch ${epoch}, descriptor ${descriptorHash}`]),
        ...(policy === undefined ? ['  no policy.json: nothing can be released'] : []),
        ...withdrawalLines(state.withdrawal),
      ])
    })
}

/** What the database knows; who waits is in the audit, and in what each process says. */
async function statusInDatabase(flags: FolderFlags & LockFlags): Promise<void> {
  const store = await openKept(flags.dir, await lockOf(flags))
  try {
    const { label, descriptor, policyHash, leases, state } = store
    const { network, epoch } = descriptor?.descriptor ?? {}
    const { withdrawal, decisions } = state.current
    const object = { label, network, epoch, descriptorHash: descriptor?.hashHex, policyHash }
    report(flags.json, { ...object, leases, withdrawal, decisions }, [
      `${label}: in ${store.name}`,
      ...(descriptor === undefined
        ? ['  no share yet: see mcbn participant install']
        : [`  ${network}, epoch ${epoch}, descriptor ${descriptor.hashHex}`]),
      ...(policyHash === undefined ? ['  no policy: nothing can be released'] : []),
      ...leases.map(leaseLine),
      ...decisions.map(decisionLine),
      ...withdrawalLines(withdrawal),
    ])
  } finally {
    await store.close()
  }
}

async function decideInDatabase(
  flags: FolderFlags & LockFlags,
  id: string,
  decision: Decision['decision'],
  limit: { readonly seconds?: number },
): Promise<Decision> {
  const { decideStored } = await import('../../consent/participant/stored.js')
  const store = await openKept(flags.dir, await lockOf(flags))
  try {
    return await decideStored(store, id, decision, limit)
  } finally {
    await store.close()
  }
}

interface ApproveFlags extends FolderFlags, LockFlags {
  readonly for?: string
}

export function approveCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('approve')))
    .summary('let a workload that waits have your share')
    .description(
      'Let a workload that waits have your share. It asks again by itself within seconds.',
    )
    .argument('<id>', 'of the request, or the first 16 digits of it or more')
    .option('--for <seconds>', 'how long the approval holds (default: until you refuse)')
    .action(async (id: string, flags: ApproveFlags) => {
      const { dir, json, for: seconds } = flags
      const limit = seconds === undefined ? {} : { seconds: integer('--for', seconds) }
      if (isPostgres(dir)) {
        return decided(json, await decideInDatabase(flags, id, 'approved', limit))
      }
      const decision = await demandRunning(dir, await callAdmin(dir, 'approve', { id, ...limit }))
      decided(json, decision)
    })
}

export function refuseCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('refuse')))
    .summary('refuse a workload, also one that was approved')
    .description(
      'Refuse a workload, also one that was approved. What it has ends with its lease, at the latest.',
    )
    .argument('<id>', 'of the request or decision, or the first 16 digits of it or more')
    .action(async (id: string, flags: FolderFlags & LockFlags) => {
      const { dir, json } = flags
      if (isPostgres(dir)) return decided(json, await decideInDatabase(flags, id, 'refused', {}))
      decided(json, await demandRunning(dir, await callAdmin(dir, 'refuse', { id })))
    })
}

interface WithdrawFlags extends FolderFlags, LockFlags {
  readonly yes?: boolean
}

export function withdrawCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('withdraw')))
    .summary('take part no longer: nothing is released from now on, for good')
    .description(
      'Take part no longer. Nothing is released from now on, and what is out ends with its lease. There is no\n' +
        'way back: going on needs a new epoch, made by all. Needs the passphrase only while nothing runs.',
    )
    .option('--yes', 'you mean it')
    .action(async (flags: WithdrawFlags) => {
      if (flags.yes !== true) {
        throw new UsageError('withdraw: expected --yes: there is no way back in this epoch')
      }
      const running = isPostgres(flags.dir) ? undefined : await callAdmin(flags.dir, 'withdraw', {})
      const withdrawal = running ?? (await withdrawAtRest(flags))
      report(flags.json, { ...withdrawal }, withdrawalLines(withdrawal))
    })
}

async function withdrawAtRest(flags: WithdrawFlags): Promise<Withdrawal> {
  const { withdrawStored } = await import('../../consent/participant/stored.js')
  const store = await openKept(flags.dir, await lockOf(flags))
  try {
    return await withdrawStored(store)
  } finally {
    await store.close()
  }
}

async function readFolder(dir: string) {
  const { readStore } = await import('../../consent/store/open.js')
  return await readStore(dir)
}

async function demandRunning<Answer>(dir: string, answer: Answer | undefined): Promise<Answer> {
  if (answer !== undefined) return answer
  // Says first if this is not a participant's folder at all.
  const { label } = await readFolder(dir)
  throw new McbnError(
    'MCBN_CONNECTION_FAILED',
    `${label}: expected it to run, since only then is known who waits; start mcbn participant serve --dir ${shellWord(dir)}`,
  )
}

function decided(json: boolean | undefined, decision: Decision): void {
  const { id, role, instance, expiresAt } = decision
  const until = expiresAt === undefined ? '' : `, until ${new Date(expiresAt).toISOString()}`
  report(json, { ...decision }, [
    `${decision.decision}: ${role} on ${instance}${until} (${id.slice(0, 16)})`,
  ])
}

function withdrawalLines(withdrawal: Withdrawal | undefined): string[] {
  if (withdrawal === undefined) return []
  const since = new Date(fromUnixSeconds(withdrawal.withdrawnAt)).toISOString()
  return [`${withdrawal.label} has withdrawn, at ${since}: nothing is released any more`]
}

function runningLines(
  { url, status, pending, leases, decisions }: AdminStatus,
  dir: string,
): string[] {
  const { label, network, epoch, descriptorHash, policyHash, withdrawnSince, counters } = status
  return [
    `${label}: running at ${url ?? 'an unknown address'}`,
    `  ${network}, epoch ${epoch}, descriptor ${descriptorHash}`,
    ...(policyHash === undefined ? [] : [`  policy.json in force: sha256 ${policyHash}`]),
    ...(withdrawnSince === undefined
      ? []
      : [`  withdrawn since ${new Date(withdrawnSince).toISOString()}`]),
    `  ${counters.requests} requests, ${counters.released} releases, of which ${counters.renewed} renewals`,
    ...pending.flatMap((request) => [
      `${request.role} waits: ${described(request)}`,
      `  mcbn participant approve --dir ${shellWord(dir)} ${request.id.slice(0, 16)}`,
    ]),
    ...leases.map(leaseLine),
    ...decisions.map(decisionLine),
  ]
}

function leaseLine({ role, instance, expiresAt, renewals }: Lease): string {
  return `${role} on ${instance} has your share until ${new Date(expiresAt).toISOString()}, renewed ${renewals} times`
}

function decisionLine({ id, decision, role, instance }: Decision): string {
  return `${decision}: ${role} on ${instance} (${id.slice(0, 16)})`
}
