// mcbn ceremony: making the shares and the descriptor of a network, together, by people who trust neither
// each other nor anyone who carries their messages.

import { Command } from 'commander'
import type { Finish } from '../exit.js'
import { boardCommand } from './ceremony-board.js'
import { initCommand, planCommand, showCommand } from './ceremony-plan.js'
import { runCommand, statusCommand, stepCommands } from './ceremony-steps.js'

export function ceremonyCommand(finish: Finish): Command {
  const command = new Command('ceremony')
    .summary('make the shares and the descriptor of a network, all together')
    .description(
      'Make the shares and the descriptor of a network, all together: each participant on their own\n' +
        'machine, messages over a shared folder (--dir) or a board (mcbn ceremony board).',
    )
    .addHelpText('after', HELP)
  for (const part of [initCommand(), planCommand(), showCommand(), ...stepCommands()]) {
    command.addCommand(part)
  }
  return command
    .addCommand(runCommand(finish))
    .addCommand(statusCommand())
    .addCommand(boardCommand(finish))
}

const HELP = `
The steps, each of which says what comes next:
  init      everybody: make keys, hand participant.json to one of you
  plan      one of you: write the plan; everybody compares its hash by another way (phone, in person)
  commit    promise a package without showing it
  package   show it, once everybody has promised theirs
  seal      t of n only: send every other participant their sub-share, sealed
  agree     sign what you have seen; nobody goes on unless all have seen the same
  sign      sign the descriptor
  finish    descriptor and share are yours
  run       all of them from commit on, waiting for the others

Anyone who cheats is named, and the ceremony ends (MCBN_CEREMONY_CHEATED). Messages that were altered on the
way blame nobody (MCBN_CEREMONY_INVALID). Secrets stay in the folder, sealed by passphrase or key file.

Example, 2 of 3 over a shared folder; CLIENT and SERVER are the images' digests (sha256:...), and
PLAN is the hash that all have compared:
  mcbn ceremony init ./alice --label alice
  mcbn ceremony init ./bob --label bob
  mcbn ceremony init ./carol --label carol
  mkdir ./shared
  mcbn ceremony plan --network demo --epoch 1 --threshold 2 --dir ./shared \\
    --participant alice/participant.json bob/participant.json carol/participant.json \\
    --client-image "$CLIENT" --server-image "$SERVER"
  mcbn ceremony run ./alice --dir ./shared --plan-hash "$PLAN"`
