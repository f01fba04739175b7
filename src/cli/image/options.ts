// The options that all commands which build an image have in common.

import { type Command, Option } from 'commander'
import { IMAGE_ROLES, type ImageRole } from '../../image/config.js'
import { PLATFORMS, type Platform } from '../../image/lock.js'
import type { VerifyOptions } from '../../image/verify.js'
import { UsageError } from '../exit.js'

export interface SourceFlags {
  readonly app?: string
  readonly platform?: Platform
  readonly addon?: string
  readonly cache?: string
  readonly offline?: boolean
  readonly debianMirror?: readonly string[]
  readonly json?: boolean
}

export function addSourceOptions(command: Command): Command {
  return command
    .option('--app <dir>', "a program of yours, with package.json; without it: mcbn's own command")
    .addOption(
      new Option('--platform <platform>', 'what it runs on (default: linux/amd64)').choices(
        PLATFORMS,
      ),
    )
    .option('--addon <file>', 'the compiled addon, if not the one of this package')
    .option('--cache <dir>', 'where fetched files are kept (default: ~/.cache/mcbn)')
    .option('--offline', 'fetch nothing')
    .option(
      '--debian-mirror <url...>',
      "where Debian's packages are, also $MCBN_DEBIAN_MIRROR (default: apt's, then Debian's own)",
    )
    .option('--json', 'one JSON object instead of sentences')
}

export function addRoleOption(command: Command): Command {
  return command.addOption(new Option('--role <role>', 'what it is for').choices(IMAGE_ROLES))
}

/** @throws {UsageError} when SOURCE_DATE_EPOCH is no time. */
export function sourceOptions(flags: SourceFlags): Omit<VerifyOptions, 'role'> {
  const { app, platform, addon, cache, offline, debianMirror } = flags
  const created = sourceDateEpoch()
  return {
    ...(app !== undefined && { app }),
    ...(platform !== undefined && { platform }),
    ...(addon !== undefined && { addon }),
    ...(cache !== undefined && { dir: cache }),
    ...(offline === true && { offline }),
    ...(debianMirror !== undefined && { debianMirrors: debianMirror }),
    ...(created !== undefined && { created }),
  }
}

/** The one that was given, as argument or as option. */
export function roleOf(argument: string | undefined, option: ImageRole | undefined): ImageRole {
  const given = argument ?? option
  const role = IMAGE_ROLES.find((one) => one === given)
  if (role !== undefined && (option === undefined || option === role)) return role
  throw new UsageError(`role: expected ${IMAGE_ROLES.join(', ')}, got ${given ?? 'none'}`)
}

/** https://reproducible-builds.org/docs/source-date-epoch/ */
function sourceDateEpoch(): number | undefined {
  const { SOURCE_DATE_EPOCH: given } = process.env
  if (given === undefined || given === '') return undefined
  if (/^\d{1,10}$/.test(given)) return Number(given)
  throw new UsageError(`$SOURCE_DATE_EPOCH: expected seconds since 1970, got ${given}`)
}
