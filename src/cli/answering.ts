// The far end of the IPC channel: a process of `mcbn demo` or `mcbn bench` answers calls until it is told to
// end, or the command is gone.

import { McbnError, type McbnErrorCode } from '../errors.js'

/** The fields of one call. */
export interface Call<Request extends object, Answer extends object> {
  readonly request: Request
  readonly answer: Answer
}
export type Nothing = Readonly<Record<never, never>>

/** From the command to a process. */
export interface CallMessage {
  readonly number: number
  readonly call: string
  readonly request: object
}

/** Back again: an answer or a failure. */
export interface AnswerMessage {
  readonly number: number
  readonly answer?: object
  readonly failure?: {
    readonly code: McbnErrorCode | undefined
    readonly message: string
    /** The error's own fields, e.g. who refused. */
    readonly fields?: object
  }
}

/** Calls with their fields. */
export type CallTypes<Calls> = { readonly [Name in keyof Calls]: Call<object, object> }

/** One function a call. */
export type Handlers<Calls extends CallTypes<Calls>> = {
  readonly [Name in keyof Calls]: (
    request: Calls[Name]['request'],
  ) => Promise<Calls[Name]['answer']> | Calls[Name]['answer']
}

/**
 * Answers for the rest of the process's life.
 *
 * @param onGone - called when the command has ended without ending this process; then it ends.
 */
export function answerCalls<Calls extends CallTypes<Calls>>(
  handlers: Handlers<Calls>,
  onGone: () => void = () => undefined,
): void {
  const end = (): never => {
    onGone()
    process.exit(0)
  }
  process.on('message', async (message: CallMessage) => {
    const answer = await answerTo(handlers, message)
    // Nobody there any more is told by 'disconnect', and must not be an uncaught error before it.
    if (process.connected) process.send?.(answer, () => undefined)
  })
  // A terminal sends its Ctrl-C, or its own end, to all of us; the command decides when we end.
  for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => undefined)
  // Without the command there is nothing to do: no orphan keeps a key or a port.
  process.on('disconnect', end)
  if (!process.connected) end()
}

async function answerTo<Calls extends CallTypes<Calls>>(
  handlers: Handlers<Calls>,
  { number, call, request }: CallMessage,
): Promise<AnswerMessage> {
  try {
    return { number, answer: await handlers[call as keyof Calls](request) }
  } catch (error) {
    if (!(error instanceof McbnError)) console.error(error)
    const message = error instanceof Error ? error.message : String(error)
    const fields = error instanceof McbnError ? error.toJSON() : undefined
    return {
      number,
      failure: {
        code: fields?.code,
        message,
        ...(fields !== undefined && { fields }),
      },
    }
  }
}
