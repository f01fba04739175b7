// How a person's commands reach the participant that runs: a Unix socket in its folder, which only the
// folder's owner can enter (mode 0700, the socket 0600). One line of JSON each way:
//
//   {"do": "status"}  {"do": "approve", "id", "seconds"?}  {"do": "refuse", "id"}  {"do": "withdraw"}
//   {"ok": <result>}  {"error": {code, message, ...}}
//
// Only the owner can write there, so nothing more is asked. No secret passes, either way.

import { chmod, unlink } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { MCBN_ERROR_KINDS, McbnError, type McbnErrorCode } from '../../errors.js'
import type { AttestedFacts } from '../attestation/types.js'
import { readJson, Untrusted } from '../base/untrusted.js'
import type { Withdrawal } from '../release/messages.js'
import type { Lease } from '../store/lease.js'
import type { Decision } from '../store/state.js'
import type { Participant } from './participant.js'
import type { ParticipantStatus, PendingRequest } from './types.js'

/** Attested facts as JSON has them: maps become lists of pairs. */
export type FactsJson = Omit<AttestedFacts, 'env' | 'overriddenEnv'> & {
  readonly env: readonly (readonly [name: string, value: string])[]
  readonly overriddenEnv: readonly (readonly [name: string, value: string])[]
}

/** What `status` answers. */
export interface AdminStatus {
  readonly url: string | undefined
  readonly status: ParticipantStatus
  readonly pending: readonly (Omit<PendingRequest, 'facts'> & { readonly facts: FactsJson })[]
  readonly decisions: readonly Decision[]
  readonly leases: readonly Lease[]
}

/** What can be asked, and what is answered. */
export interface AdminCommands {
  readonly status: { readonly ask: object; readonly answer: AdminStatus }
  readonly approve: {
    readonly ask: { readonly id: string; readonly seconds?: number }
    readonly answer: Decision
  }
  readonly refuse: { readonly ask: { readonly id: string }; readonly answer: Decision }
  readonly withdraw: { readonly ask: object; readonly answer: Withdrawal }
}

export interface AdminServer {
  close(): Promise<void>
}

const MOST_LINE_BYTES = 4_096
const MOST_ANSWER_BYTES = 64 * 1024 * 1024
const MOST_CONNECTIONS = 16
const TIMEOUT_MS = 10_000
/** What a sockaddr_un holds, on the strictest of the systems (macOS), less the final zero. */
const MOST_PATH_BYTES = 103
/**
 * Least digits of an id's beginning that stand for it. An operator who may set some variable can try values
 * until two requests begin alike, and let only one of them wait: it must not be a matter of seconds.
 */
const LEAST_DIGITS = 16

/** Where a participant's folder has the socket. */
export function adminSocketPath(dir: string): string {
  return join(dir, 'admin.sock')
}

/**
 * Listens for a person's commands. The folder's lock is this process's: a socket that is there already is
 * what a crash left.
 *
 * @param url - where the participant is served, for `status`.
 * @throws {McbnError} `MCBN_OPTION_RANGE` for a path longer than sockets can have.
 */
export async function serveAdmin(
  participant: Participant,
  dir: string,
  url?: string,
): Promise<AdminServer> {
  const path = adminSocketPath(dir)
  demandShort(path)
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    answerOne(socket, participant, url)
  })
  server.maxConnections = MOST_CONNECTIONS
  await listening(server, path)
  await chmod(path, 0o600)
  return {
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

/**
 * Asks the participant that runs in a folder.
 *
 * @returns `undefined` when none runs there.
 * @throws {McbnError} what the participant answers; `MCBN_CONNECTION_LOST` when it gives no answer.
 */
export async function callAdmin<Name extends keyof AdminCommands>(
  dir: string,
  name: Name,
  ask: AdminCommands[Name]['ask'],
): Promise<AdminCommands[Name]['answer'] | undefined> {
  const path = adminSocketPath(dir)
  demandShort(path)
  const socket = await dial(path)
  if (socket === undefined) return undefined
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy())
  socket.write(`${JSON.stringify({ do: name, ...ask })}\n`)
  const line = await readLine(socket, MOST_ANSWER_BYTES)
  socket.destroy()
  if (line === undefined) throw lost(path)
  const answer = JSON.parse(line) as {
    readonly ok?: AdminCommands[Name]['answer']
    readonly error?: { readonly code: McbnErrorCode; readonly message: string }
  }
  if (answer.error !== undefined) {
    const { code, message } = answer.error
    throw new McbnError(code in MCBN_ERROR_KINDS ? code : 'MCBN_INTERNAL', message)
  }
  return answer.ok
}

