// What a participant has noted: verified, printed, exported.

import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { EMPTY_CHAIN, LINE_MAX_BYTES } from '../../consent/audit/chain.js'
import type { CheckpointKey } from '../../consent/audit/checkpoint.js'
import {
  type AuditHead,
  type AuditLine,
  type AuditReading,
  type ReadAuditOptions,
  readAudit,
} from '../../consent/audit/log.js'
import type { AuditSource } from '../../consent/audit/read.js'
import { bytesOf, segmentsOf } from '../../consent/audit/segments.js'
import { verified } from '../../consent/audit/verify.js'
import { canonicalBytes } from '../../consent/base/canonical.js'
import { readHeads } from '../../consent/participant/heads/file.js'
import { parseHead } from '../../consent/participant/heads/note.js'
import { readStore } from '../../consent/store/open.js'
import { isPostgres } from '../../consent/store/postgres/connection.js'
import { openPostgresStore } from '../../consent/store/postgres/postgres.js'
import { McbnError } from '../../errors.js'
import { UsageError } from '../exit.js'
import { addLockOptions, type LockFlags } from './lock.js'
import { integer } from './network-options.js'
import { addFolderOptions, type FolderFlags, lockOf } from './participant-options.js'
import { report } from './report.js'

interface AuditFlags extends FolderFlags, LockFlags {
  readonly last: string
  readonly noted?: string
  readonly notedFile?: string
}

export function auditCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('audit')))
    .summary('verify the audit, and print its lines')
    .description(
      'Verify the chain of the audit and print its lines, the oldest first. Exit code 1 when a line was altered,\n' +
        'removed or added. The end of a chain can be cut off without a trace: note what is printed last, on\n' +
        'another machine, and give it as --noted some other day.',
    )
    .option('--last <number>', 'print only so many lines of the end; all are verified', '50')
    .option(
      '--noted <lines:head>',
      'what was printed last some other day: it has to be there still',
    )
    .option(
      '--noted-file <file>',
      'the file of serve --audit-heads: all that is noted has to be there still',
    )
    .action(async (flags: AuditFlags) => {
      const { json, last, noted, notedFile } = flags
      const heads = [
        ...(noted === undefined ? [] : [notedHead(noted)]),
        ...(notedFile === undefined ? [] : await readHeads(notedFile)),
      ]
      const options = { last: integer('--last', last), noted: heads }
      const reading = await readKept(flags, options)
      report(
        json,
        { ...reading, broken: reading.broken?.toJSON(), verified: reading.broken === undefined },
        reading.last.map(auditText),
      )
      if (reading.broken !== undefined) throw reading.broken
      if (json === true) return
      const from = reading.from === 1 ? '' : ` from line ${reading.from} on, signed,`
      const count = reading.lines - reading.from + 1
      report(json, {}, [`verified: ${count} lines,${from} ${reading.lines}:${reading.head}`])
    })
}

async function readKept(
  flags: FolderFlags & LockFlags,
  options: ReadAuditOptions,
): Promise<AuditReading> {
  return await withAudit(flags, (source, signedBy) =>
    typeof source === 'string'
      ? readSettled(source, { ...options, signedBy })
      : readAudit(source, { ...options, signedBy }),
  )
}

async function withAudit<T>(
  flags: FolderFlags & LockFlags,
  use: (source: AuditSource, signedBy: CheckpointKey) => Promise<T>,
): Promise<T> {
  if (!isPostgres(flags.dir)) {
    const { auditPath, label, publicKeys } = await readStore(flags.dir)
    return await use(auditPath, { label, ed25519: publicKeys.ed25519 })
  }
  const store = await openPostgresStore(flags.dir, await lockOf(flags))
  try {
    const { label, publicKeys } = store
    return await use(store.audit.lines(), { label, ed25519: publicKeys.ed25519 })
  } finally {
    await store.close()
  }
}

