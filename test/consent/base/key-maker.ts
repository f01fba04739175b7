// A program for keys.test.ts: makes keys, seals to them and shows their public halves, over and over.

import { generateKeyPairSync } from 'node:crypto'
import { hpkeSeal } from '../../../src/consent/base/hpke.js'
import { publicKeys } from '../../../src/consent/base/keys.js'
import { generateReceiver } from '../../../src/consent/release/seal.js'

const ROUNDS = 1_500

const share = Buffer.alloc(32, 7)
for (let round = 0; round < ROUNDS; round++) {
  const { publicKey } = await generateReceiver()
  hpkeSeal(publicKey, share, { info: share })
  const ed25519 = generateKeyPairSync('ed25519').privateKey
  publicKeys({ ed25519, x25519: generateKeyPairSync('x25519').privateKey })
}
console.log('done')
