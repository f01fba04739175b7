import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { driveStep } from '../../src/consent/ceremony/drive.js'
import { type CheckedPlan, createPlan, planBytes } from '../../src/consent/ceremony/plan.js'
import { CeremonyState } from '../../src/consent/ceremony/state.js'
import { FolderTransport } from '../../src/consent/ceremony/transport.js'
import { deriveNetworkKeys } from '../../src/consent/shares/keys.js'
import { commandFile, temporaryFolder } from '../support/paths.js'
import { run } from '../support/process.js'
import { expectFailure, expectSuccess, type Finished, mcbn, startMcbn } from './command.js'
import { forgePackage } from './forged-package.js'

const IMAGE = `sha256:${'ab'.repeat(32)}`
const NETWORK = [
  '--network',
  'demo',
  '--epoch',
  '1',
  '--client-image',
  IMAGE,
  '--server-image',
  IMAGE,
]

let here: string
let keyFile: Buffer
beforeEach(() => {
  here = temporaryFolder()
  keyFile = randomBytes(32)
  writeFileSync(join(here, 'lock'), keyFile, { mode: 0o600 })
  mkdirSync(join(here, 'shared'))
})

const LOCK = ['--key-file', 'lock']
const DIR = ['--dir', 'shared']
const ceremony = (...args: readonly string[]) => mcbn(['ceremony', ...args], { cwd: here })
const json = (child: Finished) => JSON.parse(child.stdout) as Record<string, unknown>

/** Folders and a plan, made without a process each: other tests run those commands. */
async function planned(labels: readonly string[], t?: number): Promise<CheckedPlan> {
  const states = await Promise.all(
    labels.map(async (label) => {
      const state = await CeremonyState.create(join(here, label), { label, lock: { keyFile } })
      state.close()
      return state
    }),
  )
  const plan = createPlan({
    network: 'demo',
    epoch: 1,
    mode: t === undefined ? 'n-of-n' : 't-of-n',
    ...(t !== undefined && { t }),
    participants: states.map(({ card }) => card),
    roles: { client: { id: 'client', images: [IMAGE] }, server: { id: 'server', images: [IMAGE] } },
    validity: { notBefore: 1, notAfter: 2 },
  })
  await new FolderTransport(join(here, 'shared')).put('plan', planBytes(plan))
  return plan
}

/** Somebody else's step, in this process. */
async function stepOf(label: string, plan: CheckedPlan): Promise<void> {
  const state = await CeremonyState.open(join(here, label), { keyFile })
  const drive = {
    transport: new FolderTransport(join(here, 'shared')),
    save: () => state.save(),
  }
  await driveStep(state.ceremony ?? (await state.begin(plan)), drive)
  state.close()
}

async function keyCheckValue(labels: readonly string[]): Promise<string> {
  const results = await Promise.all(
    labels.map(async (label) => {
      const state = await CeremonyState.read(join(here, label), { keyFile })
      if (state.ceremony === undefined) throw new Error(`${label} has no ceremony`)
      return [label, state.ceremony.result()] as const
    }),
  )
  const shares = new Map(results.map(([label, { share }]) => [label, share] as const))
  const descriptor = results[0]?.[1].descriptor
  if (descriptor === undefined) throw new Error('nobody')
  return deriveNetworkKeys(descriptor, shares).kcv
}

