// The demonstration's handle on a workload: starts it, asks it, ends it.

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { McbnErrorCode } from '../../errors.js'
import type { Answer, AnswerMessage, CallMessage, CallName, Request } from './messages.js'
import { StepFailed } from './steps.js'

/** Runs as this module does: the source under the same loader, or the compiled file without one. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const program = fileURLToPath(new URL(`./workload${extension}`, import.meta.url))

/** How much of a workload's stderr is kept for the message about its end, in characters. */
const STDERR_KEPT = 2000

/** A call that the workload answered with a failure. */
export class WorkloadRefused extends Error {
  override readonly name = 'WorkloadRefused'
  readonly code: McbnErrorCode | undefined

  constructor(code: McbnErrorCode | undefined, message: string) {
    super(code === undefined ? message : `${message} (${code})`)
    this.code = code
  }
}

/** One workload in a process of its own. */
export class Workload {
  readonly name: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (answer: AnswerMessage | Error) => void>()
  #calls = 0
  #stderr = ''
  #ended: Error | undefined

  constructor(name: string) {
    this.name = name
    // Structured clones: shares stay bytes that can be wiped, and never become text.
    this.#child = fork(program, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT)
    })
    this.#child.on('message', (answer: AnswerMessage) => this.#settle(answer.number, answer))
    this.#child.once('error', (error) => this.#fail(`cannot run: ${error.message}`))
    // 'close' and not 'exit': what it said at its end has been read by then.
    this.#child.once('close', (code, signal) => {
      const last = this.#stderr.trim().split('\n').at(-1) ?? ''
      this.#fail(`ended with ${signal ?? `code ${code}`}${last === '' ? '' : `: ${last}`}`)
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /**
   * @throws {WorkloadRefused} when the workload answers with a failure.
   * @throws {StepFailed} when it does not live to answer.
   */
  async call<Name extends CallName>(call: Name, request: Request<Name>): Promise<Answer<Name>> {
    if (this.#ended !== undefined) throw this.#ended
    this.#calls += 1
    const message: CallMessage = { number: this.#calls, call, request }
    const answered = new Promise<AnswerMessage>((resolve, reject) => {
      this.#waiting.set(message.number, (answer) => {
        if (answer instanceof Error) reject(answer)
        else resolve(answer)
      })
    })
    // A failure to send is the end of the process seen from its other side: 'close' says which end.
    this.#child.send(message, () => undefined)
    const { answer, failure } = await answered
    if (failure !== undefined) throw new WorkloadRefused(failure.code, failure.message)
    return answer as Answer<Name>
  }

  /** Ends the process at once; it has nothing to lose. */
  stop(): void {
    this.#child.kill('SIGKILL')
  }

  #settle(number: number, answer: AnswerMessage | Error): void {
    this.#waiting.get(number)?.(answer)
    this.#waiting.delete(number)
  }

  #fail(what: string): void {
    this.#ended ??= new StepFailed(`the ${this.name} process ${what}`)
    for (const number of [...this.#waiting.keys()]) this.#settle(number, this.#ended)
  }
}
