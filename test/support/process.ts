// Child processes for tests: started with a known environment, watched line by line, and ended by
// their own pid when the test is over. Every waiting time is longer while sanitizers slow all down.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { onTestFinished } from 'vitest'
import { slowdown } from './pace.js'
import { repositoryRoot } from './paths.js'

export interface ChildOptions {
  readonly cwd?: string
  /** Added to (or, with undefined, taken from) this process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Milliseconds after which a child that still runs is killed; default 100,000. */
  readonly lifetime?: number
  /** True for a program that does not load the addon: sanitizer preloads are kept from it. */
  readonly foreign?: boolean
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** One running child; `start` returns it, `stop` is called at the end of the test at the latest. */
export class Child {
  readonly command: string
  readonly process: ChildProcess
  readonly exited: Promise<Exit>
  #stdout: Buffer[] = []
  #stderr: Buffer[] = []
  #watchers = new Set<() => void>()
  #exit: Exit | undefined
  #failure: Error | undefined

  constructor(command: string, child: ChildProcess) {
    this.command = command
    this.process = child
    child.stdout?.on('data', (chunk: Buffer) => this.#keep(this.#stdout, chunk))
    child.stderr?.on('data', (chunk: Buffer) => this.#keep(this.#stderr, chunk))
    // A child that ends early closes its stdin under us: that is its exit code's story to tell.
    child.stdin?.on('error', () => undefined)
    this.exited = new Promise((resolve) => {
      const finish = (exit: Exit): void => {
        this.#exit ??= exit
        this.#wake()
        resolve(this.#exit)
      }
      child.once('error', (error) => {
        this.#failure = error
        finish({ code: null, signal: null })
      })
      // 'close' and not 'exit': all output has been read by then.
      child.once('close', (code, signal) => finish({ code, signal }))
    })
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString()
  }

  get stdoutBytes(): Buffer {
    return Buffer.concat(this.#stdout)
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString()
  }

  /**
   * Waits until stdout followed by stderr matches.
   * @throws {Error} with all output when the child ends first or `timeout` ms (45,000) pass.
   */
  async output(pattern: RegExp | string, timeout = 45_000): Promise<RegExpMatchArray> {
    const expression = typeof pattern === 'string' ? new RegExp(literally(pattern)) : pattern
    return await new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        clearTimeout(timer)
        this.#watchers.delete(look)
        finish()
      }
      const fail = (why: string): void =>
        settle(() => reject(new Error(`${why} while waiting for ${expression}\n${this.report()}`)))
      const look = (): void => {
        const match = `${this.stdout}\n${this.stderr}`.match(expression)
        if (match) settle(() => resolve(match))
        else if (this.#exit) fail('the child ended')
      }
      const timer = setTimeout(() => fail(`${timeout} ms passed`), timeout * slowdown)
      this.#watchers.add(look)
      look()
    })
  }

  write(data: string | Uint8Array): void {
    this.process.stdin?.write(data)
  }

  endInput(): void {
    this.process.stdin?.end()
  }

  /** SIGTERM, then SIGKILL after two seconds; returns when the child is gone. */
  async stop(): Promise<Exit> {
    if (this.#exit) return this.#exit
    this.process.kill('SIGTERM')
    const killer = setTimeout(() => this.process.kill('SIGKILL'), 2_000)
    const exit = await this.exited
    clearTimeout(killer)
    return exit
  }

  /** Everything known, for an assertion's message. */
  report(): string {
    const state = this.#failure
      ? `did not start: ${this.#failure.message}`
      : this.#exit
        ? `ended: code ${this.#exit.code}, signal ${this.#exit.signal}`
        : 'running'
    return `${this.command}: ${state}\n--- stdout\n${this.stdout}\n--- stderr\n${this.stderr}`
  }

  #keep(chunks: Buffer[], chunk: Buffer): void {
    chunks.push(chunk)
    this.#wake()
  }

  #wake(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }
}

/** Starts a child that is stopped when the running test ends, however it ends. */
export function start(command: string, args: readonly string[], options: ChildOptions = {}): Child {
  const child = launch(command, args, options)
  onTestFinished(async () => {
    await child.stop()
  })
  return child
}

/** Like `start`, for hooks: the caller stops it. */
export function launch(
  command: string,
  args: readonly string[],
  options: ChildOptions = {},
): Child {
  const child = spawn(command, args, {
    cwd: options.cwd ?? repositoryRoot,
    env: environment(options),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const watched = new Child([command, ...args].join(' '), child)
  const lifetime = (options.lifetime ?? 100_000) * slowdown
  const deadline = setTimeout(() => child.kill('SIGKILL'), lifetime)
  deadline.unref()
  void watched.exited.then(() => clearTimeout(deadline))
  return watched
}

/** Runs a child to its end. `input` is written to stdin, which is then closed. */
export async function run(
  command: string,
  args: readonly string[],
  options: ChildOptions & { readonly input?: string | Uint8Array } = {},
): Promise<Child & { readonly exit: Exit }> {
  const child = launch(command, args, options)
  child.process.stdin?.end(options.input)
  const exit = await child.exited
  return Object.assign(child, { exit })
}

/** By its full name, so that a child may run in any folder. */
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

/** Arguments that make the running node run a TypeScript file of this repository. */
export function typescript(file: string, ...args: readonly string[]): string[] {
  return ['--import', tsx, file, ...args]
}

/** A TypeScript program of this repository, run by the node that runs the tests. */
export function startTypescript(
  file: string,
  args: readonly string[] = [],
  options: ChildOptions = {},
): Child {
  return start(process.execPath, typescript(file, ...args), options)
}

/** Waits for an emitter's event; a thin name for `once` with a time limit in ms (30,000). */
export async function nextEvent(
  emitter: NodeJS.EventEmitter,
  event: string,
  timeout = 30_000,
): Promise<unknown[]> {
  return await once(emitter, event, { signal: AbortSignal.timeout(timeout * slowdown) })
}

function environment(options: ChildOptions): NodeJS.ProcessEnv {
  const own: NodeJS.ProcessEnv = { ...process.env }
  // Vitest's own settings are no business of a child; a preloaded sanitizer only slows a foreign one.
  for (const name of ['NODE_OPTIONS', 'VITEST', 'VITEST_POOL_ID', 'VITEST_WORKER_ID']) {
    delete own[name]
  }
  if (options.foreign) {
    for (const name of ['LD_PRELOAD', 'ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS']) {
      delete own[name]
    }
  }
  return { ...own, ...options.env }
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
