// Asking an address on the network about heads: over TLS, bounded in time and size, and without its text in errors.

import { isIP } from 'node:net'
import { McbnError } from '../../../errors.js'
import { bodyWithin } from '../../base/read-within.js'

const TIMEOUT_MS = 10_000

/**
 * @throws {McbnError} `MCBN_OPTION_RANGE` for anything but https, or http on this machine: what was noted could
 * otherwise be taken out on the way, and nobody would notice.
 */
export function headAddress(text: string, option: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const right = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url))
  if (right && url.username === '' && url.password === '' && url.hash === '') return url
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `${option}: expected an https:// address without user and password (http:// on this machine only)`,
  )
}

function isLoopback({ hostname }: URL): boolean {
  if (hostname === 'localhost' || hostname === '[::1]') return true
  return isIP(hostname) === 4 && hostname.startsWith('127.')
}

export interface Answered {
  readonly status: number
  readonly text: string
}

export interface Asked {
  readonly method?: 'GET' | 'POST'
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly mostBytes: number
}

/** @throws {McbnError} `MCBN_CONNECTION_FAILED` where nothing answers, or more than it may. */
export async function askAddress(url: URL, asked: Asked): Promise<Answered> {
  const { method = 'GET', body, headers, mostBytes } = asked
  try {
    const answer = await fetch(url, {
      ...{ method, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) },
      ...(body !== undefined && { body }),
      headers: { 'user-agent': 'mcbn', ...headers },
    })
    const bytes = await bodyWithin(answer, mostBytes)
    if (bytes !== undefined) return { status: answer.status, text: bytes.toString('utf8') }
  } catch (cause) {
    throw new McbnError('MCBN_CONNECTION_FAILED', `${url.origin}: expected an answer, got none`, {
      cause,
    })
  }
  const said = `expected an answer of at most ${mostBytes} bytes, got more`
  throw new McbnError('MCBN_CONNECTION_FAILED', `${url.origin}: ${said}`)
}
