// How a socket says that it is not open.

import { McbnError } from '../errors.js'

/** The call needs an open socket; this one is not open. */
export function notOpen(state: 'opening' | 'open' | 'closed'): McbnError {
  const advice = state === 'opening' ? 'wait for secureConnect' : 'open a new one'
  return new McbnError('MCBN_SOCKET_CLOSED', `the socket is ${state}, not open; ${advice}`)
}

/** It was closed from this side. */
export function closedEarly(): McbnError {
  return new McbnError('MCBN_SOCKET_CLOSED', 'the socket was closed before the handshake was done')
}
