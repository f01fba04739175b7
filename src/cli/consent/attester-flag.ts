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

export function attesterOption(): Option {
  return new Option(
    '--attester <kind>',
    'launcher[:socket] of Confidential Space, snp[:folder] or tdx:collateral.json of configfs-tsm, ' +
      'or local:socket for a stand-in',
  )
    .env('MCBN_ATTESTER')
    .argParser(parseAttester)
    .default({ kind: 'launcher', path: undefined }, 'launcher')
}

/** @throws {UsageError} for a token type where none is chosen. */
export function attesterOf(
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
