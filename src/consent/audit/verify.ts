// Verifying an audit: all of it, or as far back as somebody asks.

import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { type AuditHead, type AuditLine, broken, EMPTY_CHAIN } from './chain.js'
import { type CheckpointKey, isCheckpointOf } from './checkpoint.js'
import { type AuditSource, type Step, type WalkFrom, walk } from './read.js'

export interface VerifyAuditOptions {
  /** Heads noted earlier, elsewhere: the audit has to go on from exactly there, so its end is not cut off. */
  readonly noted?: AuditHead | readonly AuditHead[]
  /**
   * Whose audit it is: its checkpoints have to be signed by this key. An audit whose first segments were moved
   * elsewhere may then begin with a checkpoint. @defaultValue none
   */
  readonly signedBy?: CheckpointKey
}

const VERIFY_OPTIONS = {
  noted: undefined,
  signedBy: undefined,
} as const satisfies OptionTable<VerifyAuditOptions>

/**
 * Verifies an audit from its first line to its last.
 *
 * @param source - a path, or the bytes in any pieces.
 * @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line`: the first that was altered, removed, added or torn.
 */
export async function verifyAudit(
  source: AuditSource,
  options: VerifyAuditOptions = {},
): Promise<AuditHead> {
  refuseUnknown('verifyAudit', options, VERIFY_OPTIONS)
  let head = EMPTY_CHAIN
  for await (const step of verified(source, options)) head = step.head
  return head
}

export interface ReadAuditOptions extends VerifyAuditOptions {
  /** Lines of the end that are handed out. @defaultValue 256 */
  readonly last?: number
}

const READ_OPTIONS = {
  ...VERIFY_OPTIONS,
  last: undefined,
} as const satisfies OptionTable<ReadAuditOptions>

/** An audit as far as it holds. */
export interface AuditReading extends AuditHead {
  /** The number of the first line that was read: 1, unless segments were moved elsewhere. */
  readonly from: number
  /** The last lines, oldest first. */
  readonly last: readonly AuditLine[]
  /** What ended the reading early; its `line` says where. */
  readonly broken?: McbnError
}

/** Verifies an audit and returns its last lines; where it is broken, those before. Throws nothing for that. */
export async function readAudit(
  source: AuditSource,
  options: ReadAuditOptions = {},
): Promise<AuditReading> {
  refuseUnknown('readAudit', options, READ_OPTIONS)
  const { last: most = 256, ...rest } = options
  let head = EMPTY_CHAIN
  let from = 1
  const last: AuditLine[] = []
  try {
    for await (const step of verified(source, rest)) {
      if (head === EMPTY_CHAIN) from = step.line.seq
      head = step.head
      last.push(step.line)
      if (last.length > most) last.shift()
    }
  } catch (error) {
    if (!(error instanceof McbnError)) throw error
    return { ...head, from, last, broken: error }
  }
  return { ...head, from, last }
}

/** Lines that hold, each once it is verified. */
export type Verified = Extract<Step, { readonly line: AuditLine }>

/**
 * Walks an audit and demands what {@link VerifyAuditOptions} says.
 *
 * @param from - what comes before the first line. With `claimed` a signed checkpoint has to follow the lines that
 * are carried, unless the first line is line 1. @defaultValue claimed where checkpoints are signed by somebody
 */
export async function* verified(
  source: AuditSource,
  { noted = [], signedBy }: VerifyAuditOptions,
  from: WalkFrom = signedBy === undefined ? EMPTY_CHAIN : 'claimed',
): AsyncGenerator<Verified> {
  const heads = new Map([noted].flat().map(({ lines, head }) => [lines, head]))
  const compare = ({ lines, head }: AuditHead) => {
    if ((heads.get(lines) ?? head) === head) return
    throw broken(lines, 'expected the hash that was noted earlier, got another one')
  }
  let head: AuditHead = from === 'claimed' ? EMPTY_CHAIN : from
  compare(head)
  // Nothing is handed out before it is known to belong.
  let unproved: Verified[] | undefined
  for await (const step of walk(source, from)) {
    if ('torn' in step) throw torn(step.head)
    const { line } = step
    if (from === 'claimed' && head === EMPTY_CHAIN && line.seq > 1) unproved = []
    head = step.head
    compare(head)
    if (signedBy !== undefined && line.event === 'checkpoint') {
      if (!isCheckpointOf(signedBy, line)) {
        throw broken(line.seq, `expected a checkpoint signed by ${signedBy.label}, got another one`)
      }
      for (const before of unproved ?? []) yield before
      unproved = undefined
    }
    if (unproved !== undefined && line.event !== 'carried') throw unfounded(unproved[0] ?? step)
    if (unproved === undefined) yield step
    else unproved.push(step)
  }
  if (unproved?.[0] !== undefined) throw unfounded(unproved[0])
  const beyond = Math.max(...heads.keys())
  if (beyond > head.lines) {
    throw broken(head.lines + 1, `expected ${beyond} lines, as noted earlier, got ${head.lines}`)
  }
}

function unfounded({ line }: Verified): McbnError {
  return broken(line.seq, 'expected the first line, or a checkpoint that is signed, got neither')
}

function torn(head: AuditHead): McbnError {
  return broken(
    head.lines + 1,
    'expected a line with its end, got a torn one; a crash leaves this, and the next start repairs it',
  )
}
