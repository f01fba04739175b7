// One JSON message to a participant, one back. The operator owns this network: an answer is bounded in
// size and time, no redirect is followed, and nothing of it is believed before it has been verified.

import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { McbnError } from '../../errors.js'

/** Most bytes of an answer: a release has less than 1 KiB. */
export const MOST_ANSWER_BYTES = 16_384

/** An answer as it came. */
export interface Answer {
  readonly status: number
  /** Parsed JSON: anything at all. */
  readonly body: unknown
}

/**
 * Posts a message as JSON.
 *
 * @param base - the participant's URL; `path` is appended to its own path.
 * @param signal - ends it early.
 * @throws {McbnError} `MCBN_CONNECTION_FAILED` when there is no answer; `MCBN_RELEASE_INVALID` when it is
 * too long, redirects, or is no JSON.
 */
export async function postJson(
  base: URL,
  path: string,
  message: object,
  signal: AbortSignal,
): Promise<Answer> {
  const url = endpoint(base, path)
  const body = Buffer.from(JSON.stringify(message), 'utf8')
  const { status, bytes } = await exchange(url, body, signal)
  if (status >= 300 && status < 400) {
    throw new McbnError(
      'MCBN_RELEASE_INVALID',
      `${shown(base)}: expected an answer, got a redirect (status ${status}), which is not followed`,
    )
  }
  try {
    return { status, body: JSON.parse(bytes.toString('utf8')) as unknown }
  } catch {
    throw new McbnError(
      'MCBN_RELEASE_INVALID',
      `${shown(base)}: expected JSON, got ${bytes.length} bytes of something else (status ${status})`,
    )
  }
}

/**
 * Checks a participant's URL.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` unless it is http: or https:, without user, query and fragment.
 */
export function participantUrl(value: unknown, label: string): URL {
  const text = String(value)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw wrongUrl(label, 'expected an http: or https: URL')
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw wrongUrl(label, 'expected a URL without user, password, query and fragment')
  }
  return url
}

function wrongUrl(label: string, expected: string): McbnError {
  return new McbnError('MCBN_OPTION_RANGE', `participants.${label}: ${expected}`)
}

function endpoint(base: URL, path: string): URL {
  const folder = base.pathname.endsWith('/') ? base.pathname : `${base.pathname}/`
  return new URL(`${folder}${path}`, base)
}

function shown(url: URL): string {
  return url.origin
}

function exchange(
  url: URL,
  body: Buffer,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly bytes: Buffer }> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void => {
      const options = cause === undefined ? {} : { cause }
      reject(new McbnError('MCBN_CONNECTION_FAILED', `${shown(url)}: ${why}`, options))
    }
    const open = url.protocol === 'https:' ? requestHttps : requestHttp
    const request = open(url, {
      method: 'POST',
      // Participants are asked once in minutes: a connection kept open would only be one that is stale.
      agent: false,
      headers: {
        'content-type': 'application/json',
        'content-length': body.length,
        accept: 'application/json',
      },
      signal,
    })
    request.on('error', (error) => {
      if (signal.aborted) fail('gave no answer in time')
      else fail(`no answer: ${reasonOf(error)}`, error)
    })
    request.on('response', (response) => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > MOST_ANSWER_BYTES) {
          reject(
            new McbnError(
              'MCBN_RELEASE_INVALID',
              `${shown(url)}: expected an answer of at most ${MOST_ANSWER_BYTES} bytes, got more`,
            ),
          )
          request.destroy()
          return
        }
        chunks.push(chunk)
      })
      response.on('error', (error) => fail(`the answer broke off: ${reasonOf(error)}`, error))
      response.on('aborted', () => fail('the answer broke off'))
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, bytes: Buffer.concat(chunks) })
      })
    })
    request.end(body)
  })
}

function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  if (error.message === '') return code ?? error.name
  return error.message
}
