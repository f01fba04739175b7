// The demonstration's handle on one of its processes: starts it, asks it, ends it.

import { type ChildProcess, fork } from 'node:child_process'
import { appendFileSync, closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { McbnErrorCode } from '../../errors.js'
import type { AnswerMessage, CallMessage, CallTypes } from '../answering.js'
import { StepFailed } from './steps.js'

/** Runs as this module does: the source under the same loader, or the compiled file without one. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

export type Program = 'vendor' | 'frank' | 'participant' | 'machine'

/** A call that the process answered with a failure. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly code: McbnErrorCode | undefined
  /** The error's own fields. */
  readonly fields: Readonly<Record<string, unknown>>

  constructor({ code, message, fields }: NonNullable<AnswerMessage['failure']>) {
    super(code === undefined ? message : `${message} (${code})`)
    this.code = code
    this.fields = { ...fields }
  }
}

/** One process. What it prints, and what it is told and says, is kept in files for the search at the end. */
export class Actor<Calls extends CallTypes<Calls>> {
  readonly name: string
  readonly #child: ChildProcess
  readonly #log: string
  readonly #heard: string
  readonly #waiting = new Map<number, (answer: AnswerMessage | Error) => void>()
  readonly #exited: Promise<void>
  #calls = 0
  #ended: Error | undefined
  #noting = true

  /** @param root - the demonstration's folder; logs go to `logs` in it. */
  constructor(name: string, program: Program, root: string) {
    const logs = join(root, 'logs')
    this.name = name
    this.#log = join(logs, `${name}.log`)
    this.#heard = join(logs, `${name}.ipc.jsonl`)
    const output = openSync(this.#log, 'a', 0o600)
    this.#child = fork(
      fileURLToPath(new URL(`./${program}-process${extension}`, import.meta.url)),
      // Its name last: a machine's arguments are part of its measurement.
      [root, name],
      {
        serialization: 'json',
        stdio: ['ignore', output, output, 'ipc'],
      },
    )
    closeSync(output)
    this.#child.on('message', (answer: AnswerMessage) => {
      this.#note(answer)
      this.#settle(answer.number, answer)
    })
    this.#child.once('error', (error) => this.#fail(`cannot run: ${error.message}`))
    this.#exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#fail(`ended with ${signal ?? `code ${code}`}${this.#lastWords()}`)
        resolve()
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /**
   * @throws {Refused} when the process answers with a failure.
   * @throws {StepFailed} when it does not live to answer.
   */
  async call<Name extends keyof Calls & string>(
    call: Name,
    request: Calls[Name]['request'],
  ): Promise<Calls[Name]['answer']> {
    if (this.#ended !== undefined) throw this.#ended
    this.#calls += 1
    const message: CallMessage = { number: this.#calls, call, request }
    const answered = new Promise<AnswerMessage>((resolve, reject) => {
      this.#waiting.set(message.number, (answer) => {
        if (answer instanceof Error) reject(answer)
        else resolve(answer)
      })
    })
    this.#note(message)
    // A failure to send is the end of the process seen from its other side: 'close' says which end.
    this.#child.send(message, () => undefined)
    const { answer, failure } = await answered
    if (failure !== undefined) throw new Refused(failure)
    return answer as Calls[Name]['answer']
  }

  /** Keeps nothing of the output from now on: links that sign people in, for instance. */
  hush(): void {
    this.#noting = false
  }

  /** Ends the process at once. @returns resolves when it is gone. */
  stop(): Promise<void> {
    this.#noting = false
    this.#child.kill('SIGKILL')
    return this.#exited
  }

  #note(message: object): void {
    if (!this.#noting) return
    appendFileSync(this.#heard, `${JSON.stringify(message)}\n`, { mode: 0o600 })
  }

  #settle(number: number, answer: AnswerMessage | Error): void {
    this.#waiting.get(number)?.(answer)
    this.#waiting.delete(number)
  }

  #fail(what: string): void {
    this.#ended ??= new StepFailed(`the process of ${this.name} ${what}`)
    for (const number of [...this.#waiting.keys()]) this.#settle(number, this.#ended)
  }

  #lastWords(): string {
    try {
      const lines = readFileSync(this.#log, 'utf8').trim().split('\n')
      const error = lines.findLast((line) => /^\w*Error\b/.test(line)) ?? ''
      return error === '' ? '' : `: ${error}`
    } catch {
      return ''
    }
  }
}
