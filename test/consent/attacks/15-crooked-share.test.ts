// A share that is not what a share is: degenerate, short, long, somebody else's, in upper case, with a line
// end behind it. It is refused wherever it could come in, in a sentence that names the participant, since the
// person who reads it has to know whom to ask; and the sentence holds nothing of the share.

import { randomBytes } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import { inspect } from 'node:util'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { installCommand } from '../../../src/cli/consent/participant-init.js'
import { deriveCommand } from '../../../src/cli/derive.js'
import { generateParticipantKeys, publicKeys } from '../../../src/consent/base/keys.js'
import { sealShare } from '../../../src/consent/release/seal.js'
import { shareCommitment } from '../../../src/consent/shares/commitment.js'
import { deriveNetworkKeys } from '../../../src/consent/shares/keys.js'
import { createStore } from '../../../src/consent/store/open.js'
import { join } from '../../../src/consent/workload/index.js'
import type { McbnError } from '../../../src/errors.js'
import { derivePsk } from '../../../src/psk/derive.js'
import { temporaryFolder } from '../../support/paths.js'
import {
  cheat,
  everybody,
  failures,
  one,
  packageOf,
  swapping,
  table,
} from '../ceremony/rehearsal.js'
import { need, testNetwork } from '../network.js'
import { policyOf, setup } from '../participant/fixture.js'
import { rejection } from '../workload/connections.js'
import { frankBefore, type Json } from '../workload/proxy.js'
import { consentRig } from '../workload/rig.js'
import { turnTraitor } from '../workload/traitor.js'

const network = testNetwork({ labels: ['alice', 'bob'] })
const alices = need(network.shares, 'alice')
const bobs = need(network.shares, 'bob')

/** In bytes; for bob. */
const CROOKED: readonly (readonly [string, Uint8Array])[] = [
  ['degenerate, zeros', Buffer.alloc(32)],
  ['degenerate, equal bytes', Buffer.alloc(32, 0x5a)],
  ['short', bobs.subarray(0, 31)],
  ['long', Buffer.concat([bobs, Buffer.of(7)])],
  ['empty', Buffer.alloc(0)],
  ["a duplicate of another's", alices],
  ['of somebody else', randomBytes(32)],
]
/** As text, where text is taken. */
const CROOKED_TEXT: readonly (readonly [string, string])[] = [
  ...CROOKED.slice(0, 6).map(
    ([what, share]) => [what, Buffer.from(share).toString('hex')] as const,
  ),
  ['upper case', bobs.toString('hex').toUpperCase()],
  ['a line end behind it', `${bobs.toString('hex')}\n`],
  ['white space before it', ` ${bobs.toString('hex')}`],
  ['a 0x prefix', `0x${bobs.toString('hex')}`],
  ['not hex at all', 'g'.repeat(64)],
]

/** Expects MCBN_SHARE_INVALID that names bob, without a piece of any share. */
function expectNamed(error: unknown, what: string): void {
  expect(error, what).toMatchObject({ code: 'MCBN_SHARE_INVALID', participant: 'bob' })
  expect((error as McbnError).message, what).toContain('bob')
  expectNoShare(inspect(error, { depth: 9, showHidden: true }), what)
}

function expectNoShare(text: string, what: string): void {
  const lower = text.toLowerCase()
  for (const share of [alices, bobs]) {
    for (let at = 0; at + 4 <= share.length; at += 4) {
      expect(lower.includes(share.subarray(at, at + 4).toString('hex')), what).toBe(false)
    }
  }
}

function thrownBy(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error('expected a refusal')
}

