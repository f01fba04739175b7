// --audit-heads, --audit-log: where the audit's heads are noted besides.

import type { Command } from 'commander'
import { fileHeads } from '../../consent/participant/heads/file.js'
import { httpHeads } from '../../consent/participant/heads/http.js'
import { logHeads } from '../../consent/participant/heads/log.js'
import type { HeadPlace } from '../../consent/participant/heads/note.js'
import type { ParticipantStore } from '../../consent/store/replicas.js'
import { UsageError } from '../exit.js'
import { readInput } from './files.js'

const MOST_KEY_BYTES = 64 * 1024
const MOST_TOKEN_BYTES = 4 * 1024

export interface HeadFlags {
  readonly auditHeads?: string
  readonly auditHeadsTokenFile?: string
  readonly auditLog?: string
  readonly auditLogKey?: string
  readonly auditLogState?: string
}

export function addHeadOptions(command: Command): Command {
  return command
    .option(
      '--audit-heads <file|url>',
      "note the audit's head there once a minute: on another disk or machine, so that a folder or database\n" +
        'that was put back to an older copy is noticed; then nothing is served',
    )
    .option('--audit-heads-token-file <file>', 'sent to a url as a bearer token')
    .option(
      '--audit-log <url>',
      'note it in a log that only grows (RFC 6962), where others can watch; its proofs are checked',
    )
    .option('--audit-log-key <file>', "the log's public key, PEM")
    .option('--audit-log-state <file>', 'what was read of the log; made if it is not there')
}

/** @throws {UsageError} for options that belong together. */
export async function headPlaces(
  flags: HeadFlags,
  { label, keys, publicKeys }: Pick<ParticipantStore, 'label' | 'keys' | 'publicKeys'>,
): Promise<readonly HeadPlace[]> {
  const { auditHeads, auditHeadsTokenFile, auditLog, auditLogKey, auditLogState } = flags
  const places: HeadPlace[] = []
  const isUrl = auditHeads !== undefined && /^https?:\/\//.test(auditHeads)
  if (auditHeadsTokenFile !== undefined && !isUrl) {
    throw new UsageError('--audit-heads-token-file: expected --audit-heads with a url')
  }
  if (isUrl) {
    const bytes =
      auditHeadsTokenFile === undefined
        ? undefined
        : await readInput(auditHeadsTokenFile, '--audit-heads-token-file', MOST_TOKEN_BYTES)
    const token = bytes?.toString('latin1').trim()
    if (token !== undefined && !/^[!-~]+$/.test(token)) {
      throw new UsageError('--audit-heads-token-file: expected printable characters, one line')
    }
    places.push(httpHeads({ url: auditHeads, ...(token !== undefined && { token }) }))
  } else if (auditHeads !== undefined) places.push(fileHeads(auditHeads))
  if (new Set([auditLog, auditLogKey, auditLogState].map((flag) => flag === undefined)).size > 1) {
    throw new UsageError('--audit-log: expected --audit-log-key and --audit-log-state with it')
  }
  if (auditLog !== undefined && auditLogKey !== undefined && auditLogState !== undefined) {
    const publicKey = await readInput(auditLogKey, '--audit-log-key', MOST_KEY_BYTES)
    const signer = { privateKey: keys.ed25519, ed25519: publicKeys.ed25519 }
    const about = { url: auditLog, publicKey, stateFile: auditLogState }
    places.push(logHeads({ ...about, label, keys: signer }))
  }
  return places
}
