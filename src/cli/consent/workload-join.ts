// From the command line to a joined network: the options that both workloads share, and what is told
// meanwhile.

import { type Command, Option } from 'commander'
import { bodyWithin } from '../../consent/base/read-within.js'
import type {
  InsufficientConsentError,
  JoinOptions,
  Network,
  Progress,
  Role,
} from '../../consent/index.js'
import { refusalWords } from '../../consent/workload/insufficient.js'
import { McbnError } from '../../errors.js'
import type { Readiness } from '../../metrics/index.js'
import type { Diagnostics } from '../diagnostics.js'
import { UsageError } from '../exit.js'
import { addOperationsOptions, announceOperations } from '../operations.js'
import { type AttesterFlag, attesterOf, attesterOption } from './attester-flag.js'
import { readInput } from './files.js'

/** As commander hands them over. */
export interface WorkloadFlags {
  readonly descriptor: string
  readonly descriptorHash?: string
  readonly participant: readonly (readonly [label: string, url: string])[]
  readonly attester: readonly AttesterFlag[]
  readonly tokenType?: 'OIDC' | 'PKI'
  readonly deadline: number
  readonly audit?: string
  readonly metrics?: string
  readonly json?: boolean
  readonly verbose?: boolean
}

/** What the attestation measures, and participants require of every workload. */
const DESCRIPTOR_HASH_VARIABLE = 'MCBN_DESCRIPTOR_HASH'
/** Most bytes of a descriptor's file. */
const MOST_DESCRIPTOR_BYTES = 256 * 1024
const FETCH_MS = 30_000
/** Seconds that people may need to say yes. */
const DEADLINE_SECONDS = 60
const LONGEST_SECONDS = 2_147_483

export function addWorkloadOptions(command: Command): Command {
  return addOperationsOptions(command)
    .addOption(
      new Option(
        '--descriptor <file|url>',
        'the descriptor with all signatures; - is stdin, an http or https url is fetched',
      )
        .env('MCBN_DESCRIPTOR')
        .makeOptionMandatory(),
    )
    .option(
      '--descriptor-hash <hex>',
      `the pinned hash of the descriptor (default: $${DESCRIPTOR_HASH_VARIABLE})`,
    )
    .addOption(
      new Option('--participant <label=url>', 'where a participant is; one for each')
        .env('MCBN_PARTICIPANTS')
        .argParser((text: string, before: WorkloadFlags['participant'] = []) => [
          ...before,
          // The variable holds all of them.
          ...text
            .trim()
            .split(/[\s,]+/)
            .map(parseParticipant),
        ])
        .makeOptionMandatory(),
    )
    .addOption(attesterOption())
    .addOption(
      new Option(
        '--token-type <type>',
        "how the launcher signs; default: the launcher's own",
      ).choices(['OIDC', 'PKI']),
    )
    .addOption(
      new Option('--deadline <seconds>', 'how long to go on asking for consent')
        .argParser(parseSeconds)
        .default(DEADLINE_SECONDS),
    )
    .option('--audit <file>', 'write what happens to an audit')
    .option('--json', 'tell events as JSON, one object a line')
    .option('--verbose', 'tell each step, one line each on stderr')
}

/** A network, and what has to be closed with it. */
export interface Joined {
  readonly network: Network
  close(): Promise<void>
}

/**
 * Joins as the flags say, telling each step.
 *
 * @throws {UsageError}; what `join` of mcbn/consent throws.
 */
export async function joinNetwork(
  role: Role,
  flags: WorkloadFlags,
  diagnostics: Diagnostics,
  signal: AbortSignal,
): Promise<Joined> {
  const consent = await import('../../consent/index.js')
  const descriptor = await descriptorOf(flags.descriptor)
  const audit = flags.audit === undefined ? undefined : await openAudit(flags.audit)
  let state: Readiness = { notReady: 'joining' }
  const operations = await announceOperations(flags, () => state, diagnostics)
  const close = async (): Promise<void> => {
    await operations?.close()
    await audit?.close()
  }
  const options: JoinOptions = {
    descriptor,
    descriptorHash: hashOf(flags),
    role,
    attester: attesterOf(flags.attester, flags.tokenType, consent),
    participants: participantsOf(flags),
    deadline: flags.deadline * 1_000,
    signal,
    onProgress(progress) {
      operations?.metrics.onProgress(progress)
      tellProgress(progress, diagnostics)
    },
    ...(audit !== undefined && { audit }),
  }
  try {
    const network = await consent.join(options)
    operations?.metrics.watchNetwork(network)
    state = true
    network.on('ended', () => {
      state = { notReady: 'ended' }
    })
    tellJoined(network, diagnostics)
    return {
      network,
      async close() {
        await network.close()
        await close()
      },
    }
  } catch (error) {
    await close()
    if (error instanceof consent.InsufficientConsentError) tellInsufficient(error, diagnostics)
    throw error
  }
}

