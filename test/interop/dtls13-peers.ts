// Programs that speak DTLS 1.3 with a pre-shared key (peers/echo.h), each of which meets each: one says
// messages, the other sends them back.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { repositoryRoot, temporaryFolder } from '../support/paths.js'
import { findProgram } from '../support/peers.js'
import { type Child, run, start } from '../support/process.js'
import { IDENTITY, KEY } from './support.js'

export const SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_CCM_SHA256',
  'TLS_AES_128_CCM_8_SHA256',
] as const

/** How to start a program: the command, and what stands before its own arguments. */
export type Program = readonly [string, ...string[]]

/**
 * The folder of scripts/newer-peers.sh; undefined, and a loud line, where it was not run or its packages
 * cannot be had any more.
 */
export async function newerPeers(): Promise<string | undefined> {
  const found = await run('bash', [join(repositoryRoot, 'scripts/newer-peers.sh'), '--if-here'], {
    foreign: true,
  })
  if (found.exit.code === 0 && findProgram('cc') !== undefined) return found.stdout.trim()
  console.warn(`\n!!! SKIPPED the peers of DTLS 1.3: ${found.stderr.trim() || 'no C compiler'}\n`)
  return undefined
}

/** The echo peer on wolfSSL, compiled unless it is there from these sources. */
export async function wolfssl(folder: string): Promise<Program> {
  const files = ['wolfssl13.c', 'echo.c', 'echo.h'].map((file) =>
    join(repositoryRoot, 'test/interop/peers', file),
  )
  const hash = createHash('sha256').update(folder)
  for (const file of files) hash.update(readFileSync(file))
  const out = join(repositoryRoot, 'build/peers', hash.digest('hex').slice(0, 16))
  const program = join(out, 'wolfssl13')
  if (!existsSync(program)) {
    mkdirSync(out, { recursive: true })
    const made = `${program}.${process.pid}`
    const sources = files.filter((file) => file.endsWith('.c'))
    const built = await run(join(folder, 'cc'), ['-std=gnu11', '-O1', '-o', made, ...sources], {
      foreign: true,
    })
    expect(built.exit.code, built.report()).toBe(0)
    // In one step: another test file may be about to run it.
    renameSync(made, program)
  }
  return [join(folder, 'run'), program]
}

/** The echo peer on mcbn's own DTLS 1.3, without Node; undefined, and a loud line, without what builds it. */
export async function mcbn(): Promise<Program | undefined> {
  if (['cmake', 'c++', 'flock'].some((program) => findProgram(program) === undefined)) {
    console.warn('\n!!! SKIPPED mcbn’s DTLS 1.3 beside others: no cmake, C++ compiler or flock\n')
    return undefined
  }
  const folder = join(repositoryRoot, 'build/peers/native')
  mkdirSync(folder, { recursive: true })
  // One test file at a time: in one folder two of cmake would write the same files.
  const both = 'cmake -S "$1" -B "$2" -DPEERS=ON && cmake --build "$2" --parallel 2'
  const made = await run(
    'flock',
    [folder, 'sh', '-c', both, 'sh', join(repositoryRoot, 'native'), folder],
    { foreign: true, lifetime: 240_000 },
  )
  expect(made.exit.code, made.report()).toBe(0)
  return [join(folder, 'mcbn13')]
}

export interface Meeting {
  readonly server: Program
  readonly client: Program
  readonly suite: string
  readonly serverOptions?: readonly string[]
  readonly clientOptions?: readonly string[]
  /** The port that the client is told instead of the server's: a relay's. */
  readonly through?: (port: number) => Promise<number>
}

export interface Met {
  readonly server: Child
  readonly client: Child
  /** Whether each found connection IDs agreed on. */
  readonly ids: { readonly server: boolean; readonly client: boolean }
}

const MESSAGES = 40

/** The arguments of a program, for a port or as a server. */
export function roleOf(role: 'server' | number, suite: string): string[] {
  const before = role === 'server' ? [role] : ['client', String(role)]
  return [...before, KEY, IDENTITY, suite]
}

export function begin([command, ...before]: Program, rest: readonly string[]): Child {
  return start(command, [...before, ...rest], { foreign: true, lifetime: 60_000 })
}

/** Both open, export the same, carry messages there and back, and the client's goodbye arrives. */
export async function meet(meeting: Meeting): Promise<Met> {
  const { suite, serverOptions = [], clientOptions = [], through = async (port) => port } = meeting
  const server = begin(meeting.server, [...roleOf('server', suite), ...serverOptions])
  const [, port] = await server.output(/^listening on (\d+)$/m)
  const client = begin(meeting.client, [
    ...[...roleOf(await through(Number(port)), suite), `say=${MESSAGES}`],
    ...clientOptions,
  ])
  await client.output(`heard ${MESSAGES}`)
  const [, exported] = await client.output(/^exporter (\w+)$/m)
  expect((await server.output(/^exporter (\w+)$/m))[1]).toBe(exported)
  const ids = {
    server: (await server.output(/^ids (\d)$/m))[1] === '1',
    client: (await client.output(/^ids (\d)$/m))[1] === '1',
  }
  client.endInput()
  await server.output('closed by peer')
  await server.output(/^echoed \d+$/m)
  expect((await client.exited).code, client.report()).toBe(0)
  expect((await server.exited).code, server.report()).toBe(0)
  return { server, client, ids }
}

/** Milliseconds in which the programs are built. */
export const BUILDING = 300_000

/** Options of our programs: NamedGroup numbers (RFC 8446 section 4.2.7). */
export const X25519 = 'group=29'
export const P256 = 'group=23'

const ONLY_X25519 = ['-I', 'x25519']

function nss(folder: string, port: number, cipher: string, rest: readonly string[]): Child {
  const program: Program = [join(folder, 'run'), 'tstclnt']
  return begin(program, [
    ...['-h', '127.0.0.1', '-p', String(port), '-V', 'tls1.3:tls1.3', '-v'],
    ...['-z', `0x${KEY}:${IDENTITY}`, '-c', cipher],
    ...rest,
  ])
}

/** NSS's client: prints what it gets, sends what it reads. */
export function nssClient(
  folder: string,
  port: number,
  cipher: string,
  groups: readonly string[] = ONLY_X25519,
): Child {
  return nss(folder, port, cipher, ['-P', 'client', '-D', ...groups])
}

/**
 * The same as a server. It needs a certificate to begin at all, which it does not show to a client that
 * has the key.
 */
export async function nssServer(folder: string, port: number, cipher: string): Promise<Child> {
  const home = temporaryFolder()
  const noise = join(home, 'noise')
  writeFileSync(noise, 'no secret: this certificate is never shown '.repeat(20))
  for (const rest of [
    ['-N', '--empty-password'],
    [...['-S', '-x', '-n', 'server', '-s', 'CN=localhost', '-t', 'u,u,u'], ...['-z', noise]].concat(
      ['-k', 'ec', '-q', 'nistp256', '-v', '12'],
    ),
  ]) {
    const done = await run(join(folder, 'run'), ['certutil', '-d', `sql:${home}`, ...rest], {
      foreign: true,
    })
    expect(done.exit.code, done.report()).toBe(0)
  }
  const rest = ['-P', 'server', '-d', `sql:${home}`, '-n', 'server', ...ONLY_X25519]
  const server = nss(folder, port, cipher, rest)
  await server.output('connecting to')
  return server
}
