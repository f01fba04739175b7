// Frank in front of a participant: an HTTP server that workloads take for it. He reads every message, and
// passes on what he likes.

import { once } from 'node:events'
import {
  createServer,
  request as forward,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Meddling } from './calls.js'
import { HOST } from './cast.js'
import type { FrankRecord } from './frank-record.js'

/** JSON as he reads it. */
export type Message = Readonly<Record<string, unknown>>

/** A message that came, and what it was answered. */
export interface Exchange {
  readonly path: string
  readonly sent: Message
  readonly status: number
  readonly got: Message
}

/** Most exchanges remembered; the record on disk has all. */
const MOST_SEEN = 64

export class Front {
  how: Meddling = 'nothing'
  readonly target: string
  readonly #record: FrankRecord
  readonly #seen: Exchange[] = []
  /** His own key, to have a share sealed to. */
  readonly #ownKey: string

  constructor(target: string, record: FrankRecord, ownKey: string) {
    this.target = target
    this.#record = record
    this.#ownKey = ownKey
  }

  /** The latest first. */
  get seen(): readonly Exchange[] {
    return this.#seen
  }

  /** @returns his address. */
  async listen(): Promise<string> {
    const server = createServer((asked, answer) => {
      this.#carry(asked, answer).catch(() => answer.destroy())
    })
    server.listen(0, HOST)
    await once(server, 'listening')
    return `http://${HOST}:${(server.address() as AddressInfo).port}`
  }

  /** Sends the participant his own message. */
  async send(path: string, message: Message): Promise<Exchange> {
    const { status, text } = await post(`${this.target}${path}`, JSON.stringify(message))
    this.#record.keep('messages', `POST ${path}\n${JSON.stringify(message)}\n${status}\n${text}\n`)
    return { path, sent: message, status, got: JSON.parse(text) as Message }
  }

  async #carry(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const path = `${asked.url}`
    const body = await bodyOf(asked)
    this.#record.keep(
      'messages',
      `${asked.method} ${path}\n${asked.rawHeaders.join('\n')}\n${body}\n`,
    )
    if (this.how === 'block') return void asked.socket.destroy()
    const came = JSON.parse(body) as Message
    const sent = this.how === 'swap-key' ? this.#swapped(path, came) : came
    const { status, text } = await post(`${this.target}${path}`, JSON.stringify(sent))
    this.#record.keep('messages', `${status}\n${text}\n`)
    const got = JSON.parse(text) as Message
    this.#seen.unshift({ path, sent, status, got })
    this.#seen.length = Math.min(this.#seen.length, MOST_SEEN)
    const passed = path === '/v1/evidence' && this.how === 'alter-release' ? altered(got) : got
    answer.writeHead(status, { 'content-type': 'application/json' })
    answer.end(JSON.stringify(passed))
  }

  /** In the request, and in what the evidence repeats of it: one alone would answer no challenge. */
  #swapped(path: string | undefined, came: Message): Message {
    if (path === '/v1/request') return { ...came, pk: this.#ownKey }
    if (path !== '/v1/evidence') return came
    return { ...came, request: { ...(came['request'] as Message), pk: this.#ownKey } }
  }
}

/** One bit of the sealed share. */
function altered(release: Message): Message {
  const { ciphertext } = release
  if (typeof ciphertext !== 'string') return release
  const bytes = Buffer.from(ciphertext, 'base64url')
  bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0)
  return { ...release, ciphertext: bytes.toString('base64url') }
}

function post(
  url: string,
  body: string,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const call = forward(url, { method: 'POST', agent: false, headers, timeout: 10_000 })
    call.on('error', reject)
    call.on('timeout', () => call.destroy(new Error('no answer')))
    call.on('response', (response) => {
      bodyOf(response)
        .then((text) => resolve({ status: response.statusCode ?? 0, text }))
        .catch(reject)
    })
    call.end(body)
  })
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}
