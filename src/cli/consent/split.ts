import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { PIECES_SECRET_BYTES, splitSecret } from '../../consent/shares/pieces.js'
import { McbnError } from '../../errors.js'
import { decodeHex } from '../../psk/hex.js'
import { UsageError } from '../exit.js'
import { readInput, shellWord, writeNew } from './files.js'
import { integer } from './network-options.js'
import { report } from './report.js'

interface SplitFlags {
  readonly threshold: string
  readonly pieces: string
  readonly outDir?: string
  readonly json?: boolean
}

/** `mcbn split`: a back-up of one secret in pieces. */
export function splitCommand(): Command {
  return new Command('split')
    .summary('back a secret up in pieces, some of which are enough')
    .description(
      'Back one secret up in pieces, any few of which bring it back (mcbn combine).\n' +
        'The person who splits or combines holds the whole secret: this is a dealer, for drawers\n' +
        'and safes. For shares that nobody ever holds together, see mcbn ceremony.',
    )
    .argument('<file>', 'secret of 16 to 64 bytes as hex digits in a file (- reads stdin)')
    .requiredOption('--threshold <t>', 'how many pieces bring it back, 2 or more')
    .requiredOption('--pieces <n>', 'how many are made, 255 at most')
    .option('--out-dir <folder>', 'write each to its own file (default: one a line on stdout)')
    .option('--json', 'one JSON object instead of lines')
    .addHelpText('after', HELP)
    .action(async (file: string, flags: SplitFlags) => {
      const { outDir, json } = flags
      const secret = await readSecret(file)
      try {
        const threshold = integer('--threshold', flags.threshold)
        const options = { threshold, pieces: integer('--pieces', flags.pieces) }
        const pieces = await splitSecret(secret, options)
        if (outDir === undefined) return report(json, { ...options, lines: pieces }, pieces)
        const files = await writeAll(pieces, outDir)
        report(json, { ...options, files }, [
          `${pieces.length} pieces written, any ${threshold} of which bring the secret back:`,
          ...files.map((path) => `  ${path}`),
          'next: move each to its own place; to bring the secret back:',
          `  mcbn combine ${files.slice(0, threshold).map(shellWord).join(' ')}`,
        ])
      } finally {
        secret.fill(0)
      }
    })
}

const HELP = `
Each piece names its set, its number, and how many are needed, and has its own check, so that combine
can say which one is mistyped, missing or from another set.

Example:
  mcbn split alice.hex --threshold 2 --pieces 3 --out-dir ./pieces`

/** Hex digits, as shares are kept everywhere; never an argument. */
async function readSecret(file: string): Promise<Buffer> {
  const { min, max } = PIECES_SECRET_BYTES
  const content = await readInput(file, 'file', 2 * max + 2)
  try {
    const text = content.toString('latin1').replace(/\r?\n$/, '')
    const secret = decodeHex(text, 'file', 'MCBN_OPTION_RANGE', 'lower')
    if (secret.length >= min && secret.length <= max) return secret
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `file: expected ${2 * min} to ${2 * max} hex digits, got ${text.length}`,
    )
  } finally {
    content.fill(0)
  }
}

async function writeAll(pieces: readonly string[], folder: string): Promise<string[]> {
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory() !== true)
    throw new UsageError('--out-dir: expected a folder that is there')
  const files: string[] = []
  for (const [at, line] of pieces.entries()) {
    const path = join(folder, `piece-${at + 1}-of-${pieces.length}.txt`)
    await writeNew(path, '--out-dir', `${line}\n`, 0o600)
    files.push(path)
  }
  return files
}
