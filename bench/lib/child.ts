// A measured process: started, listened to line by line ("port 8081", "result 250000"), ended by its pid.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** No process of a benchmark lives longer unless it says so; each also ends itself after as much. */
const LIFETIME_MS = 240_000

/** A benchmark that is interrupted takes its processes with it. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class Child implements AsyncDisposable {
  readonly #command: string
  readonly #process: ChildProcess
  readonly #values = new Map<string, number>()
  readonly #gone: Promise<void>
  #errors = ''
  #ended = false
  #wake: () => void = () => {}

  constructor(command: string, args: readonly (string | number)[], lifetimeMs = LIFETIME_MS) {
    this.#command = [command, ...args].join(' ')
    this.#process = spawn(command, args.map(String), { stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(this.#process)
    const killer = setTimeout(() => this.#process.kill('SIGKILL'), lifetimeMs)
    let rest = ''
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#heard(line)
    })
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-4_000)
    })
    this.#gone = new Promise((resolve) => {
      const ended = (): void => {
        clearTimeout(killer)
        running.delete(this.#process)
        this.#ended = true
        this.#wake()
        resolve()
      }
      this.#process.once('close', ended)
      this.#process.once('error', (error) => {
        this.#errors += error.message
        ended()
      })
    })
  }

  /**
   * The number in the line that begins with `name`.
   * @throws {Error} with the process's stderr, when it ends first or after so many seconds.
   */
  async value(name: string, seconds = 60): Promise<number> {
    const deadline = Date.now() + seconds * 1_000
    for (;;) {
      const value = this.#values.get(name)
      if (value !== undefined) return value
      if (this.#ended || Date.now() > deadline) {
        const why = this.#ended ? 'it ended' : 'it took too long'
        throw new Error(`${this.#command}: no "${name}", ${why}\n${this.#errors}`)
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** Seconds of processor time so far, all threads, user and system. Linux. */
  get cpuSeconds(): number {
    const [user = 0, system = 0] = ticksOf(this.pid)
    return (user + system) / 100
  }

  /** Of the thread that runs JavaScript, so far, in seconds: at work, and ready while others have the processor. Linux. */
  get mainThread(): { readonly ran: number; readonly waited: number } {
    const stat = readFileSync(`/proc/${this.pid}/task/${this.pid}/schedstat`, 'utf8')
    const [ran = 0, waited = 0] = stat.split(' ').map((nanoseconds) => Number(nanoseconds) / 1e9)
    return { ran, waited }
  }

  /** Bytes of resident memory. Linux. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.#process.pid}/status`, 'utf8')
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
    if (kilobytes === undefined) throw new Error(`no VmRSS for ${this.#command}`)
    return Number(kilobytes) * 1024
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#process.kill('SIGKILL')
    await this.#gone
  }

  #heard(line: string): void {
    const [name, value] = line.split(' ')
    if (name === undefined || value === undefined) return
    this.#values.set(name, Number(value))
    this.#wake()
  }
}

/** Of a process: user, system, and both of its children that have ended, in ticks of 10 ms. Linux. */
function ticksOf(pid: number): readonly number[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // After the name, which may contain anything: fields 14 to 17 of all.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).map(Number)
}

/** Seconds of processor time of a process and its children, also those that have ended. Linux. */
export function familyCpuSeconds(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  const all = [ticksOf(pid), ...children.filter(Boolean).map((child) => ticksOf(Number(child)))]
  return all.flat().reduce((sum, ticks) => sum + ticks, 0) / 100
}

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

/** A TypeScript file beside this one, run by the node that runs the benchmark. */
export function script(file: string, ...args: readonly (string | number)[]): Child {
  return lastingScript(undefined, file, ...args)
}

/** The same file of another checkout. @param checkout - its folder. */
export function scriptOf(
  checkout: string,
  file: string,
  ...args: readonly (string | number)[]
): Child {
  const path = join(checkout, 'bench/lib', file)
  return new Child(process.execPath, ['--import', tsx, path, ...args])
}

/** One that may live longer. @param lifetimeMs - milliseconds. */
export function lastingScript(
  lifetimeMs: number | undefined,
  file: string,
  ...args: readonly (string | number)[]
): Child {
  const path = fileURLToPath(new URL(file, import.meta.url))
  return new Child(process.execPath, ['--import', tsx, path, ...args], lifetimeMs)
}
