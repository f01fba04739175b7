// The command's handle on one of its processes: starts it, asks it, ends it.

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { McbnError } from '../../errors.js'
import type { AnswerMessage, CallMessage } from '../answering.js'
import type { PeerCalls } from './calls.js'

/** Runs as this module does: the source under the same loader, or the compiled file without one. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const program = fileURLToPath(new URL(`./peer-process${extension}`, import.meta.url))

/** A measurement that could not be made, for a reason that is no {@link McbnError}. */
export class BenchFailed extends Error {
  override readonly name = 'BenchFailed'
}

/** All that run: a command that ends takes them along. */
const running = new Set<Peer>()

/** At once; for the end of the command. */
export function killPeers(): void {
  for (const peer of running) peer.kill()
}

export class Peer implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (answer: AnswerMessage | Error) => void>()
  readonly #exited: Promise<void>
  #calls = 0
  #ended: Error | undefined
  #lastWords = ''

  constructor() {
    this.#child = fork(program, [], {
      serialization: 'json',
      // What a session costs is told after a collection of garbage.
      execArgv: [...process.execArgv, '--expose-gc'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    running.add(this)
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-2_000)
    })
    this.#child.on('message', (answer: AnswerMessage) => this.#settle(answer.number, answer))
    this.#child.once('error', (error) => this.#fail(`cannot run: ${error.message}`))
    this.#exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        running.delete(this)
        this.#fail(`ended with ${signal ?? `code ${code}`}`)
        resolve()
      })
    })
  }

  /**
   * @throws {McbnError} the process's own.
   * @throws {BenchFailed} any other failure of it, or when it does not live to answer.
   */
  async call<Name extends keyof PeerCalls>(
    call: Name,
    request: PeerCalls[Name]['request'],
  ): Promise<PeerCalls[Name]['answer']> {
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
    if (failure === undefined) return answer as PeerCalls[Name]['answer']
    if (failure.code !== undefined) throw new McbnError(failure.code, failure.message)
    throw new BenchFailed(failure.message)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill()
    await this.#exited
  }

  #settle(number: number, answer: AnswerMessage | Error): void {
    this.#waiting.get(number)?.(answer)
    this.#waiting.delete(number)
  }

  #fail(what: string): void {
    const error = this.#lastWords.split('\n').findLast((line) => /^\w*Error\b/.test(line))
    const why = error === undefined ? '' : `: ${error}`
    this.#ended ??= new BenchFailed(`a process of the measurement ${what}${why}`)
    for (const number of [...this.#waiting.keys()]) this.#settle(number, this.#ended)
  }
}