/** A participant that runs may be in the middle of a line: what looks torn is looked at again. */
async function readSettled(path: string, options: ReadAuditOptions): Promise<AuditReading> {
  const reading = await readAudit(path, options)
  if (reading.broken === undefined) return reading
  await sleep(200)
  return await readAudit(path, options)
}

function notedHead(text: string): AuditHead {
  const head = parseHead(text)
  if (head !== undefined) return head
  throw new UsageError(
    '--noted: expected <lines>:<64 hex digits>, as mcbn participant audit printed it',
  )
}

function auditText({ seq, time, event, prev: _, ...fields }: AuditLine): string {
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${shownValue(value)}`)
  return `${seq}  ${time}  ${event}  ${rest.join(' ')}`
}

function shownValue(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

interface ExportFlags extends FolderFlags, LockFlags {
  readonly from?: string
  readonly to?: string
  readonly out?: string
}

export function exportAuditCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('export-audit')))
    .summary('write the audit, or a part of it, as JSON lines')
    .description(
      'Write the lines of the audit as they are kept, one JSON object each, to standard output or a new file. All of\n' +
        'the audit is verified, also outside of --from and --to, and each line before it is written. Exit code 1 at the\n' +
        'first one that was altered, removed or added: what was written before it holds.',
    )
    .option('--from <line>', 'the number of the first line (default: the first that is kept)')
    .option('--to <line>', 'the number of the last line (default: the end)')
    .option('--out <file>', 'a new file, instead of standard output')
    .action(async (flags: ExportFlags) => {
      const from = integer('--from', flags.from ?? '1')
      const to = flags.to === undefined ? Number.POSITIVE_INFINITY : integer('--to', flags.to)
      if (from < 1 || to < from) {
        throw new UsageError('--from, --to: expected 1 or more, and no end before its beginning')
      }
      const { head, first, written } = await withAudit(flags, (source, signedBy) =>
        exportTo(flags.out, source, signedBy, { from, to }),
      )
      const told = { out: flags.out ?? '-', written, ...head }
      if (flags.out !== undefined) {
        report(flags.json, told, [
          `${written} lines in ${flags.out}; verified up to ${head.lines}:${head.head}`,
        ])
      }
      if (flags.from !== undefined && first > from) {
        throw new McbnError(
          'MCBN_OPTION_RANGE',
          `--from: line ${first} is the first that is kept here; earlier segments were moved elsewhere`,
        )
      }
    })
}

interface Range {
  readonly from: number
  readonly to: number
}

/** Writes as fast as the reader takes it; the memory that it needs does not grow. */
async function exportTo(
  file: string | undefined,
  source: AuditSource,
  signedBy: CheckpointKey,
  { from, to }: Range,
): Promise<{ readonly head: AuditHead; readonly first: number; readonly written: number }> {
  const found = { head: EMPTY_CHAIN, first: 1, written: 0 }
  async function* lines(): AsyncGenerator<string> {
    const whole = typeof source === 'string' ? wholeLines(source) : source
    for await (const { line, head } of verified(whole, { signedBy })) {
      if (found.head === EMPTY_CHAIN) found.first = line.seq
      found.head = head
      if (line.seq < from || line.seq > to) continue
      found.written += 1
      // Canonical, as it is kept: `readAudit` verifies what was exported.
      yield `${canonicalBytes(line)}\n`
    }
  }
  const target =
    file === undefined ? process.stdout : createWriteStream(file, { flags: 'wx', mode: 0o600 })
  await pipeline(Readable.from(lines()), target, { end: file !== undefined })
  return found
}

/** Without the end of a line that is being written, or that a crash has cut off. */
async function* wholeLines(path: string): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0)
  for await (const chunk of bytesOf(await segmentsOf(path))) {
    const bytes = Buffer.concat([rest, chunk])
    const end = bytes.lastIndexOf('\n') + 1
    // Longer than a line can be: for the reader to refuse.
    const whole = bytes.length - end > LINE_MAX_BYTES ? bytes.length : end
    yield bytes.subarray(0, whole)
    rest = Buffer.from(bytes.subarray(whole))
  }
}
