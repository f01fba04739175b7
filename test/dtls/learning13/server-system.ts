// mcbn's server of DTLS 1.3 as a machine that is learnt: inputs are what clients, and strangers without the key, send.
// Each word has a new server. Answers are complete when the server has counted what was sent, JavaScript has answered,
// and all datagrams have come. What repeats a flight is no answer: when it comes is a matter of time.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type DtlsServer, type DtlsSocket } from '../../../src/dtls/index.js'
import type { System } from '../learning/learner.js'
import { SILENCE, type Word } from '../learning/mealy.js'
import { settled } from '../learning/pace.js'
import { Client13, type ClientInput, IDENTITY } from './client.js'

const LOOPBACK = '127.0.0.1'
/** The program behind the server's socket renews its keys. */
const OURS = 'own KeyUpdate'

export type ServerInput = ClientInput | typeof OURS

export interface Stage {
  readonly inputs: readonly ServerInput[]
  readonly probes: readonly ServerInput[]
  readonly endings: readonly (readonly ServerInput[])[]
  /** What comes before every word. */
  readonly beginning: readonly ServerInput[]
  /** Whether another client goes on where a session has ended; else nothing is said any more. */
  readonly anew: boolean
}

export class ServerSystem13 implements System {
  readonly inputs: readonly ServerInput[]
  readonly probes: readonly ServerInput[]
  readonly endings: readonly Word[]
  readonly atOnce = 8
  readonly #stage: Stage
  readonly #key = randomBytes(32)

  constructor(stage: Stage) {
    this.#stage = stage
    this.inputs = stage.inputs
    this.probes = stage.probes
    this.endings = stage.endings
  }

  async run(word: Word): Promise<string[]> {
    const { beginning, anew } = this.#stage
    const asked = new Asked(this.#key)
    await asked.listen()
    try {
      const answers: string[] = []
      for (const input of [...beginning, ...word] as ServerInput[]) {
        answers.push(asked.over && !anew ? SILENCE : await asked.answer(input))
      }
      return answers.slice(beginning.length)
    } finally {
      await asked.close()
    }
  }
}

/** A server for one word, and its clients. */
class Asked {
  /** Whether the session, or the handshake, of the client has ended. */
  over = false
  readonly #server: DtlsServer
  readonly #key: Buffer
  readonly #clients: Client13[] = []
  #socket: DtlsSocket | undefined
  #sent = 0
  #echoed = 0

  constructor(key: Buffer) {
    this.#key = key
    this.#server = createServer({
      psk: { [IDENTITY.toString()]: key },
      minVersion: 'DTLSv1.3',
      maxVersion: 'DTLSv1.3',
      ciphers: 'TLS_AES_128_GCM_SHA256',
      groups: ['X25519'],
      handshakeTimeout: 600_000,
      retransmitTimeout: 60_000,
    })
    this.#server.on('clientError', () => {})
    this.#server.on('secureConnection', (socket) => {
      this.#socket = socket
      socket.on('error', () => {})
      socket.on('message', (data) => {
        this.#echoed += 1
        socket.send(data)
      })
    })
  }

  async listen(): Promise<void> {
    this.#server.listen(0, LOOPBACK)
    await once(this.#server, 'listening')
    await this.#newClient()
  }

  async answer(input: ServerInput): Promise<string> {
    if (this.over) await this.#newClient()
    const client = this.#clients.at(-1) as Client13
    const before = this.#server.stats
    if (input === OURS) {
      if (this.#socket?.readyState !== 'open') return SILENCE
      this.#socket.updateKeys()
    } else {
      if (!client.send(input)) return SILENCE
      this.#sent += 1
    }
    await settled(() => this.#quiet())
    const { stats } = this.#server
    const started = stats.handshakesStarted - before.handshakesStarted
    this.over = started > stats.sessions - before.sessions
    return client.answers(this.over)
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close()
    await this.#server.close()
  }

  #quiet(): boolean {
    const { stats } = this.#server
    const come = this.#clients.reduce((sum, { datagrams }) => sum + datagrams.length, 0)
    return (
      stats.datagramsReceived === this.#sent &&
      stats.messagesReceived === this.#echoed &&
      stats.datagramsSent === come
    )
  }

  /** Each at another address: the server counts what an address begins anew. */
  async #newClient(): Promise<void> {
    this.over = false
    const host = `127.1.0.${this.#clients.length + 1}`
    const { port } = this.#server.address() as AddressInfo
    this.#clients.push(await Client13.create(host, port, this.#key))
  }
}
