// Peers that echo datagrams as they came, in both roles: our own programs, each on a library of somebody
// else (peers/echo.h, pion/main.go), compiled where that library is installed.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as elapsed } from 'node:timers/promises'
import { expect } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { repositoryRoot } from '../support/paths.js'
import { findProgram } from '../support/peers.js'
import { type Child, run, start } from '../support/process.js'
import { IDENTITY, KEY } from './support.js'

/** Every AEAD suite with a pre-shared key that OpenSSL has. */
export const AEAD_SUITES = [
  'PSK-AES128-GCM-SHA256',
  'PSK-AES256-GCM-SHA384',
  'PSK-CHACHA20-POLY1305',
  'PSK-AES128-CCM',
  'PSK-AES256-CCM',
  'PSK-AES128-CCM8',
  'PSK-AES256-CCM8',
  'DHE-PSK-AES128-GCM-SHA256',
  'DHE-PSK-AES256-GCM-SHA384',
  'DHE-PSK-CHACHA20-POLY1305',
  'DHE-PSK-AES128-CCM',
  'DHE-PSK-AES256-CCM',
  'DHE-PSK-AES128-CCM8',
  'DHE-PSK-AES256-CCM8',
  'ECDHE-PSK-CHACHA20-POLY1305',
] as const

export interface PeerLibrary {
  readonly name: string
  /** What its package brings; without it the peer cannot be compiled. */
  readonly needs: string
  readonly compiler: 'cc' | 'go'
  readonly libraries: readonly string[]
  readonly suites: readonly string[]
  /** Bytes of UDP payload that it takes; mcbn's default unless told. */
  readonly mtu?: number
  /** The package of needs, and whether every check must have it. */
  readonly package: string
  readonly required: boolean
  /** pion v2's Close() ends its reader first, which at times closes the socket before close_notify is out. */
  readonly losesGoodbye?: true
}

const inC = { compiler: 'cc', suites: AEAD_SUITES, required: false } as const

export const PEER_LIBRARIES: readonly PeerLibrary[] = [
  {
    ...inC,
    name: 'openssl',
    needs: '/usr/include/openssl/ssl.h',
    libraries: ['-lssl', '-lcrypto'],
    package: 'libssl-dev',
    required: true,
  },
  {
    ...inC,
    name: 'gnutls',
    needs: '/usr/include/gnutls/dtls.h',
    libraries: ['-lgnutls'],
    package: 'libgnutls28-dev',
  },
  {
    ...inC,
    name: 'mbedtls',
    needs: '/usr/include/mbedtls/ssl.h',
    libraries: ['-lmbedtls', '-lmbedx509', '-lmbedcrypto'],
    package: 'libmbedtls-dev',
  },
  {
    ...inC,
    name: 'wolfssl',
    needs: '/usr/include/wolfssl/ssl.h',
    libraries: ['-lwolfssl'],
    package: 'libwolfssl-dev',
    // Debian's build has no plain PSK with AES; its datagrams end at 1,400 bytes with all headers.
    suites: AEAD_SUITES.filter((suite) => !/^PSK-AES|CCM8$/.test(suite)),
    mtu: 1_300,
  },
  {
    name: 'pion',
    compiler: 'go',
    needs: '/usr/share/gocode/src/github.com/pion/dtls/v2',
    libraries: [],
    suites: ['PSK-AES128-GCM-SHA256', 'PSK-AES128-CCM', 'PSK-AES128-CCM8', 'PSK-AES256-CCM8'],
    package: 'golang-github-pion-dtls.v2-dev',
    required: true,
    losesGoodbye: true,
  },
]

export function peerLibrary(name: string): PeerLibrary {
  const found = PEER_LIBRARIES.find((library) => library.name === name)
  if (found === undefined) throw new Error(`expected the name of a peer library, got ${name}`)
  return found
}

