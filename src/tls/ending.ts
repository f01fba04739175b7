// How a TLS connection ends when it does not end in order.

import type { Duplex } from 'node:stream'
import { McbnError } from '../errors.js'

/** Milliseconds a peer gets to read our alert before the connection is cut. */
const ALERT_GRACE = 1_000

/**
 * Closes the stream below so that an alert already written reaches the peer: closing a TCP socket with
 * unread data resets it, and a reset can overtake the alert.
 */
export function closeAfterAlert(transport: Duplex): void {
  if (transport.destroyed) return
  const timer = setTimeout(() => transport.destroy(), ALERT_GRACE).unref()
  transport.once('close', () => clearTimeout(timer))
  transport.once('end', () => transport.destroy())
  transport.end()
  transport.resume()
}

/** What a write, or a wait, on a closed socket gets. */
export function closedError(): McbnError {
  return new McbnError('MCBN_SOCKET_CLOSED', 'the socket is closed')
}

/** The McbnError for what the stream below reported; the system's own error is its `cause`. */
export function connectionError(
  cause: Error | undefined,
  wasOpen: boolean,
  target: string | undefined,
): McbnError {
  if (cause instanceof McbnError) return cause
  const where = target === undefined ? '' : ` to ${target}`
  const why = cause === undefined ? 'the stream below was closed' : reasonOf(cause)
  const options = cause === undefined ? {} : { cause }
  return wasOpen
    ? new McbnError('MCBN_CONNECTION_LOST', `the connection${where} was lost: ${why}`, options)
    : new McbnError('MCBN_CONNECTION_FAILED', `no connection${where}: ${why}`, options)
}

function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  // Happy eyeballs end in an AggregateError, which has a code and no message.
  if (error.message === '') return code ?? error.name
  return code === undefined || error.message.includes(code)
    ? error.message
    : `${error.message} (${code})`
}
