// What a client and a server made by hand have in common: a socket, keys, and what either can say.

import type { Socket } from 'node:dgram'
import { message, u16 } from '../../support/dtls-wire.js'
import { MESSAGE13, TYPE13 } from '../../support/dtls13-handshake.js'
import { Epoch13, type Opened13 } from '../../support/dtls13-records.js'
import { Keys13 } from './keys.js'
import { answerOf } from './names.js'

/** What anybody can send, without the key. */
export const STRANGE = [
  'Finished in the clear',
  'alert in the clear',
  'ACK in the clear',
  'forged record of epoch 2',
  'forged record of epoch 3',
] as const
/** What only the holder of the key can send. */
export const KEYED = [
  'wrong Finished',
  'Finished in epoch 3',
  'ACK',
  'ApplicationData',
  'ApplicationData in epoch 2',
  'KeyUpdate',
  'KeyUpdate for both',
  'KeyUpdate in epoch 2',
  'NewConnectionId',
  'RequestConnectionId',
  'close_notify',
  'close_notify in epoch 2',
] as const
type OfEither = (typeof STRANGE)[number] | (typeof KEYED)[number]

const DATA = Buffer.from('data')
const CLOSE_NOTIFY = Buffer.of(1, 0)
/** cid_spare, one ID of four bytes. */
const CONNECTION_ID = Buffer.concat([u16(5), Buffer.of(4, 1, 2, 3, 4, 0)])

export abstract class Side13<Input extends string> {
  readonly datagrams: Buffer[] = []
  protected readonly keys = new Keys13()
  protected readonly socket: Socket
  /** Whether its ACKs are of the session's epoch by now. */
  protected acksSession = false
  #told = 0

  protected constructor(socket: Socket) {
    this.socket = socket
  }

  close(): void {
    this.socket.close()
  }

  /** What came since the last question. @param over - the other side's session has ended. */
  answers(over: boolean): string {
    const news = this.datagrams.slice(this.#told)
    this.#told = this.datagrams.length
    const names: string[] = []
    for (const datagram of news) {
      for (const opened of this.keys.read(datagram)) {
        const name = this.take(opened)
        if (name) names.push(name)
      }
    }
    if (names.some((name) => name.endsWith('*'))) this.keys.answered()
    return answerOf(over ? [...names, 'end'] : names)
  }

  /** Its name; nothing for a message that came before. */
  protected abstract take(opened: Opened13): string | undefined
  /** verify_data; anything while there are no keys. */
  protected abstract verify(): Buffer
  /** message_seq of its Finished. */
  protected abstract get finishedAt(): number
  /** What only this side says. */
  protected abstract ownMade(input: Exclude<Input, OfEither>): Buffer | undefined

  protected finished(verify = this.verify()): Buffer {
    return message(MESSAGE13.finished, this.finishedAt, verify)
  }

  protected plain(handshake: Buffer): Buffer {
    return this.keys.plain(TYPE13.handshake, handshake)
  }

  /** Nothing where there is nothing to send. */
  protected made(input: Input | OfEither): Buffer | undefined {
    const { keys } = this
    switch (input) {
      case 'wrong Finished':
        return keys.sealOnce(input, 2, TYPE13.handshake, this.finished(Buffer.alloc(32)))
      case 'Finished in epoch 3':
        return keys.sealOnce(input, 3, TYPE13.handshake, this.finished())
      case 'Finished in the clear':
        return this.plain(this.finished())
      case 'ACK':
        return keys.seal(this.acksSession ? keys.newest : 2, TYPE13.ack, keys.acks())
      case 'ACK in the clear':
        return keys.plain(TYPE13.ack, keys.acks())
      case 'ApplicationData':
        return keys.sealOnce(input, keys.newest, TYPE13.applicationData, DATA)
      case 'ApplicationData in epoch 2':
        return keys.sealOnce(input, 2, TYPE13.applicationData, DATA)
      case 'KeyUpdate':
        return keys.post(MESSAGE13.keyUpdate, Buffer.of(0))
      case 'KeyUpdate for both':
        return keys.post(MESSAGE13.keyUpdate, Buffer.of(1))
      case 'KeyUpdate in epoch 2': {
        const update = message(MESSAGE13.keyUpdate, keys.nextMessage, Buffer.of(0))
        return keys.sealOnce(input, 2, TYPE13.handshake, update)
      }
      case 'NewConnectionId':
        return keys.post(MESSAGE13.newConnectionId, CONNECTION_ID)
      case 'RequestConnectionId':
        return keys.post(MESSAGE13.requestConnectionId, Buffer.of(1))
      case 'close_notify':
        return keys.sealOnce(input, keys.newest, TYPE13.alert, CLOSE_NOTIFY)
      case 'close_notify in epoch 2':
        return keys.sealOnce(input, 2, TYPE13.alert, CLOSE_NOTIFY)
      case 'alert in the clear':
        return keys.plain(TYPE13.alert, Buffer.of(2, 40))
      case 'forged record of epoch 2':
        return Epoch13.forged(2).seal(TYPE13.handshake, this.finished()).record
      case 'forged record of epoch 3':
        return keys.once(input, () => Epoch13.forged(3).seal(TYPE13.applicationData, DATA).record)
      default:
        return this.ownMade(input as Exclude<Input, OfEither>)
    }
  }
}
