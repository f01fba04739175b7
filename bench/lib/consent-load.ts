// Messages to a participant, written out before the clock starts and posted over connections that are kept. A
// client of Node's takes as long for each as the participant does, and two processors then measure the client.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { HOST } from './credentials.js'

const END_OF_HEAD = Buffer.from('\r\n\r\n')
const LENGTH = /\r\ncontent-length: (\d+)/i

/** An answer to one message. */
export interface Answer {
  readonly status: number
  readonly body: Buffer
}

/** A message as it travels. */
export function written(path: string, message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message))
  const head = `POST ${path} HTTP/1.1\r\nhost: ${HOST}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

/** Connections to one participant, each with one message on its way at a time. */
export class Load implements Disposable {
  readonly #lanes: readonly Lane[]

  private constructor(lanes: readonly Lane[]) {
    this.#lanes = lanes
  }

  static async open(port: number, connections: number): Promise<Load> {
    const lanes = Array.from({ length: connections }, async () => {
      const socket = connect(port, HOST)
      await once(socket, 'connect')
      return new Lane(socket.setNoDelay(true))
    })
    return new Load(await Promise.all(lanes))
  }

  /** Posts each message once, on whatever connection is free. @returns the answers, in the messages' order. */
  async post(messages: readonly Buffer[]): Promise<Answer[]> {
    const answers = new Array<Answer>(messages.length)
    const queue = messages.entries()
    await Promise.all(
      this.#lanes.map(async (lane) => {
        for (const [at, message] of queue) answers[at] = await lane.post(message)
      }),
    )
    return answers
  }

  [Symbol.dispose](): void {
    for (const lane of this.#lanes) lane.end()
  }
}

/** One connection. */
class Lane {
  readonly #socket: Socket
  #received: Buffer[] = []
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => this.#heard(bytes))
    socket.on('error', (error) => this.#waiting?.reject(error))
    socket.on('close', () => this.#waiting?.reject(new Error('the participant hung up')))
  }

  async post(message: Buffer): Promise<Answer> {
    return await new Promise<Answer>((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#socket.write(message)
    })
  }

  end(): void {
    this.#waiting = undefined
    this.#socket.destroy()
  }

  #heard(bytes: Buffer): void {
    this.#received.push(bytes)
    const all = this.#received.length === 1 ? bytes : Buffer.concat(this.#received)
    const end = all.indexOf(END_OF_HEAD)
    if (end < 0) return
    const head = all.toString('latin1', 0, end)
    const length = Number(LENGTH.exec(head)?.[1])
    const body = all.subarray(end + END_OF_HEAD.length)
    if (body.length < length) return
    this.#received = []
    const { resolve } = this.#waiting ?? {}
    this.#waiting = undefined
    resolve?.({ status: Number(head.slice(9, 12)), body })
  }
}