function answerOne(socket: Socket, participant: Participant, url: string | undefined): void {
  // A person's command that went away takes nothing with it.
  socket.on('error', () => socket.destroy())
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy())
  const answered = async (): Promise<void> => {
    const line = await readLine(socket, MOST_LINE_BYTES)
    if (line === undefined) return void socket.destroy()
    socket.end(`${JSON.stringify(await outcome(line, participant, url))}\n`)
  }
  void answered()
}

async function outcome(
  line: string,
  participant: Participant,
  url: string | undefined,
): Promise<{ readonly ok: object } | { readonly error: object }> {
  try {
    return { ok: await act(line, participant, url) }
  } catch (error) {
    if (error instanceof McbnError) return { error: error.toJSON() }
    const reason = error instanceof Error ? error.message : String(error)
    return { error: new McbnError('MCBN_INTERNAL', reason).toJSON() }
  }
}

async function act(
  line: string,
  participant: Participant,
  url: string | undefined,
): Promise<object> {
  const code = 'MCBN_OPTION_RANGE'
  const message = readJson(line, MOST_LINE_BYTES, 'request', code)
  const fields = new Untrusted(message, 'request', code).fields(['do'], ['id', 'seconds'])
  const id = (): string =>
    wholeId(participant, fields.id?.text(/^[0-9a-f]{8,64}$/, '8 to 64 hex digits') ?? '')
  switch (fields.do.oneOf(['status', 'approve', 'refuse', 'withdraw'])) {
    case 'status':
      return statusOf(participant, url)
    case 'approve':
      return await participant.approve(id(), fields.seconds?.integer(1, 315_360_000))
    case 'refuse':
      return await participant.refuse(id())
    case 'withdraw':
      return await participant.withdraw()
  }
}

function statusOf(participant: Participant, url: string | undefined): AdminStatus {
  return {
    url,
    status: participant.status(),
    pending: participant.pending().map((request) => ({ ...request, facts: sent(request.facts) })),
    decisions: participant.decisions(),
    leases: participant.leases(),
  }
}

/** As JSON can have it. What several platforms say each is among the claims of all of them. */
function sent({ parts: _, ...facts }: AttestedFacts) {
  return { ...facts, env: [...facts.env], overriddenEnv: [...facts.overriddenEnv] }
}

/** People copy a part; it has to be enough to mean one request only. */
function wholeId(participant: Participant, text: string): string {
  const known = [...participant.pending(), ...participant.decisions()].map(({ id }) => id)
  const meant = new Set(known.filter((id) => id.startsWith(text)))
  const [id] = meant
  if (text.length >= LEAST_DIGITS && meant.size === 1 && id !== undefined) return id
  const got =
    text.length < LEAST_DIGITS
      ? `expected at least ${LEAST_DIGITS} hex digits of the id, got ${text.length}`
      : meant.size === 0
        ? `nothing waits and nothing is decided with the id ${text}`
        : `${meant.size} ids begin with ${text}: expected more digits`
  throw new McbnError('MCBN_OPTION_RANGE', `id: ${got}; mcbn participant status shows the ids`)
}

async function listening(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.removeListener('error', reject)
      // A connection that could not be accepted is no reason to end.
      server.on('error', () => undefined)
      resolve()
    })
  })
}

async function dial(path: string): Promise<Socket | undefined> {
  return await new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined)
      else reject(error)
    })
  })
}

/** @returns `undefined` when the line does not end, or is too long. */
async function readLine(socket: Socket, most: number): Promise<string | undefined> {
  return await new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    socket.on('data', (chunk: Buffer) => {
      const end = chunk.indexOf(0x0a)
      chunks.push(end === -1 ? chunk : chunk.subarray(0, end))
      length += chunk.length
      if (end !== -1) resolve(Buffer.concat(chunks).toString('utf8'))
      else if (length > most) resolve(undefined)
    })
    socket.on('error', () => resolve(undefined))
    socket.on('close', () => resolve(undefined))
  })
}

function demandShort(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes <= MOST_PATH_BYTES) return
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `${path}: expected at most ${MOST_PATH_BYTES} bytes for the path of a socket, got ${bytes}; use a shorter or a relative path of the folder`,
  )
}

function lost(path: string): McbnError {
  return new McbnError('MCBN_CONNECTION_LOST', `${path}: expected an answer, got none`)
}
