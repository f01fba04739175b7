// rootsOfTrust from the command's policy file: hardware's own evidence beside tokens, with real evidence of real
// machines that are others.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { severalEvidence } from '../../src/consent/attestation/several.js'
import { workloadOf } from '../consent/participant/fixture.js'
import { repositoryRoot } from '../support/paths.js'
import { expectFailure, mcbn } from './command.js'
import { folder, play, serving } from './participant-fixture.js'

const sample = (name: string) =>
  readFileSync(join(repositoryRoot, 'test/consent/attestation/samples', name))

const rules = {
  attestation: ['amd-sev-snp', 'aws-nitro', 'local'],
  platforms: { 'amd-sev-snp': {}, 'aws-nitro': {} },
}

function realReport(): string {
  const certificates = sample('amd/milan-ask-ark.pem')
    .toString()
    .match(/(?<=-----BEGIN CERTIFICATE-----)[^-]+/g)
  const chain = certificates?.map((text) => Buffer.from(text, 'base64')) ?? []
  const report = [sample('amd/milan-report.bin'), sample('amd/milan-vcek.der'), ...chain]
  return Buffer.concat(report).toString('base64url')
}

describe('cli/participant serve with rootsOfTrust', () => {
  it("asks two of three roots, and takes nothing for another machine's report or document", async () => {
    const made = await folder({ ...rules, rootsOfTrust: 2 })
    const { child, url } = await serving(made)
    expect(await play(url)).toMatchObject({ code: 'policy' })
    await child.output(/rootsOfTrust: expected evidence of 2, got "?local https/)
    const report = { kind: 'amd-sev-snp', token: realReport() }
    const document = {
      kind: 'aws-nitro',
      token: sample('aws/enclave-debug.bin').toString('base64url'),
    }
    for (const [real, reason] of [
      [report, /report data: expected the audience and nonce of this challenge/],
      [document, /certificate|path/],
    ] as const) {
      const shown = (token: string) => severalEvidence([real, { kind: 'local', token }])
      expect(await play(url, workloadOf('client'), shown)).toMatchObject({ code: 'policy' })
      await child.output(reason)
    }
    expect(await child.stop()).toEqual({ code: 0, signal: null })
  })

  it('takes one of them where one is enough, beside evidence that the policy does not name', async () => {
    const { child, url } = await serving(await folder(rules))
    const stranger = { kind: 'azure-maa', token: 'forged' }
    const shown = (token: string) => severalEvidence([stranger, { kind: 'local', token }])
    expect(await play(url, workloadOf('client'), shown)).toHaveProperty('ciphertext')
    expect(await child.stop()).toEqual({ code: 0, signal: null })
  })

  it('does not start with a policy that asks for more roots than it names', async () => {
    const { dir, env } = await folder({ ...rules, rootsOfTrust: 3 })
    const file = join(dir, 'policy.json')
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replaceAll(/"rootsOfTrust": ?3/g, '"rootsOfTrust": 4'))
    expect(readFileSync(file, 'utf8')).not.toBe(text)
    const serve = ['participant', 'serve', '--dir', dir, '--listen', '127.0.0.1:0']
    expectFailure(await mcbn(serve, { env }), 1, /rootsOfTrust: expected at most 3, since/)
  })
})