describe('cli/ceremony', () => {
  it('makes keys and a plan, and shows what has to be compared', async () => {
    for (const label of ['alice', 'bob']) {
      expectSuccess(await ceremony('init', label, '--label', label, ...LOCK))
    }
    const cards = ['bob/participant.json', 'alice/participant.json']
    const made = await ceremony('plan', ...NETWORK, '--participant', ...cards, '--json', ...DIR)
    expectSuccess(made)
    const shown = await ceremony('show', ...DIR)
    expectSuccess(shown)
    expect(shown.stdout).toContain(`plan ${json(made)['planHash']}`)
    expect(shown.stdout).toContain('needed    all 2 of alice, bob')
  })

  it('goes step by step, each saying the next command as it has to be typed', async () => {
    const plan = await planned(['alice', 'bob'])
    await stepOf('bob', plan)
    let typed = ['commit', 'alice', ...DIR, '--plan-hash', plan.hashHex, ...LOCK]
    for (const step of ['commit', 'package', 'agree', 'sign', 'finish']) {
      expect(typed[0]).toBe(step)
      const done = await ceremony(...typed, '--json')
      expectSuccess(done)
      expect(json(done)).toMatchObject({ step, label: 'alice', done: true })
      typed = `${json(done)['next']}`.split(' ').slice(2)
      await stepOf('bob', plan)
    }
    expect(typed).toEqual(['init', '--dir', '<new', 'folder>', '--ceremony', 'alice', ...LOCK])
    const [alice, bob] = ['alice', 'bob'].map((label) =>
      readFileSync(join(here, label, 'descriptor.json'), 'utf8'),
    )
    expect(alice).toBe(bob)
    const files = ['agree', 'commit', 'package', 'sign'].flatMap((round) => [
      `${round}-alice.json`,
      `${round}-bob.json`,
    ])
    expect(readdirSync(join(here, 'shared')).sort()).toEqual([...files, 'plan.json'].sort())
  })

  it('waits, says for whom, and refuses steps out of their order', async () => {
    const { hashHex: hash } = await planned(['alice', 'bob'], 2)
    expectFailure(
      await ceremony('package', 'alice', ...DIR, ...LOCK),
      2,
      /--plan-hash: expected the hash/,
    )
    expectFailure(
      await ceremony('commit', 'alice', ...DIR, ...LOCK, '--plan-hash', 'ab'.repeat(32)),
      1,
      /this is not the plan that was compared/,
    )
    expectSuccess(await ceremony('commit', 'alice', ...DIR, '--plan-hash', hash, ...LOCK))
    const waiting = await ceremony('package', 'alice', ...DIR, ...LOCK)
    expect(waiting.exit.code).toBe(1)
    expect(waiting.stdout).toMatch(/not yet: commit sent, waiting for that of bob/)
    expectFailure(
      await ceremony('sign', 'alice', ...DIR, ...LOCK),
      1,
      /expected package as the next step/,
    )
    const late = await ceremony('run', 'alice', ...DIR, ...LOCK, '--timeout', '1')
    expect(late.exit.code).toBe(1)
    expect(late.stderr).toMatch(
      /not finished within 1 s: waiting for the commit of bob; run it again/,
    )
    const status = await ceremony('status', 'alice', ...LOCK, '--json')
    expect(json(status)).toMatchObject({ label: 'alice', round: 'commit', waitingFor: ['bob'] })
  })

  it('runs over a board, through kills of a participant and of the board', async () => {
    const labels = ['alice', 'bob', 'carol']
    const plan = await planned(labels, 2)
    const hash = plan.hashHex
    writeFileSync(join(here, 'plan.json'), planBytes(plan))
    mkdirSync(join(here, 'kept'))
    const boardArgs = ['ceremony', 'board', '--plan', 'plan.json', '--keep', 'kept', '--listen']
    const first = startMcbn([...boardArgs, '127.0.0.1:0'], { cwd: here })
    const [, url = ''] = await first.output(/listening on (http:\/\/\S+)/)
    const run = (label: string) =>
      startMcbn(
        ['ceremony', 'run', label, '--board', url, '--plan-hash', hash, ...LOCK, '--json'],
        { cwd: here },
      )
    const killed = run('alice')
    await killed.output(/"round":"commit"/)
    killed.process.kill('SIGKILL')
    await killed.exited
    const others = ['bob', 'carol'].map(run)
    for (const other of others) await other.output(/"round":"package","waitingFor":\["alice"/)
    expect((await first.stop()).code).toBe(0)
    const second = startMcbn([...boardArgs, url.replace('http://', '')], { cwd: here })
    await second.output(/listening/)
    // A client that met the closed door has ended with an error, and simply begins again.
    const again = ['bob', 'carol', 'alice'].map(run)
    await Promise.all(again.map((child) => child.output(/"event":"finished"/, 25_000)))
    expect(await keyCheckValue(['alice', 'bob'])).toBe(await keyCheckValue(['bob', 'carol']))
  }, 90_000)

  it('names a cheater on stderr, and goes no further', async () => {
    const plan = await planned(['alice', 'bob'])
    await stepOf('alice', plan)
    await stepOf('bob', plan)
    const bob = await CeremonyState.read(join(here, 'bob'), { keyFile })
    const late = forgePackage(plan, 'bob', bob.keys)
    writeFileSync(join(here, 'shared', 'package-bob.json'), late)
    await stepOf('alice', plan)
    const named = /bob: opened another package than it had committed to.*MCBN_CEREMONY_CHEATED/
    expectFailure(await ceremony('agree', 'alice', ...DIR, ...LOCK), 1, named)
    const complaint = readFileSync(join(here, 'shared', 'complaint-alice.json'), 'utf8')
    expect(JSON.parse(complaint)).toMatchObject({ body: { accused: 'bob', about: 'package' } })
    expectFailure(await ceremony('agree', 'alice', ...DIR, ...LOCK), 1, /alice has stopped/)
  })

  it('checks what it can before it asks for a passphrase', async () => {
    await planned(['alice', 'bob'])
    // Without a terminal and without a lock: to ask would be another mistake.
    expectFailure(await ceremony('init', 'alice', '--label', 'alice'), 1, /expected a new folder/)
    expectFailure(await ceremony('init', 'carol', '--label', 'C'), 2, /label: expected 1 to 63/)
    const nobody = await ceremony('status', 'nobody', ...LOCK)
    expectFailure(nobody, 1, /make one with mcbn ceremony init/)
    expect(nobody.stderr).not.toContain('--help')
    for (const step of ['commit', 'run']) {
      const child = await ceremony(step, 'alice', ...DIR, '--plan-hash', '00')
      expectFailure(child, 2, /--plan-hash: expected 64 hex digits/)
    }
  })

  // util-linux's script gives the command a terminal.
  it.runIf(process.platform === 'linux')(
    'does not ask twice for a passphrase that is too short',
    async () => {
      const typed = `'${process.execPath}' '${commandFile}' ceremony init dora --label dora`
      const child = await run('script', ['-qec', typed, '/dev/null'], {
        cwd: here,
        input: 'short\n',
      })
      expect(child.exit, child.report()).toEqual({ code: 2, signal: null })
      expect(child.stdout).toMatch(
        /Passphrase for the secrets .*\s+.*expected 8 to 1024 bytes, got 5/,
      )
      expect(child.stdout).not.toContain('once more')
      expect(readdirSync(here)).not.toContain('dora')
    },
  )

  it('says of a shared folder that is missing how to make it', async () => {
    await planned(['alice', 'bob'])
    const cards = ['--participant', 'alice/participant.json', 'bob/participant.json']
    const late = await ceremony('plan', ...NETWORK, ...cards, ...DIR, '--not-after', 'soon')
    expectFailure(late, 2, /--not-after/)
    const child = await ceremony('plan', ...NETWORK, ...cards, '--dir', 'b2')
    expectFailure(child, 1, /b2: expected the folder that all of you share, found none; make it/)
  })

  it('takes a passphrase from a file, and never goes on without a lock', async () => {
    writeFileSync(join(here, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 })
    const lock = ['--passphrase-file', 'passphrase']
    expectSuccess(await ceremony('init', 'alice', '--label', 'alice', ...lock))
    expectSuccess(await ceremony('status', 'alice', ...lock))
    expectSuccess(await ceremony('init', 'next', '--label', 'alice', '--keys-of', 'alice', ...lock))
    const cards = ['alice', 'next'].map((folder) =>
      readFileSync(join(here, folder, 'participant.json'), 'utf8'),
    )
    expect(cards[0]).toBe(cards[1])
    expectFailure(
      await ceremony('status', 'alice'),
      2,
      /--passphrase-file: expected it, --key-file or --key-command/,
    )
    expectFailure(await ceremony('status', 'alice', ...LOCK), 1, /MCBN_STORE_INVALID/)
    expectFailure(
      await ceremony('status', 'alice', ...LOCK, ...lock),
      2,
      /expected one of it, --passphrase-file and --key-command/,
    )
  })

  it.each<readonly [string, readonly string[], RegExp]>([
    ['no command', [], /expected one of its commands: init, plan, .*; see mcbn ceremony --help/],
    ['an unknown command', ['comit'], /unknown command 'comit'.*; see mcbn ceremony --help/],
    [
      'no folder',
      ['status'],
      /missing required argument 'folder'; see mcbn ceremony status --help/,
    ],
    [
      'both ways',
      ['package', 'x', '--dir', 'a', '--board', 'b'],
      /--dir: expected it or --board, got both/,
    ],
    ['no way', ['package', 'x'], /--dir: expected it or --board, got neither/],
    [
      'a short plan hash',
      ['commit', '.', ...DIR, '--plan-hash', 'abc', ...LOCK],
      /mcbn ceremony|64 hex/,
    ],
  ])('answers %s with exit code 2 and one line', async (_what, args, why) => {
    expectFailure(await ceremony(...args), 2, why)
  })
})
