import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { CeremonyState } from '../../src/consent/ceremony/state.js'
import { verifySignedDescriptor } from '../../src/consent/descriptor/signed.js'
import { shareCommitment } from '../../src/consent/shares/commitment.js'
import { deriveNetworkKeys } from '../../src/consent/shares/keys.js'
import { temporaryFolder } from '../support/paths.js'
import { expectFailure, expectSuccess, mcbn } from './command.js'

const IMAGE = `sha256:${'ab'.repeat(32)}`
const LOCK = ['--key-file', 'lock']
const HAND = ['--network', 'hand', '--epoch', '4']

let here: string
let keyFile: Buffer
beforeEach(() => {
  here = temporaryFolder()
  keyFile = randomBytes(32)
  writeFileSync(join(here, 'lock'), keyFile, { mode: 0o600 })
})
const run = (...args: readonly string[]) => mcbn(args, { cwd: here })

/** Folders, shares and a descriptor; the first commitment comes from the command. */
async function made(labels: readonly string[]): Promise<Map<string, Buffer>> {
  const shares = new Map(labels.map((label) => [label, randomBytes(32)] as const))
  const commitments: string[] = []
  for (const [label, share] of shares) {
    writeFileSync(join(here, `${label}.hex`), `${share.toString('hex')}\n`)
    ;(await CeremonyState.create(join(here, label), { label, lock: { keyFile } })).close()
    const commitment = shareCommitment({ network: 'hand', epoch: 4, label, share })
    commitments.push(`${label}=${commitment.toString('base64url')}`)
  }
  const [first = ''] = labels
  const shown = await run('descriptor', 'commitment', '--label', first, ...HAND, `${first}.hex`)
  expectSuccess(shown)
  expect(`${first}=${shown.stdout}`).toBe(`${commitments[0]}\n`)
  const cards = labels.map((label) => join(label, 'participant.json'))
  const images = ['--client-image', IMAGE, '--server-image', IMAGE]
  const given = ['--participant', ...cards, '--commitment', ...commitments]
  expectSuccess(await run('descriptor', 'create', ...HAND, ...images, ...given, '--out', 'd.json'))
  return shares
}

describe('cli/descriptor', () => {
  it('makes one by hand: created, signed by each, verified, and good for a key', async () => {
    const shares = await made(['alice', 'bob'])
    expectFailure(
      await run('descriptor', 'verify', 'd.json'),
      1,
      /alice: expected a signature, got none/,
    )
    const first = await run('descriptor', 'sign', 'd.json', '--keys', 'alice', ...LOCK)
    expect(first.stdout).toContain('hand it to bob, who has not signed yet')
    const half = await run('descriptor', 'show', 'd.json')
    expect(half.stdout).toMatch(/ {2}signed {4}alice/)
    expect(half.stdout).toMatch(/ {2}not signed bob/)
    expectSuccess(await run('descriptor', 'sign', 'd.json', '--keys', 'bob', ...LOCK))
    const verified = await run('descriptor', 'verify', 'd.json', '--json')
    expectSuccess(verified)
    const { descriptorHash, signedBy } = JSON.parse(verified.stdout)
    expect(signedBy).toEqual(['alice', 'bob'])
    expectSuccess(await run('descriptor', 'verify', 'd.json', '--descriptor-hash', descriptorHash))
    expectFailure(
      await run('descriptor', 'verify', 'd.json', '--descriptor-hash', 'ab'.repeat(32)),
      1,
      /expected hash abab/,
    )
    const descriptor = verifySignedDescriptor(readFileSync(join(here, 'd.json')))
    expect(deriveNetworkKeys(descriptor, shares).kcv).toMatch(/^[0-9a-f]+$/)
  })

  it('shows a signature that does not hold as what it is', async () => {
    await made(['alice', 'bob'])
    expectSuccess(await run('descriptor', 'sign', 'd.json', '--keys', 'alice', ...LOCK))
    const file = join(here, 'd.json')
    const signed = JSON.parse(readFileSync(file, 'utf8'))
    signed.descriptor.network = 'other'
    writeFileSync(file, JSON.stringify(signed))
    expect((await run('descriptor', 'show', 'd.json')).stdout).toMatch(/bad signature alice/)
    expectFailure(await run('descriptor', 'verify', 'd.json'), 1, /MCBN_DESCRIPTOR_INVALID/)
    expectFailure(
      await run('descriptor', 'sign', 'd.json', '--keys', 'nobody', ...LOCK),
      1,
      /make one with mcbn ceremony init/,
    )
  })

  it('refuses an invalid share before anybody commits to it', async () => {
    const naming = ['--label', 'alice', ...HAND]
    for (const [text, why] of [
      [randomBytes(31).toString('hex'), /expected 32 bytes, got 31/],
      ['AB'.repeat(32), /lower-case/],
      ['00'.repeat(32), /random bytes, got equal ones/],
    ] as const) {
      writeFileSync(join(here, 'share'), text)
      expectFailure(await run('descriptor', 'commitment', ...naming, 'share'), 2, why)
    }
  })
})

describe('cli/split', () => {
  const secret = randomBytes(32).toString('hex')

  it('backs a secret up in files, and combine brings it back', async () => {
    writeFileSync(join(here, 'secret'), `${secret}\n`)
    const split = ['split', 'secret', '--threshold', '2', '--pieces', '3', '--out-dir', '.']
    const done = await run(...split)
    expectSuccess(done)
    expect(done.stdout).not.toContain(secret)
    expect(done.stdout).toContain('mcbn combine piece-1-of-3.txt piece-2-of-3.txt')
    expect((await run('combine', 'piece-3-of-3.txt', 'piece-1-of-3.txt')).stdout).toBe(
      `${secret}\n`,
    )
    const written = await run('combine', 'piece-1-of-3.txt', 'piece-2-of-3.txt', '--out', 'back')
    expect(written.stdout).toBe('secret written to back\n')
    expect(readFileSync(join(here, 'back'), 'utf8')).toBe(`${secret}\n`)
    expectFailure(
      await run('combine', 'piece-1-of-3.txt'),
      2,
      /expected 2 of set \w+, got 1 \(number 1\)/,
    )
    expectFailure(await run(...split), 2, /--out-dir: cannot write a new file/)
  })

  it('reads from standard input, and takes all pieces from one', async () => {
    const args = ['split', '-', '--threshold', '2', '--pieces', '2']
    const pieces = await mcbn(args, { cwd: here, input: secret })
    expectSuccess(pieces)
    const back = await mcbn(['combine', '-'], { cwd: here, input: pieces.stdout })
    expect(back.stdout).toBe(`${secret}\n`)
  })

  it('shows no digit of what it refuses', async () => {
    for (const input of [secret.slice(1), secret.toUpperCase(), `${secret} `, 'ab']) {
      const refused = await mcbn(['split', '-', '--threshold', '2', '--pieces', '2'], {
        cwd: here,
        input,
      })
      expectFailure(refused, 2, /file: expected/)
      expect(refused.stderr).not.toContain(input.slice(0, 6))
    }
  })
})
