// mcbn participant serve --image-signatures: bundles come and go while it serves.

import { mkdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { imageRuleName } from '../../src/consent/policy/signed-images.js'
import type { SignedImageRule } from '../../src/consent/policy/types.js'
import { signStatement } from '../../src/signatures/sign.js'
import { statementAbout } from '../../src/signatures/statement.js'
import { CLIENT_IMAGE } from '../consent/network.js'
import { keyPair } from '../support/sigstore.js'
import { expectFailure, expectSuccess, mcbn } from './command.js'
import { logLines } from './log-lines.js'
import { type Folder, folder, play, serving } from './participant-fixture.js'

const PATIENCE = { timeout: 30_000, interval: 50 }
const ann = keyPair()
const ben = keyPair('rsa')
const rule: SignedImageRule = {
  ...{ subject: 'my-client', statement: 'rebuilt', atLeast: 2 },
  signers: [{ publicKey: ann.publicKey }, { publicKey: ben.publicKey }],
}

/** As a reviewer hands it over; whole from the first moment on. */
async function put({ parent }: Folder, name: string, by: { readonly privateKey: string }) {
  const statement = statementAbout('rebuilt', 'my-client', CLIENT_IMAGE, {})
  const bundle = JSON.stringify(await signStatement(statement, { key: by.privateKey }))
  writeFileSync(join(parent, 'new'), bundle)
  renameSync(join(parent, 'new'), join(parent, 'signatures', name))
}

describe('cli/participant --image-signatures', () => {
  it('gives nothing before enough reviewers have signed, nor after one word is gone', async () => {
    const alice = await folder({ images: undefined as never, signedImages: [rule] })
    const signatures = join(alice.parent, 'signatures')
    mkdirSync(signatures)
    writeFileSync(join(signatures, 'forged.json'), '{}')
    await put(alice, 'ann.json', ann)
    await put(alice, 'again.json', ann)
    const { child, url } = await serving(alice, '--image-signatures', signatures, '--json')
    const told = () => logLines(child.stdout).filter(({ event }) => event === 'image-signatures')
    expect(told()).toMatchObject([
      { images: [], of: 1, passedOver: [{ name: 'forged.json', reason: expect.any(String) }] },
    ])
    expect(await play(url)).toMatchObject({ code: 'policy' })

    await put(alice, 'ben.json', ben)
    await expect.poll(() => told().at(-1), PATIENCE).toMatchObject({ images: [CLIENT_IMAGE] })
    expect(await play(url)).toMatchObject({ label: 'alice', ciphertext: expect.any(String) })

    unlinkSync(join(signatures, 'ben.json'))
    await expect.poll(() => told().at(-1), PATIENCE).toMatchObject({ images: [] })
    expect(await play(url)).toMatchObject({ code: 'policy' })

    // SIGHUP looks again, whatever the kernel told.
    const before = told().length
    child.process.kill('SIGHUP')
    await child.output(/"event":"policy","changed":false/)
    expect(told().length).toBeGreaterThan(before)
    expect(await child.stop()).toEqual({ code: 0, signal: null })
  })

  it('does not start without the folder', async () => {
    const { dir, env, parent } = await folder({ signedImages: [rule] })
    const at = ['participant', 'serve', '--dir', dir, '--listen', '127.0.0.1:0']
    const none = join(parent, 'none')
    expectFailure(await mcbn([...at, '--image-signatures', none], { env }), 1, /cannot be read/)
  })
})

describe('cli/image rule', () => {
  it('prints the name that a descriptor lists', async () => {
    const { parent } = await folder()
    const file = join(parent, 'rule.json')
    writeFileSync(file, JSON.stringify(rule))
    const printed = await mcbn(['image', 'rule', file])
    expectSuccess(printed)
    expect(printed.stdout).toBe(`${imageRuleName(rule)}\n`)
    writeFileSync(file, JSON.stringify({ ...rule, atLeast: 3 }))
    expectFailure(await mcbn(['image', 'rule', file]), 1, /atLeast: expected at most 2/)
  })
})
