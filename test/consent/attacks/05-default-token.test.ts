// Attack 5: the operator offers the default token of the machine, whose audience is Google's own token
// service. It proves the image as well as any other, but it is a credential, good for anyone who holds it:
// a participant that took one would teach workloads to hand it out.

import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalIssuer, createLocalVerifier, serveLauncher } from 'mcbn/consent'
import { describe, expect, it } from 'vitest'
import {
  EXPECTED,
  expectRefused,
  goodClaims,
  IMAGE,
  ISSUER,
  jwt,
  rsaJwk,
  rsaKey,
  verify,
} from '../../support/evidence.js'

const STS = 'https://sts.googleapis.com'
const MESSAGE = /^evidence: aud: .*credential that must never be sent/

const key = rsaKey()
const verifier = createLocalVerifier({
  issuers: [{ issuer: ISSUER, jwks: { keys: [rsaJwk(key, 'one')] } }],
})
const header = { alg: 'RS256', kid: 'one', typ: 'JWT' }

describe('attack 5: the default token', () => {
  it('is refused as what it is, straight from the launcher', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mcbn-sts-'))
    const issuer = await createLocalIssuer({ issuer: ISSUER })
    const socketPath = join(folder, 's')
    const launcher = await serveLauncher({ socketPath, issuer, workload: { imageDigest: IMAGE } })
    try {
      const token = await get(socketPath)
      const trusting = createLocalVerifier({ issuers: [{ issuer: ISSUER, jwks: issuer.jwks() }] })
      await expectRefused(trusting, token, MESSAGE, { now: Date.now() })
    } finally {
      await launcher.close()
      await rm(folder, { recursive: true })
    }
  })

  it('is refused with the right nonce too, and hidden in an array', async () => {
    for (const aud of [STS, [STS], [EXPECTED.audience, STS]]) {
      await expectRefused(verifier, jwt(header, goodClaims({ aud }), key), MESSAGE)
    }
  })

  it('is refused even if a participant were made to ask for it', async () => {
    const token = jwt(header, goodClaims({ aud: STS }), key)
    await expectRefused(verifier, token, MESSAGE, { audience: STS })
  })

  it('is the only thing wrong with these tokens', async () => {
    expect((await verify(verifier, jwt(header, goodClaims(), key))).imageDigest).toBe(IMAGE)
  })
})

function get(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/v1/token' }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => {
        text += chunk
      })
      answer.on('end', () => resolve(text))
    })
    asked.on('error', reject)
    asked.end()
  })
}
