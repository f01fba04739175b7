// One HTTP question with a JSON answer, bounded in time and size.
//
// node:http rather than fetch: a blocking query may be silent for eleven minutes, longer than fetch
// waits for headers; and a redirection must never carry a token elsewhere: node:http follows none.

import { type IncomingMessage, request as requestPlain } from 'node:http'
import { request as requestSecure } from 'node:https'
import { orAborted, startDeadline } from './deadline.js'

export interface HttpQuestion {
  readonly method: 'GET' | 'POST'
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  readonly json?: unknown
  /** Milliseconds for everything, connecting and the body included. */
  readonly timeout: number
  /** Bytes of the answer's body. */
  readonly mostBytes: number
  readonly signal?: AbortSignal | undefined
  /** Certificates to trust instead of Node's own, in PEM; for https. */
  readonly ca?: string | undefined
}

export interface HttpAnswer {
  readonly status: number
  /** Undefined where the status is not 200: what an error page says is of no use, and nobody's secret. */
  readonly body: unknown
  header(name: string): string | undefined
}

/**
 * Asks once, over its own connection.
 *
 * @returns the answer, whatever its status; rejects with the signal's reason when that aborts.
 * @throws {Error} saying what went wrong, and repeating nothing that either side sent.
 */
export async function askJson(question: HttpQuestion): Promise<HttpAnswer> {
  const { timeout, signal } = question
  const deadline = startDeadline(
    [signal],
    timeout,
    () => new Error(`no answer within ${timeout} ms`),
  )
  try {
    const response = await headersOf(question, deadline.signal)
    const { statusCode: status = 0, headers } = response
    const header = (name: string): string | undefined => headers[name]?.toString()
    if (status !== 200) {
      response.destroy()
      return { status, header, body: undefined }
    }
    const text = await orAborted(textOf(response, question.mostBytes), deadline.signal)
    return { status, header, body: text === '' ? undefined : parse(text) }
  } finally {
    deadline.end()
  }
}

function headersOf(question: HttpQuestion, signal: AbortSignal): Promise<IncomingMessage> {
  const { url, method, json, ca } = question
  const body = json === undefined ? undefined : JSON.stringify(json)
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const options = {
      method,
      agent: false,
      headers: {
        accept: 'application/json',
        ...question.headers,
        ...(body !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        }),
      },
    } as const
    const request =
      url.protocol === 'https:'
        ? requestSecure(url, { ...options, ...(ca !== undefined && { ca }) })
        : requestPlain(url, options)
    const abort = (): void => void request.destroy(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    request.once('close', () => signal.removeEventListener('abort', abort))
    request.on('error', (error) => reject(signal.aborted ? signal.reason : withoutBytes(error)))
    request.once('response', resolve)
    request.end(body)
  })
}

async function textOf(response: IncomingMessage, mostBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > mostBytes) throw new Error(`the answer is larger than ${mostBytes} bytes`)
      chunks.push(chunk)
    }
  } catch (error) {
    throw withoutBytes(error as Error)
  } finally {
    response.destroy()
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // JSON.parse quotes the text, and a hostile server may have put our own token there.
    throw new Error('the answer is no JSON')
  }
}

/** An error of node:http carries `rawPacket`, the other side's bytes: left out, for the same reason. */
function withoutBytes(error: NodeJS.ErrnoException): Error {
  const text = error.message || 'the connection failed'
  return new Error(
    error.code === undefined || text.includes(error.code) ? text : `${text} (${error.code})`,
  )
}
