// --attester: where a workload's evidence comes from.

import { readFile } from 'node:fs/promises'
import { Option } from 'commander'
import type { Attester, TdxCollateral } from '../../consent/index.js'
import { UsageError } from '../exit.js'

export interface AttesterFlag {
  readonly kind: 'launcher' | 'local' | 'snp' | 'tdx'
  /** A socket, configfs-tsm's folder, or a file of collateral. */
  readonly path: string | undefined
}

const LAUNCHER: readonly AttesterFlag[] = [{ kind: 'launcher', path: undefined }]

/** Given again for policies that ask for several roots of trust; in the environment with spaces between. */
export function attesterOption(): Option {
  return new Option(
    '--attester <kind>',
    'launcher[:socket] of Confidential Space, snp[:folder] or tdx:collateral.json of configfs-tsm, ' +
      'or local:socket for a stand-in; several times for evidence of all of them',
  )
    .env('MCBN_ATTESTER')
    .argParser((text: string, before: readonly AttesterFlag[] = LAUNCHER) => [
      ...(before === LAUNCHER ? [] : before),
      ...text.split(/\s+/).map(parseAttester),
    ])
    .default(LAUNCHER, 'launcher')
}

/** @throws {UsageError} for a token type where none is chosen, and for kinds that do not go together. */
export function attesterOf(
  flags: readonly AttesterFlag[],
  tokenType: 'OIDC' | 'PKI' | undefined,
  consent: typeof import('../../consent/index.js'),
): Attester {
  const isTsm = ({ kind }: AttesterFlag) => kind === 'snp' || kind === 'tdx'
  const attesters = flags.map((flag) =>
    one(flag, isTsm(flag) && !flags.every(isTsm) ? undefined : tokenType, consent),
  )
  const [first, ...others] = attesters
  if (first !== undefined && others.length === 0) return first
  try {
    return consent.createSeveralAttester(attesters)
  } catch (error) {
    throw new UsageError(`--attester: ${error instanceof Error ? error.message : error}`)
  }
}

function one(
  { kind, path }: AttesterFlag,
  tokenType: 'OIDC' | 'PKI' | undefined,
  consent: typeof import('../../consent/index.js'),
): Attester {
  if (kind === 'snp' || kind === 'tdx') {
    if (tokenType !== undefined) {
      throw new UsageError(`--token-type: expected none, since ${kind} has one form of evidence`)
    }
    return kind === 'snp'
      ? consent.createTsmAttester(path === undefined ? {} : { folder: path })
      : consent.createTsmAttester({
          kind: 'intel-tdx',
          collateral: () => collateralOf(path as string),
        })
  }
  return consent.createLauncherAttester({
    ...(path !== undefined && { socketPath: path }),
    ...(tokenType !== undefined && { tokenType }),
    ...(kind === 'local' && { kind }),
  })
}

/** Read each time, since newer statements are fetched into it. */
async function collateralOf(file: string): Promise<TdxCollateral> {
  return JSON.parse(await readFile(file, 'utf8')) as TdxCollateral
}

function parseAttester(text: string): AttesterFlag {
  const [, kind, path] = /^(launcher|local|snp|tdx)(?::(.+))?$/.exec(text) ?? []
  const isWhole = path !== undefined || kind === 'launcher' || kind === 'snp'
  if (kind !== undefined && isWhole) return { kind: kind as AttesterFlag['kind'], path }
  throw new UsageError(
    '--attester: expected launcher[:<socket>], local:<socket>, snp[:<folder>] or tdx:<collateral.json>',
  )
}
