// What records of DTLS 1.3 are called in learnt machines: one asterisk for the handshake's keys (epoch 2), two for
// those of the session (epoch 3 and on).

import { MESSAGE13, TYPE13 } from '../../support/dtls13-handshake.js'
import type { Opened13 } from '../../support/dtls13-records.js'
import { SILENCE } from '../learning/mealy.js'

const MESSAGES: Readonly<Record<number, string>> = {
  [MESSAGE13.clientHello]: 'ClientHello',
  [MESSAGE13.serverHello]: 'ServerHello',
  [MESSAGE13.encryptedExtensions]: 'EncryptedExtensions',
  [MESSAGE13.requestConnectionId]: 'RequestConnectionId',
  [MESSAGE13.newConnectionId]: 'NewConnectionId',
  [MESSAGE13.finished]: 'Finished',
  [MESSAGE13.keyUpdate]: 'KeyUpdate',
}
const ALERTS: Readonly<Record<number, string>> = {
  0: 'close_notify',
  10: 'unexpected_message',
  47: 'illegal_parameter',
  50: 'decode_error',
  51: 'decrypt_error',
  70: 'protocol_version',
  90: 'user_canceled',
}

export function nameOf({ type, content, number }: Opened13): string {
  const mark = number.epoch === 0 ? '' : number.epoch === 2 ? '*' : '**'
  return `${plainName(type, content)}${mark}`
}

function plainName(type: number, content: Buffer): string {
  switch (type) {
    case TYPE13.handshake:
      return MESSAGES[content[0] ?? -1] ?? `message ${content[0]}`
    case TYPE13.applicationData:
      return 'ApplicationData'
    case TYPE13.ack:
      return 'ACK'
    case TYPE13.alert:
      return `Alert ${ALERTS[content[1] ?? -1] ?? content[1]}`
    default:
      return `type ${type}`
  }
}

/** Names in order; how many of one kind come one after another is no part of it. */
export function answerOf(names: readonly string[]): string {
  return names.filter((name, index) => name !== names[index - 1]).join(', ') || SILENCE
}
