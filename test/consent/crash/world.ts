// What all processes of the matrix share, as a file: keys, shares, descriptors of two epochs, policies.

import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { createLocalIssuer } from '../../../src/consent/attestation/local/issuer.js'
import {
  exportPrivate,
  generateParticipantKeys,
  importPrivate,
} from '../../../src/consent/base/keys.js'
import { verifySignedDescriptor } from '../../../src/consent/descriptor/signed.js'
import { CLIENT_IMAGE, need, testNetwork } from '../network.js'

export const INSTANCES = 3

export interface WorldFile {
  readonly keys: { readonly ed25519: string; readonly x25519: string }
  readonly keyFile: string
  readonly issuerKey: string
  readonly epochs: readonly {
    readonly signed: object
    readonly share: string
    readonly policy: object
  }[]
}

export type World = Awaited<ReturnType<typeof worldOf>>

export async function makeWorld(keyFile: string): Promise<WorldFile> {
  const keys = new Map(['alice', 'bob'].map((label) => [label, generateParticipantKeys()]))
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const issuer = await createLocalIssuer({ issuer: 'https://issuer.test', keys: [privateKey] })
  const epochs = [1, 2].map((epoch) => {
    const network = testNetwork({
      labels: ['alice', 'bob'],
      keys,
      fields: { network: 'crash', epoch },
    })
    const policy = {
      version: 'mcbn/1',
      network: 'crash',
      descriptorHash: network.verified.hashHex,
      roles: {
        client: {
          images: [CLIENT_IMAGE],
          attestation: ['local'],
          projects: ['local-project'],
          args: [],
          instances: INSTANCES,
          approval: 'manual',
        },
      },
      localIssuers: [{ issuer: issuer.issuer, jwks: issuer.jwks() }],
    }
    return { signed: network.signed, share: need(network.shares, 'alice').toString('hex'), policy }
  })
  const { ed25519, x25519 } = exportPrivate(need(keys, 'alice'))
  return {
    keys: { ed25519: ed25519.toString('hex'), x25519: x25519.toString('hex') },
    keyFile,
    issuerKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    epochs,
  }
}

export async function worldOf({ keys, keyFile, issuerKey, epochs }: WorldFile) {
  const [ed25519, x25519] = [Buffer.from(keys.ed25519, 'hex'), Buffer.from(keys.x25519, 'hex')]
  return {
    keys: importPrivate({ ed25519, x25519 }),
    lock: { keyFile: Buffer.from(keyFile, 'hex') },
    issuer: await createLocalIssuer({
      issuer: 'https://issuer.test',
      keys: [createPrivateKey(issuerKey)],
    }),
    epochs: epochs.map(({ signed, share, policy }) => ({
      descriptor: signed,
      verified: verifySignedDescriptor(signed),
      share: Buffer.from(share, 'hex'),
      policy,
    })),
  }
}
