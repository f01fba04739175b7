// The row of a participant whom an earlier mcbn put into a database gets its seal.

import { Command } from 'commander'
import { isPostgres, nameOf } from '../../consent/store/postgres/connection.js'
import { sealPostgresRow } from '../../consent/store/postgres/seal-row.js'
import { UsageError } from '../exit.js'
import { addLockOptions, type LockFlags } from './lock.js'
import { addFolderOptions, type FolderFlags, lockOf } from './participant-options.js'
import { report } from './report.js'

interface SealFlags extends FolderFlags, LockFlags {
  readonly policyHash?: string
}

export function sealCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('seal')))
    .summary('seal the row that an earlier mcbn has left in a database')
    .description(
      'Since rows are sealed, a stranger who writes to the database puts in no other policy and no approval.\n' +
        'Needed once for a participant that an earlier mcbn kept there. Stop all its processes first, give the\n' +
        'SHA-256 of the policy that you have kept, and look at the approvals that are shown.',
    )
    .option('--policy-hash <hex>', 'what sha256sum tells of the policy; absent where there is none')
    .action(async (flags: SealFlags) => {
      const { dir, json, policyHash } = flags
      if (!isPostgres(dir)) throw new UsageError('seal: expected --store postgres://…')
      const sealed = await sealPostgresRow(dir, await lockOf(flags), {
        ...(policyHash !== undefined && { policyHash }),
      })
      const { label, decisions, withdrawn, lines } = sealed
      const rest = withdrawn ? ', withdrawn' : ''
      report(json, { ...sealed }, [
        `${label}: sealed in ${nameOf(dir)}, ${lines} lines of the audit${rest}`,
        ...decisions.map(
          ({ id, decision, role, instance }) =>
            `  ${decision} ${id.slice(0, 16)}: ${role} ${JSON.stringify(instance)}`,
        ),
      ])
    })
}
