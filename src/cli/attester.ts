// mcbn attester: the launcher's socket on a laptop. It measures nothing and proves nothing.

import { Command } from 'commander'
import { initSubcommand, localSubcommand } from './attester/local.js'
import type { Finish } from './exit.js'

export function attesterCommand(finish: Finish): Command {
  return new Command('attester')
    .summary('stand in for the platform that attests, on a laptop: proves nothing')
    .description(
      'Stand in for the platform that attests, to try a network on a laptop. It says what you tell it to say, so it\n' +
        'PROVES NOTHING: only participants whose policy names its keys believe it, and no such policy is for secrets.',
    )
    .addCommand(initSubcommand())
    .addCommand(localSubcommand(finish))
    .addHelpText('after', HELP)
}

const HELP = `
Examples:
  mcbn attester init attester
  mcbn participant init --dir alice --ceremony alice-ceremony --local-issuer attester/issuer.json …
  mcbn attester local --issuer attester --socket server.sock --image server.oci \\
    --env MCBN_DESCRIPTOR_HASH=<64 hex digits>
  mcbn workload server --attester local:server.sock …`
