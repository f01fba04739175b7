// A stand-in for Confidential Space's launcher: the same socket, the same HTTP, a local issuer behind it.
// What it speaks is what https://github.com/google/go-tpm-tools (launcher/teeserver) serves: GET gives the
// default token, POST one for an audience, 400 for what it does not take; text/html, oddly, always.
// Stricter than it in one way: a body is one JSON document with nothing after it.

import { chmod, lstat, unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { McbnError } from '../../../errors.js'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { stringOption } from '../../../options.js'
import { type Clock, systemClock } from '../../base/clock.js'
import { readWithin } from '../../base/read-within.js'
import { isObject, type JsonObject, own } from '../json.js'
import { MOST_AUDIENCE_BYTES, NONCE_BYTES, type TokenType } from '../launcher.js'
import { confidentialSpaceClaims, type LocalWorkload } from './claims.js'
import type { LocalIssuer } from './issuer.js'

export interface ServeLauncherOptions {
  /** Where to listen; what may be there is a socket that a crash left. At most 107 bytes (103 on macOS), the system's limit. */
  readonly socketPath: string
  readonly issuer: LocalIssuer
  /** What tokens say about the one workload that uses this socket; a function is asked for every token. */
  readonly workload: LocalWorkload | (() => LocalWorkload)
  /** The tokens' time. @defaultValue systemClock */
  readonly clock?: Clock
}

const OPTIONS = {
  socketPath: undefined,
  issuer: undefined,
  workload: undefined,
  clock: undefined,
} as const satisfies OptionTable<ServeLauncherOptions>

export interface LocalLauncher {
  readonly socketPath: string
  /** Tokens given so far. */
  readonly minted: number
  /** Stops listening, drops connections, removes the socket. */
  close(): Promise<void>
}

const MOST_NONCES = 6
const MOST_BODY_BYTES = 65_536
const FIELDS: readonly string[] = ['audience', 'nonces', 'token_type', 'aws_principal_tag_options']

/**
 * Serves tokens on a Unix socket, readable and writable by its owner only: anyone who can connect gets a token
 * that says it is the workload.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`; `MCBN_ATTESTER_FAILED` if the socket cannot
 * be made, its reason as `cause`.
 */
export async function serveLauncher(options: ServeLauncherOptions): Promise<LocalLauncher> {
  refuseUnknown('serveLauncher', options, OPTIONS)
  const socketPath = stringOption('socketPath', options.socketPath, 107) ?? ''
  if (socketPath === '') throw new McbnError('MCBN_OPTION_RANGE', 'socketPath: expected a path')
  let minted = 0
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000 },
    (asked, answer) => {
      answer.setHeader('content-type', 'text/html')
      respond(options, asked).then(
        (token) => {
          minted += 1
          answer.end(token)
        },
        (error: unknown) => complain(answer, error),
      )
    },
  )
  server.maxConnections = 64
  await listen(server, socketPath)
  return {
    socketPath,
    get minted() {
      return minted
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function listen(server: Server, socketPath: string): Promise<void> {
  try {
    await bind(server, socketPath).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE' || !(await isLeft(socketPath))) throw error
      await unlink(socketPath)
      await bind(server, socketPath)
    })
    await chmod(socketPath, 0o600)
  } catch (cause) {
    server.close()
    const why =
      (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
        ? 'expected a new path, or the socket of one that has ended; got one that is in use'
        : 'expected a path in a folder that exists and that you may write to'
    throw new McbnError('MCBN_ATTESTER_FAILED', `cannot listen on ${socketPath}: ${why}`, { cause })
  }
}

async function bind(server: Server, socketPath: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketPath, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}

/** A socket that nobody listens on: what a killed process leaves. A file of another kind refuses connections too. */
async function isLeft(socketPath: string): Promise<boolean> {
  if (!(await lstat(socketPath)).isSocket()) return false
  return await new Promise((resolve) => {
    const socket = connect(socketPath)
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  })
}

/** A refusal with its status; its text is for the one who asked. */
class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

function complain(answer: ServerResponse, error: unknown): void {
  const known = error instanceof Refusal
  answer.statusCode = known ? error.status : 500
  answer.end(known ? error.message : 'the token could not be made')
}

async function respond(options: ServeLauncherOptions, asked: IncomingMessage): Promise<string> {
  const path = (asked.url ?? '').split('?', 1)[0]
  if (path !== '/v1/token') throw new Refusal(404, 'no such endpoint')
  if (asked.method === 'GET') return await mint(options, undefined, [], 'OIDC')
  if (asked.method !== 'POST') throw new Refusal(400, 'expected GET or POST')
  const request = requestOf(await bodyOf(asked))
  return await mint(options, request.audience, request.nonces, request.tokenType)
}

async function mint(
  { issuer, workload, clock = systemClock }: ServeLauncherOptions,
  audience: string | undefined,
  nonces: readonly string[],
  tokenType: TokenType,
): Promise<string> {
  const claims = confidentialSpaceClaims({
    ...(audience !== undefined && { audience }),
    nonces,
    workload: typeof workload === 'function' ? workload() : workload,
    now: clock.wall(),
  })
  return await issuer.mint(claims, tokenType)
}

async function bodyOf(asked: IncomingMessage): Promise<JsonObject> {
  const bytes = await readWithin(asked, MOST_BODY_BYTES)
  if (bytes === undefined) throw new Refusal(413, 'the body is too large')
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new Refusal(400, 'the body is not JSON')
  }
  if (!isObject(value)) throw new Refusal(400, 'the body is not a JSON object')
  for (const name of Object.keys(value)) {
    if (!FIELDS.includes(name)) throw new Refusal(400, 'the body has an unknown field')
  }
  return value
}

function requestOf(body: JsonObject): {
  readonly audience: string
  readonly nonces: readonly string[]
  readonly tokenType: TokenType
} {
  const audience = own(body, 'audience') ?? ''
  if (typeof audience !== 'string') throw new Refusal(400, 'audience is not a string')
  if (audience === '') throw new Refusal(400, 'audience is missing; GET gives the default token')
  if (Buffer.byteLength(audience) > MOST_AUDIENCE_BYTES) {
    throw new Refusal(400, `audience has more than ${MOST_AUDIENCE_BYTES} bytes`)
  }
  const tokenType = own(body, 'token_type') ?? ''
  if (tokenType === '') throw new Refusal(400, 'token_type is missing')
  // The platform has types of tokens for other clouds too; none of them is made here.
  if (tokenType !== 'OIDC' && tokenType !== 'PKI') {
    throw new Refusal(400, 'token_type is neither OIDC nor PKI')
  }
  if ((own(body, 'aws_principal_tag_options') ?? null) !== null) {
    throw new Refusal(400, 'aws_principal_tag_options do not go with this token_type')
  }
  return { audience, nonces: noncesOf(own(body, 'nonces') ?? []), tokenType }
}

function noncesOf(value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every((nonce) => typeof nonce === 'string')) {
    throw new Refusal(400, 'nonces are not a list of strings')
  }
  if (value.length > MOST_NONCES) throw new Refusal(400, `more than ${MOST_NONCES} nonces`)
  for (const nonce of value as string[]) {
    const bytes = Buffer.byteLength(nonce)
    if (bytes < NONCE_BYTES.min || bytes > NONCE_BYTES.max) {
      throw new Refusal(400, `a nonce has not ${NONCE_BYTES.min} to ${NONCE_BYTES.max} bytes`)
    }
  }
  return value as string[]
}
