// --notify-…: a person hears that a request waits.

import { isAbsolute, resolve } from 'node:path'
import type { Command } from 'commander'
import {
  type NotifyOptions,
  notifyOfPending,
  type PendingNotifier,
} from '../../consent/participant/notify/index.js'
import type { Participant } from '../../consent/participant/participant.js'
import { UsageError } from '../exit.js'
import { warnIfExposed } from '../secret-file.js'
import { readInput } from './files.js'
import { report } from './report.js'

export interface NotifyFlags {
  readonly notifyUrl?: string
  readonly notifySecretFile?: string
  readonly notifyCommand?: string
  readonly json?: boolean
}

const MOST_SECRET_BYTES = 1_024

export function addNotifyOptions(command: Command): Command {
  return command
    .option('--notify-url <url>', 'post to this address, signed, when a request waits for you')
    .option(
      '--notify-secret-file <file>',
      "file with the webhook's secret: 24 to 64 bytes, or the text whsec_<base64>",
    )
    .option(
      '--notify-command <program>',
      'run this program, without a shell, when a request waits; JSON on its stdin tells which',
    )
}

/** @returns undefined where nobody is to be told. @throws {UsageError}, {@link McbnError} for what is wrong. */
export async function notifier(
  participant: Participant,
  flags: NotifyFlags,
): Promise<PendingNotifier | undefined> {
  const { notifyUrl, notifyCommand, notifySecretFile, json } = flags
  if (notifyUrl === undefined && notifySecretFile !== undefined) {
    throw new UsageError('--notify-secret-file: expected --notify-url with it')
  }
  if (notifyUrl === undefined && notifyCommand === undefined) return undefined
  const secret = notifyUrl === undefined ? undefined : await secretOf(notifySecretFile)
  const options: NotifyOptions = {
    ...(notifyUrl !== undefined && secret !== undefined && { webhook: { url: notifyUrl, secret } }),
    ...(notifyCommand !== undefined && {
      command: [isAbsolute(notifyCommand) ? notifyCommand : resolve(notifyCommand)],
    }),
    onResult({ channel, requests, tries, error }) {
      if (error === undefined) return
      report(json, { event: 'notify-failed', channel, requests, tries, reason: error }, [
        `nobody was told by ${channel} after ${tries} tries: ${error}`,
      ])
    },
  }
  try {
    return notifyOfPending(participant, options)
  } finally {
    secret?.fill(0)
  }
}

/** Standard Webhooks writes secrets as whsec_ and base64. */
async function secretOf(path: string | undefined): Promise<Buffer> {
  if (path === undefined) {
    throw new UsageError('--notify-url: expected --notify-secret-file, since the body is signed')
  }
  await warnIfExposed(path, '--notify-secret-file')
  const bytes = await readInput(path, '--notify-secret-file', MOST_SECRET_BYTES)
  const text = bytes.toString('latin1').trim()
  return text.startsWith('whsec_') ? Buffer.from(text.slice(6), 'base64') : bytes
}
