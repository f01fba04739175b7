// The programs that mcbn is measured beside, built from bench/anchors when the benchmark starts.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child } from './child.js'

const sources = fileURLToPath(new URL('../anchors', import.meta.url))
const newerPeers = fileURLToPath(new URL('../../scripts/newer-peers.sh', import.meta.url))
const DEBIAN_GOPATH = '/usr/share/gocode'

const SHARED = ['common.c', 'loopback.c', 'client_handshake.c', 'client_records.c'] as const

export const NOT_ASKED_FOR = 'not asked for'

export type AnchorName = 'dtls_stream' | 'dtls_server' | 'dtls_load' | 'udp_echo'
type Asked = { readonly pion: boolean; readonly wolfssl: boolean }

export class Anchors implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'mcbn-bench-'))
  /** Why there are none; undefined: there are. */
  readonly missing: Readonly<Record<'c' | 'pion' | 'wolfssl', string | undefined>>
  /** Of scripts/newer-peers.sh: what wolfSSL's programs are run with. */
  #newer = ''

  constructor(wanted: Asked) {
    process.once('exit', () => this[Symbol.dispose]())
    this.missing = {
      c: this.#buildC(),
      pion: wanted.pion ? this.#buildPion() : NOT_ASKED_FOR,
      wolfssl: wanted.wolfssl ? this.#buildWolfssl() : NOT_ASKED_FOR,
    }
  }

  run(anchor: AnchorName | 'pion', ...args: readonly (string | number)[]): Child {
    return new Child(join(this.#folder, anchor), args)
  }

  wolfssl(...args: readonly (string | number)[]): Child {
    return new Child(join(this.#newer, 'run'), [join(this.#folder, 'wolfssl13'), ...args])
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #buildC(): string | undefined {
    if (process.platform !== 'linux') return 'recvmmsg, UDP_SEGMENT and epoll are Linux'
    for (const name of [
      'dtls_stream',
      'dtls_server',
      'dtls_load',
      'udp_echo',
    ] satisfies AnchorName[]) {
      const failure = build(process.env['CC'] ?? 'cc', [
        ...this.#compiling(name, `${name}.c`, ...SHARED),
        ...['-lssl', '-lcrypto'],
      ])
      if (failure !== undefined) return failure
    }
    return undefined
  }

  #compiling(name: string, ...files: readonly string[]): readonly string[] {
    const out = ['-o', join(this.#folder, name), ...files.map((file) => join(sources, file))]
    return ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror', ...out]
  }

  #buildWolfssl(): string | undefined {
    const made = spawnSync('bash', [newerPeers, '--if-here'], { encoding: 'utf8' })
    if (made.status !== 0) return made.stderr
    this.#newer = made.stdout.trim()
    return build(join(this.#newer, 'cc'), this.#compiling('wolfssl13', 'wolfssl13.c', 'loopback.c'))
  }

  #buildPion(): string | undefined {
    return build(
      'go',
      ['build', '-o', join(this.#folder, 'pion'), join(sources, 'pion', 'main.go')],
      {
        GO111MODULE: 'off',
        GOPATH: process.env['GOPATH'] ?? DEBIAN_GOPATH,
        GOFLAGS: '',
      },
    )
  }
}

/** @returns why it failed. */
function build(
  command: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): string | undefined {
  const done = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: 300_000,
    env: { ...process.env, ...environment },
  })
  if (done.error) return `${command}: ${done.error.message}`
  return done.status === 0 ? undefined : `${command} ${args.join(' ')}\n${done.stderr}`
}
