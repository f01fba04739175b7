// What is learnt of DTLS 1.3, in parts: one machine with all inputs would be the product of these. Where keys are
// renewed, nothing is said in epoch 2: its keys are kept until the fourth renewal takes their place, so there would be
// a state for each renewal.

import { STRANGERS } from './client.js'
import type { ClientStage } from './client-system.js'
import { STRANGERS as SERVER_STRANGERS } from './server.js'
import type { Stage } from './server-system.js'

/** A server until it is open, and what comes again then. */
export const SERVER_HANDSHAKE: Stage = {
  inputs: [
    ...STRANGERS,
    'ClientHello with cookie',
    'Finished',
    'wrong Finished',
    'Finished in epoch 3',
    'ACK',
    'ApplicationData',
    'ApplicationData in epoch 2',
    'KeyUpdate in epoch 2',
    'close_notify',
    'close_notify in epoch 2',
  ],
  probes: ['ClientHello with cookie', 'Finished', 'close_notify in epoch 2'],
  endings: [
    ['Finished', 'ApplicationData'],
    ['ClientHello with cookie', 'Finished', 'ApplicationData'],
  ],
  beginning: [],
  anew: true,
}

/** From then on, without connection IDs. */
export const SERVER_SESSION: Stage = {
  inputs: [
    ...STRANGERS,
    'ClientHello with cookie',
    'ACK',
    'ApplicationData',
    'KeyUpdate',
    'KeyUpdate for both',
    'NewConnectionId',
    'RequestConnectionId',
    'close_notify',
    'own KeyUpdate',
  ],
  probes: ['ApplicationData', 'KeyUpdate for both', 'own KeyUpdate'],
  endings: [
    ['ACK', 'own KeyUpdate'],
    ['ACK', 'KeyUpdate for both'],
  ],
  beginning: ['ClientHello', 'ClientHello with cookie', 'Finished'],
  anew: false,
}

/** A client until it is open, and what comes again then. */
export const CLIENT_HANDSHAKE: ClientStage = {
  inputs: [
    'HelloRetryRequest',
    'HelloRetryRequest for P-256',
    ...SERVER_STRANGERS,
    'ServerHello',
    'EncryptedExtensions',
    'Finished',
    'wrong Finished',
    'ACK',
    'ApplicationData',
    'ApplicationData in epoch 2',
    'KeyUpdate in epoch 2',
    'close_notify',
    'close_notify in epoch 2',
  ],
  probes: ['ServerHello', 'EncryptedExtensions', 'Finished', 'HelloRetryRequest'],
  endings: [
    ['ServerHello', 'EncryptedExtensions', 'Finished', 'ApplicationData'],
    ['EncryptedExtensions', 'Finished', 'ApplicationData'],
    ['Finished', 'ApplicationData'],
  ],
  beginning: [],
}

/** From then on, without connection IDs. */
export const CLIENT_SESSION: ClientStage = {
  inputs: [
    ...SERVER_STRANGERS,
    'HelloRetryRequest',
    'ServerHello',
    'ACK',
    'ApplicationData',
    'KeyUpdate',
    'KeyUpdate for both',
    'NewSessionTicket',
    'NewConnectionId',
    'RequestConnectionId',
    'close_notify',
    'own KeyUpdate',
  ],
  probes: ['ApplicationData', 'KeyUpdate for both', 'own KeyUpdate'],
  endings: [
    ['ACK', 'own KeyUpdate'],
    ['ACK', 'KeyUpdate for both'],
  ],
  beginning: ['HelloRetryRequest', 'ServerHello', 'EncryptedExtensions', 'Finished'],
}
