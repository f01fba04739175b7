import { Command } from 'commander'
import { combinePieces, PIECES_MAX } from '../../consent/shares/pieces.js'
import { readInput, writeNew } from './files.js'
import { report } from './report.js'

/** A piece is at most 160 characters. */
const FILE_MAX_BYTES = PIECES_MAX * 200

interface CombineFlags {
  readonly out?: string
  readonly json?: boolean
}

/** `mcbn combine`: the secret that `mcbn split` has split. */
export function combineCommand(): Command {
  return new Command('combine')
    .summary('bring back a secret from its pieces')
    .description(
      'Bring back a secret that mcbn split has split, as hex digits.\n' +
        'The output is a secret: keep it off terminals that others see, and out of logs.',
    )
    .argument('<file...>', 'files with pieces, one a line (- reads stdin)')
    .option('--out <file>', 'write it to a new file, for you alone (default: stdout)')
    .option('--json', 'one JSON object instead of the bare digits')
    .action(async (files: readonly string[], { out, json }: CombineFlags) => {
      const lines: string[] = []
      for (const file of files) {
        const content = await readInput(file, 'file', FILE_MAX_BYTES)
        lines.push(
          ...content
            .toString('utf8')
            .split('\n')
            .filter((line) => line.trim() !== ''),
        )
        content.fill(0)
      }
      const secret = await combinePieces(lines)
      const digits = secret.toString('hex')
      secret.fill(0)
      if (out === undefined) return report(json, { secret: digits }, [digits])
      await writeNew(out, '--out', `${digits}\n`, 0o600)
      report(json, { written: out }, [`secret written to ${out}`])
    })
}