describe('attack 15: a crooked share', () => {
  it('does not get into a participant', () => {
    const good = setup({ network, label: 'bob', policy: policyOf({}, {}, network) })
    expect(good.participant.label).toBe('bob')
    for (const [what, share] of CROOKED) {
      const make = () => setup({ network, label: 'bob', policy: policyOf({}, {}, network), share })
      expectNamed(thrownBy(make), what)
    }
  })

  it("does not get into a participant's store, which stays as it was", async () => {
    const keyFile = randomBytes(32)
    const dir = joinPath(temporaryFolder(), 'bob')
    const keys = need(network.keys, 'bob')
    const store = await createStore(dir, { keyFile }, { label: 'bob', keys, fsync: false })
    for (const [what, share] of CROOKED) {
      const epoch = { descriptor: network.signed, share }
      expectNamed(await rejection(store.installEpoch(epoch, { keyFile })), what)
      expect([store.descriptor, store.share()], what).toEqual([undefined, undefined])
    }
    await store.installEpoch({ descriptor: network.signed, share: bobs }, { keyFile })
    expect(store.share()).toEqual(bobs)
    await store.close()
  })

  it('is degenerate also where everybody has signed the commitment to it', async () => {
    const equal = Buffer.alloc(32, 0x5a)
    const shares = new Map([
      ['alice', alices],
      ['bob', equal],
    ])
    const theirs = testNetwork({ labels: ['alice', 'bob'], shares })
    const policy = policyOf({}, {}, theirs)
    const degenerate = { participant: 'bob', problem: 'degenerate' }
    expect(thrownBy(() => setup({ network: theirs, label: 'bob', policy }))).toMatchObject(
      degenerate,
    )
    expect(thrownBy(() => deriveNetworkKeys(theirs.verified, shares))).toMatchObject(degenerate)
    const keyFile = randomBytes(32)
    const dir = joinPath(temporaryFolder(), 'bob')
    const keys = need(theirs.keys, 'bob')
    const store = await createStore(dir, { keyFile }, { label: 'bob', keys, fsync: false })
    const installing = store.installEpoch({ descriptor: theirs.signed, share: equal }, { keyFile })
    expect(await rejection(installing)).toMatchObject(degenerate)
    await store.close()
  })

  it('does not leave sealed: a share of another length is refused before', async () => {
    const header = {
      releaseId: 'AAAAAAAAAAAAAAAAAAAAAA',
      epoch: 1,
      issuedAt: 1,
      notAfter: 2,
      leaseSeconds: 1,
    }
    const round = { dh: randomBytes(32), role: 'client', label: 'bob', c: randomBytes(32) } as const
    const pk = publicKeys(generateParticipantKeys()).x25519
    for (const [what, share] of CROOKED.filter(([, bytes]) => bytes.length !== 32)) {
      const sealing = sealShare({ ...round, share, pk, token: 'a.b.c', header })
      expectNamed(await rejection(sealing), what)
    }
  })

  it('does not come out of a release: the workload names who signed it', async () => {
    for (const [what, share] of CROOKED.filter(([, bytes]) => bytes.length === 32)) {
      const rig = await consentRig({ network })
      const frank = await frankBefore(`${rig.urls['bob']}`)
      turnTraitor(frank, network, 'bob', { share })
      const options = rig.options('client', { participants: { ...rig.urls, bob: frank.url } })
      expectNamed(await rejection(join(options)), what)
    }
  })

  it('does not come out of a release of another size, which is no release at all', async () => {
    const rig = await consentRig({ network })
    const frank = await frankBefore(`${rig.urls['bob']}`)
    let length = 0
    frank.onAnswer = (path, answer: Json) =>
      path === '/v1/evidence'
        ? { ...answer, ciphertext: randomBytes(length).toString('base64url') }
        : answer
    for (length of [0, 16, 47, 49, 80]) {
      const heard: string[] = []
      const enough = new AbortController()
      const joining = join(
        rig.options('client', {
          participants: { ...rig.urls, bob: frank.url },
          signal: enough.signal,
          onProgress: ({ label, state, message }) => {
            if (label !== 'bob' || state !== 'silent') return
            heard.push(`${message}`)
            enough.abort(new Error('heard'))
          },
        }),
      )
      await rejection<Error>(joining)
      // Nobody is blamed: Frank could have cut it.
      expect(heard[0]).toMatch(/^release\.ciphertext: expected base64url of 48 bytes/)
    }
  })

  it('does not get into a derivation, of the network or by derivePsk', () => {
    const options = {
      descriptorHash: network.verified.hash,
      network: network.descriptor.network,
      epoch: 1,
      protocol: 'tls13',
    } as const
    for (const [what, share] of CROOKED) {
      const shares = new Map([
        ['alice', alices],
        ['bob', share],
      ])
      expectNamed(
        thrownBy(() => deriveNetworkKeys(network.verified, shares)),
        what,
      )
      // derivePsk knows no commitment: that a random share is another one, only the descriptor can tell.
      if (what === 'of somebody else') continue
      expectNamed(
        thrownBy(() => derivePsk(shares, options)),
        what,
      )
    }
    for (const [what, share] of CROOKED_TEXT) {
      const shares = { alice: alices.toString('hex'), bob: share }
      expectNamed(
        thrownBy(() => derivePsk(shares, options)),
        what,
      )
    }
  })
})

