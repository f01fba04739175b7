// The steps of a ceremony, one command each, and `run`, which does them all.

import { Command } from 'commander'
import type { Ceremony } from '../../consent/ceremony/ceremony.js'
import {
  type CeremonyProgress,
  type DriveOptions,
  driveStep,
  driveToEnd,
  progressOf,
} from '../../consent/ceremony/drive.js'
import { CeremonyState } from '../../consent/ceremony/state.js'
import { McbnError } from '../../errors.js'
import { EXIT, type Finish } from '../exit.js'
import { onStopSignal, signalExitCode } from '../signals.js'
import { describePlan } from './ceremony-plan.js'
import {
  addTransportOptions,
  fetchPlan,
  type TransportFlags,
  transportOf,
  transportWords,
} from './ceremony-transport.js'
import { shellWord } from './files.js'
import { addLockOptions, type LockFlags, lockWords, readLock } from './lock.js'
import { integer } from './network-options.js'
import { report } from './report.js'

/** The steps after the plan, in their order; `finish` sends nothing any more. */
const STEPS = ['commit', 'package', 'seal', 'agree', 'sign', 'finish'] as const
type Step = (typeof STEPS)[number]

const WHAT: Readonly<Record<Step, string>> = {
  commit: 'make your secret, and promise your package without showing it',
  package: 'show your package, once everybody has promised theirs',
  seal: "t of n only: send the others' sub-shares, each sealed to its receiver",
  agree: 'sign what you have seen of everybody',
  sign: 'sign the descriptor, once everybody has seen the same',
  finish: 'take descriptor and share, once everybody has signed',
}

const DONE: Readonly<Record<Step, string>> = {
  commit: 'secret made, commit sent',
  package: 'package sent',
  seal: 'packages are right; sub-shares sealed and sent',
  agree: 'everything received is right; agreement sent',
  sign: 'all have seen the same; descriptor signed',
  finish: 'finished',
}

interface StepFlags extends TransportFlags, LockFlags {
  readonly planHash?: string
  readonly timeout?: string
  readonly json?: boolean
}

export function stepCommands(): Command[] {
  return STEPS.map((step) => {
    const command = base(step, WHAT[step])
    if (step === 'commit') addPlanHash(command)
    return command.action(async (folder: string, flags: StepFlags) => {
      await doStep(step, folder, flags)
    })
  })
}

export function runCommand(finish: Finish): Command {
  const command = base('run', 'do all steps, waiting for the others')
    .option('--timeout <seconds>', 'give up when it is not finished by then; run again to go on')
    .addHelpText(
      'after',
      '\nMay be stopped and started again at any time: it goes on where it stood.',
    )
  return addPlanHash(command).action(async (folder: string, flags: StepFlags) => {
    await run(folder, flags, finish)
  })
}

export function statusCommand(): Command {
  return addLockOptions(new Command('status'))
    .summary('say where your ceremony stands')
    .description('Say where your ceremony stands, and what to type next. Sends nothing.')
    .argument('<folder>', 'your folder, made by mcbn ceremony init')
    .option('--json', 'one JSON object instead of sentences')
    .action(async (folder: string, flags: StepFlags) => {
      const state = await CeremonyState.read(folder, await readLock(flags))
      const { ceremony } = state
      const label = state.card.label
      if (ceremony === undefined) {
        report(flags.json, { label, round: 'none' }, [`${label}: keys made, no ceremony yet`])
        return
      }
      const progress = progressOf(ceremony)
      const { plan } = ceremony
      report(flags.json, { label, planHash: plan.hashHex, ...progress }, [
        ...describePlan(plan),
        `${label}: ${saying(progress)}`,
        ...(ceremony.finished ? outcome(state) : []),
      ])
    })
}

function base(name: string, what: string): Command {
  return addLockOptions(addTransportOptions(new Command(name)))
    .description(`${what.slice(0, 1).toUpperCase()}${what.slice(1)}.`)
    .summary(what)
    .argument('<folder>', 'your folder, made by mcbn ceremony init')
    .option('--json', 'one JSON object a line instead of sentences')
}

function addPlanHash(command: Command): Command {
  return command.option('--plan-hash <hex>', 'hash of the plan, as all have compared it')
}

async function doStep(step: Step, folder: string, flags: StepFlags): Promise<void> {
  const { ceremony, state, drive } = await begin(folder, flags)
  demandOrder(step, ceremony)
  // Also what was done before is sent again: a crash may have come between.
  const reached = stepOf(ceremony) === step
  const progress = reached ? await resend(ceremony, drive) : await driveStep(ceremony, drive)
  if (stepOf(ceremony) === step) {
    const next = followingCommand(step, ceremony, folder, flags)
    report(flags.json, { step, label: ceremony.label, done: true, ...progress, ...next.json }, [
      `${ceremony.label}: ${DONE[step]}`,
      ...(step === 'finish' ? outcome(state) : []),
      ...next.lines,
    ])
    return
  }
  report(flags.json, { step, label: ceremony.label, done: false, ...progress }, [
    `${ceremony.label}: not yet: ${saying(progress)}`,
    'next: the same command, once they have done theirs',
  ])
  process.exitCode = EXIT.failure
}

