// How session stores fail.

import { McbnError } from '../../errors.js'

export function storeFailed(message: string, cause?: unknown): McbnError {
  return new McbnError('MCBN_SESSION_STORE_FAILED', `the session store ${message}`, { cause })
}

/**
 * A package that only users of one store install.
 *
 * @throws {McbnError} `MCBN_SESSION_STORE_FAILED` when it is not there.
 */
export async function optionalPackage<Package>(name: string, purpose: string): Promise<Package> {
  try {
    // Not a literal: a bundler must not insist on what most programs do without.
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)) as Package
  } catch (error) {
    throw new McbnError(
      'MCBN_SESSION_STORE_FAILED',
      `${purpose} needs the package ${name}: npm install ${name}`,
      { cause: error },
    )
  }
}
