// mcbn participant: one person's share, given to workloads that prove what they are.

import { Command } from 'commander'
import type { Finish } from '../exit.js'
import { addParts, type Parts } from '../parts.js'

/** @param typed - the word behind `participant`. */
export async function participantCommand(
  finish: Finish,
  typed: string | undefined,
): Promise<Command> {
  const command = new Command('participant')
    .summary('hold a share, and give it to whom your policy allows')
    .description(
      'Hold a share, and give it to workloads that prove to be what your policy allows.\n' +
        'Everything is in one folder, which only you can enter, or in PostgreSQL (--store), for several processes;\n' +
        'share and keys are sealed.',
    )
    .addHelpText('after', HELP)
  return await addParts(command, parts(finish), typed)
}

function parts(finish: Finish): Parts {
  const administration = () => import('./participant-admin.js')
  const audit = () => import('./participant-audit.js')
  const beginning = () => import('./participant-init.js')
  const moving = () => import('./participant-move.js')
  return {
    init: async () => (await beginning()).initCommand(),
    install: async () => (await beginning()).installCommand(),
    serve: async () => (await import('./participant-serve.js')).serveCommand(finish),
    status: async () => (await administration()).statusCommand(),
    approve: async () => (await administration()).approveCommand(),
    refuse: async () => (await administration()).refuseCommand(),
    withdraw: async () => (await administration()).withdrawCommand(),
    audit: async () => (await audit()).auditCommand(),
    'export-audit': async () => (await audit()).exportAuditCommand(),
    policy: async () => (await moving()).policyCommand(),
    move: async () => (await moving()).moveCommand(),
    seal: async () => (await import('./participant-seal.js')).sealCommand(),
  }
}

const HELP = `
The passphrase is asked for, or read from --passphrase-file or the file that MCBN_PASSPHRASE_FILE names;
--key-file, or MCBN_KEY_FILE, takes a file of random bytes instead, --key-command, or MCBN_KEY_COMMAND, a
program that asks a KMS or a token. approve, refuse and status speak to
the participant that runs and need neither; withdraw does both: what runs withdraws, and a folder at rest
is opened for it.

Examples:
  mcbn participant init --dir ./alice --ceremony ./alice-ceremony
  mcbn participant serve --dir ./alice --listen 127.0.0.1:7001 --web
  mcbn participant status --dir ./alice
  mcbn participant approve --dir ./alice 3f9a01c27be05d64
  mcbn participant withdraw --dir ./alice --yes
  mcbn participant audit --dir ./alice`
