// Where a ceremony's messages go, on the command line: --dir or --board.

import type { Command } from 'commander'
import { BoardTransport } from '../../consent/ceremony/board-client.js'
import { demandPlanHash } from '../../consent/ceremony/drive.js'
import { type CheckedPlan, parsePlan } from '../../consent/ceremony/plan.js'
import {
  type CeremonyTransport,
  FolderTransport,
  PLAN_NAME,
} from '../../consent/ceremony/transport.js'
import { McbnError } from '../../errors.js'
import { shellWord } from './files.js'

export interface TransportFlags {
  readonly dir?: string
  readonly board?: string
}

export function addTransportOptions(command: Command): Command {
  return command
    .option('--dir <folder>', 'shared folder with the messages, one file each')
    .option('--board <url>', 'board with the messages, see mcbn ceremony board')
}

/** @throws {McbnError} `MCBN_OPTION_CONFLICT` unless exactly one is given. */
export function transportOf({ dir, board }: TransportFlags): CeremonyTransport {
  if ((dir === undefined) === (board === undefined)) {
    const got = dir === undefined ? 'neither' : 'both'
    throw new McbnError('MCBN_OPTION_CONFLICT', `--dir: expected it or --board, got ${got}`)
  }
  return dir === undefined ? new BoardTransport(`${board}`) : new FolderTransport(dir)
}

/** The options again, for a next command that is shown. */
export function transportWords({ dir, board }: TransportFlags): string {
  return dir === undefined ? ` --board ${shellWord(`${board}`)}` : ` --dir ${shellWord(dir)}`
}

/**
 * The plan that is published, if it is the one that was compared.
 *
 * @param hash - as typed; undefined accepts any, to look at it.
 */
export async function fetchPlan(
  transport: CeremonyTransport,
  hash: string | undefined,
): Promise<CheckedPlan> {
  const bytes = await transport.get(PLAN_NAME)
  if (bytes === undefined) {
    throw new McbnError(
      'MCBN_CEREMONY_INVALID',
      'plan: expected one there, got none; one of you publishes it with mcbn ceremony plan',
    )
  }
  const plan = parsePlan(bytes)
  if (hash !== undefined) demandPlanHash(plan.hashHex, hash)
  return plan
}