/** Whether the peer can be compiled; says loudly when it cannot. */
export function canCompile(peer: PeerLibrary): boolean {
  if (findProgram(peer.compiler) !== undefined && existsSync(peer.needs)) return true
  const message = `the ${peer.name} peer: ${peer.package} or ${peer.compiler} is not installed`
  if (peer.required && process.env['CI'] === 'true') throw new Error(message)
  console.warn(`\n!!! SKIPPED ${message}; see CONTRIBUTING.md\n`)
  return false
}

/** Compiles a peer's program into build/peers/, see {@link compiledOnce}. */
export async function compilePeer(peer: PeerLibrary): Promise<string> {
  if (peer.compiler === 'go') {
    return await compileGo(peer.name, [join(repositoryRoot, 'test', 'interop', 'pion', 'main.go')])
  }
  const sources = join(repositoryRoot, 'test', 'interop', 'peers')
  const files = [`${peer.name}.c`, 'echo.c', 'echo.h'].map((file) => join(sources, file))
  const code = files.filter((file) => file.endsWith('.c'))
  return await compiledOnce(peer.name, files, peer.libraries, (made) =>
    run('cc', [...['-std=gnu11', '-O1', '-o', made], ...code, ...peer.libraries], {
      foreign: true,
    }),
  )
}

/** Compiles a Go program. Debian's packages are a source tree for Go's old layout, GOPATH. */
export async function compileGo(name: string, files: readonly string[]): Promise<string> {
  return await compiledOnce(name, files, [], (made) =>
    run('go', ['build', '-o', made, ...files], {
      foreign: true,
      lifetime: 170_000,
      env: { GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOFLAGS: '-buildvcs=false' },
    }),
  )
}

/**
 * Compiles a program, unless it is there from these sources: several files and every release of Node are tested
 * against it, and Go takes half a minute at first.
 */
async function compiledOnce(
  name: string,
  files: readonly string[],
  besides: readonly string[],
  build: (made: string) => ReturnType<typeof run>,
): Promise<string> {
  const hash = createHash('sha256').update(besides.join(' '))
  for (const file of files) hash.update(readFileSync(file))
  const folder = join(repositoryRoot, 'build', 'peers', hash.digest('hex').slice(0, 16))
  const program = join(folder, name)
  if (existsSync(program)) return program
  mkdirSync(folder, { recursive: true })
  const made = `${program}.${process.pid}`
  const built = await build(made)
  expect(built.exit.code, built.report()).toBe(0)
  // In one step: another test file may be about to run it.
  renameSync(made, program)
  return program
}

export interface Echoer {
  readonly child: Child
  /** RFC 5705 keying material for EXPORTER_LABEL, 32 bytes in hex; undefined where it has no exporter. */
  exported(): Promise<string | undefined>
}

export const EXPORTER_LABEL = 'EXPORTER-mcbn-interop'

/** A program that is a server: for one client, on the port that it gives. */
export async function startServer(
  program: string,
  suite: string,
): Promise<Echoer & { readonly port: number }> {
  const child = start(program, ['server', KEY, IDENTITY, suite], {
    foreign: true,
    lifetime: 60_000,
  })
  const [, port] = await child.output(/^listening on (\d+)$/m)
  return { ...echoer(child), port: Number(port) }
}

/** A program that connects to a server. */
export function startClient(program: string, port: number, suite: string): Echoer {
  const role = program.endsWith('pion') ? 'echo' : 'client'
  return echoer(
    start(program, [role, String(port), KEY, IDENTITY, suite], { foreign: true, lifetime: 60_000 }),
  )
}

function echoer(child: Child): Echoer {
  return {
    child,
    exported: async () => (await child.output(/^exporter (\w+)$/m))[1],
  }
}

/** Has the peer end its session; returns when mcbn's side has ended as well. */
export async function peerCloses(
  { child }: Echoer,
  socket: DtlsSocket,
  { losesGoodbye }: PeerLibrary,
): Promise<void> {
  child.endInput()
  if (losesGoodbye) {
    await child.output('closed: ')
    await Promise.race([socket.closed, elapsed(1_000)])
    socket.destroy()
  }
  await socket.closed
}
