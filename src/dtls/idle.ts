import { McbnError } from '../errors.js'

/** Whether a session ended for its silence: nothing failed, so nobody needs an error. */
export function isIdle(error: Error | undefined): boolean {
  return error instanceof McbnError && error.code === 'MCBN_IDLE_TIMEOUT'
}
