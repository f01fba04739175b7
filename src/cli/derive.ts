import { Command } from 'commander'
import { McbnError } from '../errors.js'
import {
  ARGUMENTS_ARE_VISIBLE,
  addShareFlags,
  type DerivedKey,
  deriveFromShares,
  type ShareFlags,
} from './shares.js'

/**
 * `mcbn derive`: prints the key that shares make, because the user asked for just that.
 *
 * Usage errors are thrown as {@link McbnError}; the program around the command says them on stderr
 * and exits with 2.
 */
export function deriveCommand(): Command {
  const command = new Command('derive')
    .summary('make a key from the shares of all participants')
    .description(
      'Make a key from the shares of all participants and print it as 64 hex digits.\n' +
        'The output is a secret: keep it off terminals that others see, and out of logs.\n' +
        'Only --protocol kcv prints a check value, which may be shown and compared.',
    )
    .option('--json', 'print one JSON object instead of the bare digits')
  const setup = { variadic: true, stdin: true }
  addShareFlags(command, setup).addHelpText(
    'after',
    `
${ARGUMENTS_ARE_VISIBLE}

Examples:
  mcbn derive --share-file alice=alice.hex --share-file bob=bob.hex \\
    --descriptor-hash <hex> --network example --epoch 1 --protocol tls13
  mcbn derive --scheme sha256-concat --share-file alice.hex --share-file bob.hex`,
  )
  return command.action(async () => {
    const flags = command.opts<ShareFlags & { readonly json?: boolean }>()
    const derived = await deriveFromShares(flags, setup)
    if (derived === undefined) {
      throw new McbnError(
        'MCBN_OPTION_CONFLICT',
        'derive: expected --share or --share-file at least twice, got none',
      )
    }
    const print = command.configureOutput().writeOut ?? process.stdout.write.bind(process.stdout)
    print(
      `${flags.json === true ? JSON.stringify(asJson(derived)) : derived.key.toString('hex')}\n`,
    )
    derived.key.fill(0)
  })
}

/** The check value gets its own name, so that no script takes it for a key. */
function asJson({ key, ...rest }: DerivedKey): object {
  const digits = key.toString('hex')
  return { ...rest, ...(rest.protocol === 'kcv' ? { kcv: digits } : { key: digits }) }
}