describe('attack 15: a crooked share in a ceremony', () => {
  const at = table('n-of-n', 2)

  it.each([
    ['short', randomBytes(31).toString('base64url')],
    ['long', randomBytes(33).toString('base64url')],
    ['empty', ''],
    ['with a line end behind it', `${randomBytes(32).toString('base64url')}\n`],
    ['in hex', randomBytes(32).toString('hex')],
  ])('names who commits to something %s', async (_what, commitment) => {
    const swapped = swapping(packageOf(at, 'bob', { commitment }))
    const thrown = await failures(everybody(at), ['alice'], swapped)
    expect(thrown.get('alice')).toEqual(cheat('bob', /^bob: signed a malformed package/))
  })

  it("names who has another's commitment, and so another's share", async () => {
    const all = everybody(at)
    const { secret } = one(all, 'alice')
    if (secret.kind !== 'share') throw new Error('expected a share')
    const { network, epoch } = at.plan.document
    // Known before the packages are open: alice and bob work together.
    const same = shareCommitment({ network, epoch, label: 'alice', share: secret.share })
    const body = { commitment: same.toString('base64url') }
    const thrown = await failures(all, ['alice'], swapping(packageOf(at, 'bob', body)))
    expect(thrown.get('alice')).toEqual(cheat('bob', /has the share commitment of alice/))
  })

  it('has no way in for a degenerate one: everybody makes their own, at random', () => {
    const shares = Array.from({ length: 20 }, () => {
      const { secret } = one(everybody(at), 'bob')
      return secret.kind === 'share' ? secret.share.toString('hex') : ''
    })
    expect(new Set(shares).size).toBe(20)
    for (const share of shares) expect(share).toMatch(/^(?!(..)\1{31}$)[0-9a-f]{64}$/)
  })
})

describe('attack 15: a crooked share on the command line', () => {
  const about = ['--descriptor-hash', network.verified.hashHex, '--network', 'n', '--epoch', '1']

  const CASES = [
    ['degenerate', '5a'.repeat(32)],
    ['short', bobs.toString('hex').slice(2)],
    ['duplicate', alices.toString('hex')],
    ['upper case', bobs.toString('hex').toUpperCase()],
    // One line end is the editor's; a second one is not the share that was made.
    ['two line ends behind it', `${bobs.toString('hex')}\n\n`],
  ] as const

  function filesOf(share: string) {
    const folder = temporaryFolder()
    const file = (name: string, text: string) => {
      writeFileSync(joinPath(folder, name), text, { mode: 0o600 })
      return joinPath(folder, name)
    }
    return {
      folder,
      file,
      alice: file('alice.hex', alices.toString('hex')),
      bob: file('bob.hex', share),
    }
  }

  /** Runs a command in this process. @returns what it throws; it prints nothing. */
  async function refusedBy(command: Command, args: readonly string[]): Promise<McbnError> {
    let out = ''
    const output = { writeOut: (text: string) => (out += text), writeErr: () => {} }
    const running = command.exitOverride().configureOutput(output)
    const error = await rejection(running.parseAsync(args, { from: 'user' }))
    expect(out).toBe('')
    return error
  }

  it.each(CASES)('is refused by mcbn derive, which names whose it is: %s', async (what, share) => {
    const { alice, bob } = filesOf(share)
    const files = ['--share-file', `alice=${alice}`, '--share-file', `bob=${bob}`]
    const args = [...about, '--protocol', 'kcv', ...files]
    expectNamed(await refusedBy(deriveCommand(), args), what)
  })

  it.each(CASES)('is refused by mcbn participant install, likewise: %s', async (what, share) => {
    const { folder, file, bob } = filesOf(share)
    const keyFile = randomBytes(32)
    const dir = joinPath(folder, 'bob')
    const keys = need(network.keys, 'bob')
    await (await createStore(dir, { keyFile }, { label: 'bob', keys, fsync: false })).close()
    writeFileSync(joinPath(folder, 'key'), keyFile, { mode: 0o600 })
    const descriptor = file('descriptor.json', JSON.stringify(network.signed))
    const store = ['--dir', dir, '--key-file', joinPath(folder, 'key')]
    const args = [...store, '--descriptor', descriptor, '--share-file', bob]
    expectNamed(await refusedBy(installCommand(), args), what)
    expect(existsSync(joinPath(dir, 'descriptor.json'))).toBe(false)
  })
})
