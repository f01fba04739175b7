import { McbnError } from '../errors.js'
import type { NativeFailure } from './contract.js'

/** The McbnError for a failure of the addon; OpenSSL's own words travel as `cause`. */
export function toError(failure: NativeFailure, cause?: unknown): McbnError {
  const reason = failure.reason === '' ? undefined : new Error(failure.reason)
  return new McbnError(failure.code, failure.message, {
    ...(cause !== undefined ? { cause } : reason !== undefined ? { cause: reason } : {}),
    ...(failure.alert !== '' && { alert: failure.alert }),
  })
}
