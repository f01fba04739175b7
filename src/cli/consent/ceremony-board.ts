import { stat } from 'node:fs/promises'
import { Command } from 'commander'
import { serveBoard } from '../../consent/ceremony/board.js'
import { PLAN_MAX_BYTES, parsePlan } from '../../consent/ceremony/plan.js'
import { FolderTransport } from '../../consent/ceremony/transport.js'
import { EXIT, type Finish, UsageError } from '../exit.js'
import { onStopSignal } from '../signals.js'
import { readInput } from './files.js'
import { report } from './report.js'

interface BoardFlags {
  readonly plan: string
  readonly listen: string
  readonly keep?: string
  readonly json?: boolean
}

/** `mcbn ceremony board`: serves until it is stopped. */
export function boardCommand(finish: Finish): Command {
  return new Command('board')
    .summary('carry the messages of one ceremony over HTTP')
    .description(
      'Carry the messages of one ceremony over HTTP. A board is trusted with nothing: messages are\n' +
        'signed, secrets are sealed, and what it withholds is missed. It takes only messages that\n' +
        'participants of the plan have signed, each once.',
    )
    .requiredOption('--plan <file>', 'the plan, from mcbn ceremony plan --out')
    .option('--listen <host:port>', 'where; port 0 takes a free one', '127.0.0.1:8420')
    .option('--keep <folder>', 'keep messages in a folder (default: in memory)')
    .option('--json', 'one JSON object a line instead of sentences')
    .action(async ({ plan: file, listen, keep, json }: BoardFlags) => {
      const plan = parsePlan(await readInput(file, '--plan', PLAN_MAX_BYTES + 1))
      if (keep !== undefined) await demandFolder(keep)
      const board = await serveBoard({
        plan,
        ...address(listen),
        ...(keep !== undefined && { storage: new FolderTransport(keep) }),
        onMessage: (name) => report(json, { event: 'message', name }, [`got ${name}`]),
      })
      onStopSignal(async () => {
        await board.close()
        finish(EXIT.ok)
      })
      report(json, { event: 'listening', url: board.url, planHash: plan.hashHex }, [
        `board for plan ${plan.hashHex} listening on ${board.url}`,
        'next: every participant types',
        `  mcbn ceremony run <folder> --board ${board.url} --plan-hash ${plan.hashHex}`,
      ])
    })
}

function address(text: string): { readonly host: string; readonly port: number } {
  const parts = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const host = parts?.[1] ?? parts?.[2]
  const port = Number(parts?.[3])
  if (host !== undefined && port <= 65_535) return { host, port }
  throw new UsageError('--listen: expected host:port, as 127.0.0.1:8420 or [::1]:8420')
}

async function demandFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory() !== true) throw new UsageError('--keep: expected a folder that is there')
}
