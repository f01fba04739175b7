// A notification by a program of the participant's own.

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Writable } from 'node:stream'
import type { Delivery, Outcome } from './channel.js'

/** What a program may know of our environment: no file, no secret that we were started with. */
const ENVIRONMENT = ['PATH', 'HOME', 'LANG', 'TZ'] as const
/** Milliseconds between asking a program to end and ending it. */
const GRACE_MS = 1_000

export class Command implements Delivery {
  readonly channel = 'command'
  readonly #program: string
  readonly #args: readonly string[]

  constructor([program = '', ...args]: readonly string[]) {
    this.#program = program
    this.#args = args
  }

  async attempt(_id: string, body: string, signal: AbortSignal): Promise<Outcome> {
    const env = Object.fromEntries(
      ENVIRONMENT.flatMap((name) => {
        const value = process.env[name]
        return value === undefined ? [] : [[name, value]]
      }),
    )
    let child: ChildProcessByStdio<Writable, null, null>
    try {
      // Its own group: what it has started ends with it.
      child = spawn(this.#program, this.#args, {
        ...{ env, shell: false, detached: true },
        stdio: ['pipe', 'ignore', 'ignore'],
      })
    } catch (error) {
      return cannotRun(error)
    }
    // It need not read.
    child.stdin.on('error', () => undefined)
    child.stdin.end(body)
    return await new Promise<Outcome>((resolve) => {
      let killing: NodeJS.Timeout | undefined
      const stop = (): void => {
        end(child.pid, 'SIGTERM')
        killing = setTimeout(() => end(child.pid, 'SIGKILL'), GRACE_MS)
        killing.unref()
      }
      const ended = (outcome: Outcome): void => {
        clearTimeout(killing)
        signal.removeEventListener('abort', stop)
        resolve(outcome)
      }
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop)
      child.once('error', (error) => ended(cannotRun(error)))
      child.once('exit', (code, ending) => {
        if (code === 0) return ended({ done: true })
        const reason = signal.aborted ? 'no end in time' : `ended with ${code ?? ending}`
        ended({ done: false, again: true, reason })
      })
    })
  }

  close(): void {}
}

/** What is not there, or not allowed, will not be in a moment. */
function cannotRun(error: unknown): Outcome {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  return { done: false, again: false, reason: `cannot be run (${code})` }
}

function end(group: number | undefined, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    if (group !== undefined) process.kill(-group, signal)
  } catch {
    // It has ended meanwhile.
  }
}
