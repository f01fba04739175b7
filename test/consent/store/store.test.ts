import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { verifyAudit } from '../../../src/consent/audit/log.js'
import {
  exportPrivate,
  generateParticipantKeys,
  publicKeys,
} from '../../../src/consent/base/keys.js'
import { examplePolicy } from '../../../src/consent/policy/example.js'
import { signWithdrawal } from '../../../src/consent/release/sign.js'
import { createStore, openStore, readStore } from '../../../src/consent/store/open.js'
import { alice, keyFile, lock, shareOf, signed } from './fixture.js'
import {
  create,
  decision,
  dir,
  epoch,
  file,
  installed,
  invalid,
  keep,
  parent,
  reopen,
  useFolders,
  verified,
} from './folders.js'

useFolders()

describe('store', () => {
  it('keeps keys first, and share and descriptor once the ceremony gives them', async () => {
    const store = await create()
    expect(store).toMatchObject({ label: 'alice', publicKeys: publicKeys(alice) })
    expect([store.descriptor, store.policy, store.share()]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    await store.installEpoch(epoch(1), lock)
    await store.setPolicy(examplePolicy(verified(1)))
    await store.close()
    const again = await reopen()
    expect(exportPrivate(again.keys)).toEqual(exportPrivate(alice))
    expect(again.share()).toEqual(shareOf('alice', 1))
    expect(again.descriptor?.hashHex).toBe(verified(1).hashHex)
    expect(again.policy).toEqual(examplePolicy(verified(1)))
    expect(again.audit.recent().map(({ event }) => event)).toEqual([
      'created',
      'epoch-installed',
      'policy-replaced',
    ])
    expect((await verifyAudit(file('audit.jsonl'))).lines).toBe(3)
  })

  it('is closed to others: folder 0700, files 0600, and no secret in the open', async () => {
    const store = await installed()
    await store.setPolicy(examplePolicy(verified(1)))
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    const names = readdirSync(dir)
    expect(names.sort()).toEqual([
      'audit.jsonl',
      'descriptor.json',
      'lock',
      'participant.json',
      'policy.json',
      'secrets.json',
      'state.json',
    ])
    const { ed25519, x25519 } = exportPrivate(alice)
    const secrets = [ed25519, x25519, shareOf('alice', 1), keyFile]
    for (const name of names) {
      expect(statSync(file(name)).mode & 0o777, name).toBe(0o600)
      const content = readFileSync(file(name))
      for (const secret of secrets) {
        for (const form of [secret, secret.toString('hex'), secret.toString('base64url')]) {
          expect(content.includes(form), name).toBe(false)
        }
      }
    }
    const shown = inspect(store, { depth: 9, showHidden: true }) + JSON.stringify(store)
    for (const secret of secrets) {
      expect(shown).not.toContain(secret.toString('hex'))
      expect(shown).not.toContain(secret.toString('base64url'))
      expect(shown).not.toContain(secret.toString('latin1'))
    }
  })

  it('can be read without its secrets while it is open', async () => {
    await installed()
    expect(await readStore(dir)).toMatchObject({
      label: 'alice',
      publicKeys: publicKeys(alice),
      descriptor: { hashHex: verified(1).hashHex },
      policy: undefined,
      auditPath: file('audit.jsonl'),
      state: { decisions: [] },
    })
  })

  it('opens with a passphrase, and with another once that was changed', async () => {
    const first = { passphrase: 'first passphrase' }
    const second = { passphrase: 'second passphrase' }
    const store = keep(await createStore(dir, first, { label: 'alice' }))
    await expect(store.changeLock(second, second)).rejects.toMatchObject(invalid('passphrase'))
    await store.changeLock(first, second)
    await store.close()
    await expect(openStore(dir, first)).rejects.toMatchObject(invalid('passphrase'))
    keep(await openStore(dir, second))
  })

  it('gives copies of the share, and none once it is closed', async () => {
    const store = await installed()
    store.share()?.fill(0)
    expect(store.share()).toEqual(shareOf('alice', 1))
    await store.close()
    expect(store.share()).toBeUndefined()
    await expect(store.setPolicy({})).rejects.toMatchObject({ code: 'MCBN_SOCKET_CLOSED' })
  })
})

describe('store/policy', () => {
  it("keeps a person's text as it is, and the old one when the new is wrong", async () => {
    const store = await installed()
    const text = JSON.stringify(examplePolicy(verified(1)), undefined, 7)
    await store.setPolicy(text)
    expect(readFileSync(file('policy.json'), 'utf8')).toBe(text)
    const other = { ...examplePolicy(verified(1)), network: 'other' }
    await expect(store.setPolicy(other)).rejects.toMatchObject({ code: 'MCBN_POLICY_INVALID' })
    await expect(store.setPolicy('{')).rejects.toMatchObject({ code: 'MCBN_POLICY_INVALID' })
    expect(readFileSync(file('policy.json'), 'utf8')).toBe(text)
  })

  it('says what is wrong with one that was edited by hand', async () => {
    const store = await installed()
    await store.close()
    writeFileSync(file('policy.json'), '{"version":"mcbn/1"}', { mode: 0o600 })
    await expect(openStore(dir, lock)).rejects.toMatchObject({
      code: 'MCBN_POLICY_INVALID',
      message: expect.stringMatching(
        /^\/.*policy\.json: network: expected the network's name.*, got none$/,
      ),
    })
  })
})

describe('store/state', () => {
  it('keeps approvals and a withdrawal over a restart', async () => {
    const store = await installed()
    const dh = verified(1).hash.toString('base64url')
    const withdrawal = signWithdrawal({ label: 'alice', dh, withdrawnAt: 9 }, alice.ed25519)
    await store.state.save({ decisions: [decision] })
    await store.state.save({ decisions: [decision], withdrawal })
    await store.audit.append({ type: 'withdrawn', withdrawnAt: 9 })
    await store.close()
    const again = await reopen()
    expect(again.state.current).toMatchObject({ decisions: [decision], withdrawal })
    await again.installEpoch(epoch(2), lock)
    expect(again.state.current).toEqual({ descriptorHash: verified(2).hashHex, decisions: [] })
    await again.close()
    await reopen()
  })

  it('does not take a withdrawal back by an old or missing file', async () => {
    const store = await installed()
    copyFileSync(file('state.json'), join(parent, 'old'))
    const dh = verified(1).hash.toString('base64url')
    const withdrawal = signWithdrawal({ label: 'alice', dh, withdrawnAt: 9 }, alice.ed25519)
    await store.state.save({ decisions: [], withdrawal })
    await store.audit.append({ type: 'withdrawn', withdrawnAt: 9 })
    await store.close()
    copyFileSync(join(parent, 'old'), file('state.json'))
    await expect(openStore(dir, lock)).rejects.toMatchObject(invalid('the audit tells of'))
    rmSync(file('state.json'))
    await expect(openStore(dir, lock)).rejects.toMatchObject(invalid('state, got none'))
  })

  it("refuses somebody else's withdrawal, and what it could not read again", async () => {
    const store = await installed()
    const dh = verified(1).hash.toString('base64url')
    const forged = signWithdrawal(
      { label: 'alice', dh, withdrawnAt: 9 },
      generateParticipantKeys().ed25519,
    )
    await expect(store.state.save({ decisions: [], withdrawal: forged })).rejects.toMatchObject(
      invalid('signature'),
    )
    const long = { ...decision, instance: 'x'.repeat(5000) }
    await expect(store.state.save({ decisions: [long] })).rejects.toMatchObject(
      invalid('decisions[0].instance'),
    )
    expect(store.state.current.decisions).toEqual([])
  })

  it('finds the shares that are still out in the audit', async () => {
    const store = await installed()
    const now = Date.now()
    const lease = {
      releaseId: 'r',
      role: 'client',
      issuer: 'i',
      instance: '42',
      imageDigest: 'd',
      project: 'p',
      releasedAt: now,
      expiresAt: now + 60_000,
      renewals: 0,
    } as const
    await store.audit.append({ type: 'released', kind: 'k', ...lease })
    await store.audit.append({ type: 'released', ...lease, instance: '43', expiresAt: now - 1 })
    await store.audit.append({ type: 'renewed', ...lease, releaseId: 's', renewals: 1 })
    await store.close()
    const again = await reopen()
    expect(again.leases).toEqual([{ ...lease, releaseId: 's', renewals: 1 }])
    await again.installEpoch(epoch(2), lock)
    await again.close()
    expect((await reopen()).leases).toEqual([])
  })
})

describe('store/epoch', () => {
  it('replaces share, descriptor and decisions, and the old share is on no file', async () => {
    const store = await installed()
    await store.state.save({ decisions: [decision] })
    const before = readFileSync(file('secrets.json'))
    const policy = examplePolicy(verified(2))
    await store.installEpoch({ ...epoch(2), policy }, lock)
    expect(store.share()).toEqual(shareOf('alice', 2))
    expect(store.policy).toEqual(policy)
    expect(store.state.current.decisions).toEqual([])
    expect(readFileSync(file('secrets.json')).equals(before)).toBe(false)
    expect(readdirSync(dir)).not.toContain('descriptor.next.json')
  })

  it('overwrites what the file of secrets held, as far as a hard link can tell', async () => {
    const store = await installed()
    const before = readFileSync(file('secrets.json'))
    const { linkSync } = await import('node:fs')
    linkSync(file('secrets.json'), join(parent, 'inode'))
    await store.installEpoch(epoch(2), lock)
    const after = readFileSync(join(parent, 'inode'))
    expect(after).toHaveLength(before.length)
    expect(after.includes(before.subarray(0, 20))).toBe(false)
  })

  it('goes to later epochs of the same network only, with its own keys, share and lock', async () => {
    const store = await installed()
    const wrong: [object, string, string][] = [
      [epoch(0), 'MCBN_STORE_INVALID', 'epoch'],
      [{ ...epoch(2), share: shareOf('bob', 2) }, 'MCBN_SHARE_INVALID', 'alice'],
      [{ ...epoch(2), share: shareOf('alice', 1) }, 'MCBN_SHARE_INVALID', 'alice'],
      [{ ...epoch(2), descriptor: signed(2, { network: 'n2' }) }, 'MCBN_STORE_INVALID', 'network'],
      [
        { ...epoch(2), descriptor: signed(2, { keys: generateParticipantKeys() }) },
        'MCBN_STORE_INVALID',
        'keys of this store',
      ],
      [
        { ...epoch(2), descriptor: { ...signed(2), signatures: {} } },
        'MCBN_DESCRIPTOR_INVALID',
        'alice',
      ],
      [
        { ...epoch(2), policy: examplePolicy(verified(1)) },
        'MCBN_POLICY_INVALID',
        'descriptorHash',
      ],
    ]
    for (const [next, code, text] of wrong) {
      await expect(store.installEpoch(next as never, lock)).rejects.toMatchObject({
        code,
        message: expect.stringContaining(text),
      })
    }
    const other = { keyFile: Buffer.from(keyFile).reverse() }
    await expect(store.installEpoch(epoch(2), other)).rejects.toMatchObject(invalid('key file'))
    expect(store.share()).toEqual(shareOf('alice', 1))
    await store.close()
    expect((await reopen()).descriptor?.descriptor.epoch).toBe(1)
  })

  it('is at the old or at the new epoch wherever a crash interrupts', async () => {
    const store = await installed()
    const copy = (name: string) => readFileSync(file(name))
    const old = { secrets: copy('secrets.json'), state: copy('state.json') }
    const oldDescriptor = copy('descriptor.json')
    await store.installEpoch(epoch(2), lock)
    const next = { secrets: copy('secrets.json'), descriptor: copy('descriptor.json') }
    await store.close()
    // After the descriptor, before the secrets: the old epoch.
    writeFileSync(file('secrets.json'), old.secrets)
    writeFileSync(file('state.json'), old.state)
    writeFileSync(file('descriptor.json'), oldDescriptor)
    writeFileSync(file('descriptor.next.json'), next.descriptor, { mode: 0o600 })
    const first = await reopen()
    expect([first.descriptor?.descriptor.epoch, first.share()]).toEqual([1, shareOf('alice', 1)])
    expect(readdirSync(dir)).not.toContain('descriptor.next.json')
    await first.close()
    // After the secrets: the new one, with an empty state and a line in the audit.
    writeFileSync(file('secrets.json'), next.secrets)
    writeFileSync(file('descriptor.next.json'), next.descriptor, { mode: 0o600 })
    const second = await reopen()
    expect([second.descriptor?.descriptor.epoch, second.share()]).toEqual([2, shareOf('alice', 2)])
    expect(second.audit.recent().at(-1)).toMatchObject({ event: 'epoch-installed', epoch: 2 })
    expect(readdirSync(dir)).not.toContain('descriptor.next.json')
  })
})

describe('store/files refuses', () => {
  it('a folder that others may enter', async () => {
    await (await create()).close()
    chmodSync(dir, 0o750)
    await expect(openStore(dir, lock)).rejects.toMatchObject(
      invalid('expected mode 0700, since it holds secrets, got 0750; run chmod 700'),
    )
    await expect(readStore(dir)).rejects.toMatchObject(invalid('0700'))
  })

  it('secrets that others may read, and other files that they may write', async () => {
    await (await create()).close()
    chmodSync(file('secrets.json'), 0o640)
    await expect(openStore(dir, lock)).rejects.toMatchObject(invalid('only its owner can read'))
    chmodSync(file('secrets.json'), 0o600)
    chmodSync(file('state.json'), 0o644)
    await (await reopen()).close()
    chmodSync(file('state.json'), 0o664)
    await expect(openStore(dir, lock)).rejects.toMatchObject(invalid('only its owner can write'))
  })

  it('a symbolic link, a missing folder, an empty one, a file', async () => {
    await (await create()).close()
    renameSync(file('secrets.json'), join(parent, 'elsewhere'))
    symlinkSync(join(parent, 'elsewhere'), file('secrets.json'))
    await expect(openStore(dir, lock)).rejects.toMatchObject(invalid('ELOOP'))
    await expect(openStore(join(parent, 'none'), lock)).rejects.toMatchObject(invalid('ENOENT'))
    mkdirSync(join(parent, 'empty'), { mode: 0o700 })
    await expect(openStore(join(parent, 'empty'), lock)).rejects.toMatchObject(
      invalid("expected a participant's folder, got none"),
    )
    await expect(openStore(join(parent, 'elsewhere'), lock)).rejects.toMatchObject(
      invalid('a folder'),
    )
  })

  it('to be made where something is already', async () => {
    await create()
    await expect(createStore(dir, lock, { label: 'alice' })).rejects.toMatchObject(invalid('empty'))
    await expect(
      createStore(join(parent, 'x'), lock, { label: 'Not a label' }),
    ).rejects.toMatchObject(invalid('label'))
    await expect(
      createStore(join(parent, 'y'), { passphrase: 'short' }, { label: 'alice' }),
    ).rejects.toMatchObject({ code: 'MCBN_OPTION_RANGE' })
  })

  it('secrets beside another participant.json, descriptor or share', async () => {
    await (await installed()).close()
    const participant = readFileSync(file('participant.json'), 'utf8')
    writeFileSync(file('participant.json'), participant.replace('"alice"', '"bob"'))
    await expect(openStore(dir, lock)).rejects.toMatchObject(invalid('one of them differs'))
    writeFileSync(file('participant.json'), participant)
    writeFileSync(file('descriptor.json'), JSON.stringify(signed(2)))
    await expect(openStore(dir, lock)).rejects.toMatchObject(invalid('descriptor.json'))
    rmSync(file('descriptor.json'))
    await expect(openStore(dir, lock)).rejects.toMatchObject(invalid('descriptor.json'))
    writeFileSync(file('descriptor.json'), JSON.stringify(signed(1)), { mode: 0o600 })
    await (await reopen()).close()
    writeFileSync(file('audit.jsonl'), '{}\n')
    await expect(openStore(dir, lock)).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN', line: 1 })
  })

  it('nothing that a crash left of a file half written', async () => {
    await (await create()).close()
    writeFileSync(file('.state.json.0123456789abcdef.tmp'), '{')
    await reopen()
    expect(readdirSync(dir).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })
})
