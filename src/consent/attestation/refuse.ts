// One way to say no to evidence. Messages name the check and what was expected, never what came: a
// token is somebody's credential, and logs are read by more people than may see it.

import { McbnError } from '../../errors.js'

/**
 * @param check - the claim, header field or check that failed.
 * @param why - what was expected, or what to do.
 * @param options - with a `cause` where the evidence could not be judged; a participant then is busy.
 */
export function refused(check: string, why: string, options: ErrorOptions = {}): McbnError {
  return new McbnError('MCBN_EVIDENCE_REFUSED', `evidence: ${check}: ${why}`, options)
}
