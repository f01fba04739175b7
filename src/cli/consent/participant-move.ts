// Where a participant is kept: from its folder into a database; and its policy there, which is no file.

import { Command } from 'commander'
import { POLICY_MAX_BYTES } from '../../consent/policy/parse.js'
import { isPostgres, nameOf } from '../../consent/store/postgres/connection.js'
import { moveToPostgres } from '../../consent/store/postgres/move.js'
import { UsageError } from '../exit.js'
import { readInput } from './files.js'
import { addLockOptions, type LockFlags } from './lock.js'
import { addFolderOptions, type FolderFlags, lockOf, openKept } from './participant-options.js'
import { report } from './report.js'

interface MoveFlags extends FolderFlags, LockFlags {
  readonly to: string
}

export function moveCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('move')))
    .summary('move the participant from its folder into a database')
    .description(
      'Move keys, share, descriptor, policy, decisions and the whole audit into PostgreSQL, where several\n' +
        'processes can serve them. The sealed secrets in the folder are overwritten; its audit stays. May be\n' +
        'interrupted and typed again. Stop mcbn participant serve first.',
    )
    .requiredOption('--to <postgres://…>', 'the database; tables are made where there are none')
    .action(async (flags: MoveFlags) => {
      const { dir, to, json } = flags
      if (isPostgres(dir) || !isPostgres(to)) {
        throw new UsageError('move: expected --dir <folder> and --to postgres://…')
      }
      const label = await moveToPostgres(dir, to, await lockOf(flags))
      report(json, { label, from: dir, to: nameOf(to) }, [
        `${label}: moved to ${nameOf(to)}; the secrets in ${dir} are overwritten`,
        'next:',
        '  mcbn participant serve --store <the same address>',
      ])
    })
}

interface PolicyFlags extends FolderFlags, LockFlags {}

export function policyCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('policy')))
    .summary('replace the policy; in a database that is the only way')
    .description(
      'Check a policy and put it in the place of the one before. Processes that serve a database see it within\n' +
        'seconds; one that serves a folder watches policy.json by itself, so edit that file instead.',
    )
    .argument('<file>', 'the policy (- reads standard input)')
    .action(async (file: string, flags: PolicyFlags) => {
      const source = await readInput(file, 'policy', POLICY_MAX_BYTES)
      const store = await openKept(flags.dir, await lockOf(flags))
      try {
        await store.setPolicy(source)
        const { label, policyHash } = store
        report(flags.json, { label, policyHash }, [`${label}: policy sha256 ${policyHash}`])
      } finally {
        await store.close()
      }
    })
}