/** From anywhere: what is not of the pinned hash is refused. */
async function descriptorOf(from: string): Promise<Buffer> {
  if (!/^https?:\/\//.test(from))
    return await readInput(from, '--descriptor', MOST_DESCRIPTOR_BYTES)
  try {
    const answer = await fetch(from, { signal: AbortSignal.timeout(FETCH_MS) })
    if (!answer.ok) throw new Error(`status ${answer.status}`)
    const bytes = await bodyWithin(answer, MOST_DESCRIPTOR_BYTES)
    if (bytes === undefined) throw new Error('it is too long')
    return bytes
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.cause ?? cause) : cause
    const why = reason instanceof Error ? reason.message : String(reason)
    const message = `--descriptor: ${from} cannot be fetched: ${why}`
    throw new McbnError('MCBN_CONNECTION_FAILED', message, { cause })
  }
}

async function openAudit(path: string) {
  const { AuditLog } = await import('../../consent/audit/log.js')
  return await AuditLog.open(path)
}

function hashOf({ descriptorHash = process.env[DESCRIPTOR_HASH_VARIABLE] }: WorkloadFlags): string {
  if (descriptorHash !== undefined && /^[0-9a-f]{64}$/.test(descriptorHash)) return descriptorHash
  throw new UsageError(
    `--descriptor-hash: expected 64 lower-case hex digits, here or in $${DESCRIPTOR_HASH_VARIABLE}`,
  )
}

function participantsOf({ participant }: WorkloadFlags): Record<string, string> {
  const labels = participant.map(([label]) => label)
  const twice = labels.find((label, at) => labels.indexOf(label) !== at)
  if (twice !== undefined) throw new UsageError(`--participant: ${twice} is given twice`)
  return Object.fromEntries(participant)
}

function tellProgress(progress: Progress, diagnostics: Diagnostics): void {
  const { label, epoch, state, code, message, retryIn, leaseFor } = progress
  const seconds = (milliseconds: number) => Math.max(1, Math.round(milliseconds / 1_000))
  const again = retryIn === undefined ? '' : `; asking again in ${seconds(retryIn)} s`
  const why = code === undefined ? '' : ` (${code})`
  const sentence = {
    asking: `asking ${label}`,
    attesting: `${label} wants evidence`,
    released: `${label} released its share, for ${seconds(leaseFor ?? 0)} s`,
    refused: `${refusalWords(label, code)}${again}`,
    silent: `${label} gave no answer${why}${again}`,
    unattested: `no evidence for ${label}: this machine's attester failed${why}${again}`,
    blamed: `${label} sent a bad share${why}`,
  }[state]
  diagnostics.event('progress', sentence, {
    label,
    epoch,
    state,
    code,
    message,
    ...(retryIn !== undefined && { retryIn: Math.round(retryIn) }),
    ...(leaseFor !== undefined && { leaseFor: Math.round(leaseFor) }),
  })
}

function tellJoined(network: Network, diagnostics: Diagnostics): void {
  const { name, epoch, role, kcv, identity, leases } = network
  diagnostics.event(
    'joined',
    `joined "${name}", epoch ${epoch}, as ${role}; key check value ${kcv}`,
    {
      network: name,
      epoch,
      role,
      kcv,
      identity,
      leases: leases.length,
    },
  )
  network.on('withdrawn', (label) => {
    diagnostics.event('withdrawn', `${label} has withdrawn`, { label })
  })
}

/** For machines: whom to ask. People read it in the error. */
function tellInsufficient(error: InsufficientConsentError, diagnostics: Diagnostics): void {
  if (!diagnostics.json) return
  const { need, have, refused, silent, unattested, blamed } = error
  diagnostics.event('insufficient', error.message, {
    need,
    have,
    refused: refused.map(({ label, code }) => `${label}:${code}`).join(','),
    silent: silent.join(','),
    unattested: unattested.join(','),
    blamed: blamed.join(','),
  })
}

function parseParticipant(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  if (at > 0 && URL.canParse(text.slice(at + 1))) return [text.slice(0, at), text.slice(at + 1)]
  throw new UsageError('--participant: expected <label>=<url>, e.g. alice=http://10.0.0.2:7001')
}

function parseSeconds(text: string): number {
  const value = /^\d{1,7}$/.test(text) ? Number(text) : 0
  if (value >= 1 && value <= LONGEST_SECONDS) return value
  throw new UsageError(`--deadline: expected seconds from 1 to ${LONGEST_SECONDS}`)
}
