import { McbnError } from '../errors.js'

/** Whether a session ended because it was silent. That is no failure, so there is no error. */
export function isIdle(error: Error | undefined): boolean {
  return error instanceof McbnError && error.code === 'MCBN_IDLE_TIMEOUT'
}
