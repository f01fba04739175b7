// mcbn's client of DTLS 1.3 as a machine that is learnt: inputs are what servers, and strangers without the key, send.
// Each word has a new client, whose first ClientHello has come before the word begins. See server-system.ts.

import { randomBytes } from 'node:crypto'
import { connect, type DtlsSocket } from '../../../src/dtls/index.js'
import type { System } from '../learning/learner.js'
import { SILENCE, type Word } from '../learning/mealy.js'
import { settled } from '../learning/pace.js'
import { Server13, type ServerMessage } from './server.js'

const LOOPBACK = '127.0.0.1'
/** The program behind the client's socket renews its keys. */
const OURS = 'own KeyUpdate'
/** No record of any kind: dropped, and counted. What came before it has been dealt with then. */
const NOTHING = Buffer.of(0)

export type ClientsInput = ServerMessage | typeof OURS

export interface ClientStage {
  readonly inputs: readonly ClientsInput[]
  readonly probes: readonly ClientsInput[]
  readonly endings: readonly (readonly ClientsInput[])[]
  /** What comes before every word. */
  readonly beginning: readonly ClientsInput[]
}

export class ClientSystem13 implements System {
  readonly inputs: readonly ClientsInput[]
  readonly probes: readonly ClientsInput[]
  readonly endings: readonly Word[]
  readonly atOnce = 8
  readonly #stage: ClientStage

  constructor(stage: ClientStage) {
    this.#stage = stage
    this.inputs = stage.inputs
    this.probes = stage.probes
    this.endings = stage.endings
  }

  async run(word: Word): Promise<string[]> {
    const { beginning } = this.#stage
    const key = randomBytes(32)
    const server = await Server13.create(key)
    const client = new Asked(server, key)
    try {
      await server.firstHello()
      const answers: string[] = []
      for (const input of [...beginning, ...word] as ClientsInput[]) {
        answers.push(await client.answer(input))
      }
      return answers.slice(beginning.length)
    } finally {
      client.close()
      server.close()
    }
  }
}

/** Sends every message back. */
class Asked {
  #over = false
  #sent = 0
  #heard = 0
  readonly #server: Server13
  readonly #socket: DtlsSocket

  constructor(server: Server13, key: Uint8Array) {
    this.#server = server
    this.#socket = connect({
      host: LOOPBACK,
      port: server.port,
      psk: { identity: 'Client1', key },
      minVersion: 'DTLSv1.3',
      maxVersion: 'DTLSv1.3',
      ciphers: 'TLS_AES_128_GCM_SHA256',
      groups: ['X25519', 'P-256'],
      handshakeTimeout: 600_000,
      retransmitTimeout: 60_000,
    })
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.#over = true
    })
    this.#socket.on('message', (data) => {
      this.#heard += 1
      this.#socket.send(data)
    })
  }

  async answer(input: ClientsInput): Promise<string> {
    if (this.#over) return SILENCE
    if (input === OURS) {
      if (this.#socket.readyState !== 'open') return SILENCE
      this.#socket.updateKeys()
    } else {
      if (!this.#server.send(input)) return SILENCE
      this.#sent += 1
    }
    this.#server.sendRaw(NOTHING)
    this.#sent += 1
    await settled(() => this.#quiet())
    return this.#server.answers(this.#over)
  }

  close(): void {
    this.#socket.destroy()
  }

  /** All that was sent has been dealt with, and what is answered has come: by the next turn where it is the end. */
  #quiet(): boolean {
    const { stats } = this.#socket
    return (
      this.#over ||
      (stats.datagramsSent === this.#server.datagrams.length &&
        stats.datagramsReceived === this.#sent &&
        stats.messagesReceived === this.#heard)
    )
  }
}