/** Only sends: a step for this alone would be one too many. */
async function resend(ceremony: Ceremony, { transport }: DriveOptions): Promise<CeremonyProgress> {
  for (const { name, bytes } of ceremony.outgoing()) await transport.put(name, bytes)
  return progressOf(ceremony)
}

async function run(folder: string, flags: StepFlags, finish: Finish): Promise<void> {
  const { ceremony, state, drive } = await begin(folder, flags)
  const controller = new AbortController()
  const limit = flags.timeout === undefined ? undefined : integer('--timeout', flags.timeout)
  let timer: NodeJS.Timeout | undefined
  if (limit !== undefined) timer = setTimeout(() => controller.abort(), limit * 1000)
  onStopSignal((signal) => finish(signalExitCode(signal)))
  const { label } = ceremony
  try {
    await driveToEnd(ceremony, {
      ...drive,
      signal: controller.signal,
      onProgress: (progress) =>
        report(flags.json, { event: 'progress', label, ...progress }, [
          `${label}: ${saying(progress)}`,
        ]),
    })
  } catch (error) {
    if (!controller.signal.aborted) throw error
    const { waitingFor, round } = progressOf(ceremony)
    throw new McbnError(
      'MCBN_CONNECTION_FAILED',
      `ceremony: not finished within ${limit} s: waiting for the ${round} of ${waitingFor.join(', ')}; run it again to go on`,
    )
  } finally {
    clearTimeout(timer)
  }
  const next = followingCommand('finish', ceremony, folder, flags)
  report(flags.json, { event: 'finished', label, ...next.json }, [...outcome(state), ...next.lines])
}

interface Begun {
  readonly state: CeremonyState
  readonly ceremony: Ceremony
  readonly drive: DriveOptions
}

/** Opens the folder; begins the ceremony whose plan hash was typed, unless it is under way. */
async function begin(folder: string, flags: StepFlags): Promise<Begun> {
  const transport = transportOf(flags)
  // Before a passphrase is asked for.
  if (flags.planHash !== undefined) demandHash(flags.planHash)
  const state = await CeremonyState.open(folder, await readLock(flags))
  const drive = { transport, save: () => state.save() }
  const { ceremony: known } = state
  const { planHash } = flags
  if (planHash === undefined) {
    if (known !== undefined) return { state, ceremony: known, drive }
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      '--plan-hash: expected the hash that all of you have compared, got none; begin with mcbn ceremony commit',
    )
  }
  if (known?.plan.hashHex === planHash.toLowerCase()) return { state, ceremony: known, drive }
  return { state, ceremony: await state.begin(await fetchPlan(transport, planHash)), drive }
}

function demandHash(text: string): void {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return
  throw new McbnError('MCBN_OPTION_RANGE', '--plan-hash: expected 64 hex digits, got other text')
}

/** Which step's message was the last one out. */
function stepOf(ceremony: Ceremony): Step {
  return ceremony.finished ? 'finish' : ceremony.round
}

function demandOrder(step: Step, ceremony: Ceremony): void {
  const order = stepsOf(ceremony)
  const at = order.indexOf(step)
  const stands = order.indexOf(stepOf(ceremony))
  if (at === -1) {
    throw new McbnError(
      'MCBN_CEREMONY_INVALID',
      `${step}: expected with t of n only; where all are needed, agree comes after package`,
    )
  }
  if (at === stands || at === stands + 1) return
  const now = order[Math.min(stands + 1, order.length - 1)]
  throw new McbnError(
    'MCBN_CEREMONY_INVALID',
    `${step}: expected ${now} as the next step, got ${step}`,
  )
}

function stepsOf(ceremony: Ceremony): readonly Step[] {
  return [...ceremony.rounds, 'finish']
}

function followingCommand(step: Step, ceremony: Ceremony, folder: string, flags: StepFlags) {
  const order = stepsOf(ceremony)
  const next = order[order.indexOf(step) + 1]
  if (next === undefined) {
    const { descriptor, share } = ceremony.result()
    share.fill(0)
    const command = `mcbn participant init --dir <new folder> --ceremony ${shellWord(folder)}${lockWords(flags)}`
    return {
      json: { descriptorHash: descriptor.hashHex, next: command },
      lines: ['next:', `  ${command}`],
    }
  }
  const command = `mcbn ceremony ${next} ${shellWord(folder)}${transportWords(flags)}${lockWords(flags)}`
  return { json: { next: command }, lines: ['next:', `  ${command}`] }
}

function outcome({ ceremony, folder, descriptorFile }: CeremonyState): string[] {
  if (ceremony === undefined || !ceremony.finished) return []
  const { descriptor, share } = ceremony.result()
  share.fill(0)
  return [
    `descriptor ${descriptor.hashHex}, signed by ${ceremony.plan.labels.join(', ')}`,
    `  written to ${descriptorFile}`,
    `  your share is sealed in ${folder}`,
  ]
}

function saying({ round, waitingFor }: CeremonyProgress): string {
  if (round === 'finished') return 'finished'
  if (waitingFor.length === 0) return `${round} done, everybody's is there`
  return `${round} sent, waiting for that of ${waitingFor.join(', ')}`
}
