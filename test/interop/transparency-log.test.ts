// Heads of the audit in a log that only grows (RFC 6962): a server whose Merkle tree is Go's own (sumdb/tlog), which
// also lies in every way that a log can.

import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AuditLog } from '../../src/consent/audit/log.js'
import { generateParticipantKeys, publicKeys } from '../../src/consent/base/keys.js'
import { logHeads } from '../../src/consent/participant/heads/log.js'
import {
  GrowingTree,
  isConsistent,
  isIncluded,
} from '../../src/consent/participant/heads/merkle.js'
import { noteHeads } from '../../src/consent/participant/heads/note.js'
import { TestClock } from '../consent/participant/fixture.js'
import { repositoryRoot } from '../support/paths.js'
import { findProgram } from '../support/peers.js'
import { start } from '../support/process.js'
import { compileGo } from './peers.js'

const GO_SOURCES = '/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog'
const SOURCE = join(repositoryRoot, 'test/interop/transparency-log/main.go')
const keys = generateParticipantKeys()
const others = generateParticipantKeys()

function canRun(): boolean {
  if (existsSync(GO_SOURCES) && findProgram('go') !== undefined) return true
  const message = 'the log: golang-golang-x-mod-dev or golang-go is not installed'
  if (process.env['CI'] === 'true') throw new Error(message)
  console.warn(`\n!!! SKIPPED ${message}; see CONTRIBUTING.md\n`)
  return false
}

describe.runIf(canRun())('interop/transparency log', () => {
  let program: string
  let folder: string
  let server: { readonly url: string; readonly key: string }

  beforeAll(async () => {
    program = await compileGo('transparency-log', [SOURCE])
  }, 180_000)

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mcbn-log-'))
    const child = start(program, [], { foreign: true, lifetime: 60_000 })
    const [line = ''] = await child.output(/^\{.*\}$/m)
    server = JSON.parse(line)
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const behave = async (way: string) => {
    expect((await fetch(`${server.url}/test/${way}`)).status).toBe(200)
  }
  const place = (changes: Partial<Parameters<typeof logHeads>[0]> = {}) =>
    logHeads({
      ...{ url: server.url, publicKey: server.key, stateFile: join(folder, 'state') },
      label: 'alice',
      keys: { privateKey: keys.ed25519, ed25519: publicKeys(keys).ed25519 },
      ...changes,
    })
  const head = (lines: number, text = `${lines}`) => ({
    lines,
    head: createHash('sha256').update(text).digest('hex'),
  })
  const broken = (message: RegExp) =>
    expect.objectContaining({
      code: 'MCBN_AUDIT_BROKEN',
      message: expect.stringMatching(message),
    })
  const unanswered = (message: RegExp) =>
    expect.objectContaining({
      code: 'MCBN_CONNECTION_FAILED',
      message: expect.stringMatching(message),
    })

  it('refuses a store that was put back, also where its memory of the log was put back with it', async () => {
    const path = join(folder, 'audit.jsonl')
    const log = await AuditLog.open(path, { fsync: false })
    await log.append({ type: 'started' })
    const before = readFileSync(path)
    await (await noteHeads(log, place())).close()
    const state = readFileSync(join(folder, 'state'))
    await log.append({ type: 'withdrawn', withdrawnAt: 1 })
    await (await noteHeads(log, place())).close()
    await log.close()
    writeFileSync(path, before)
    const older = await AuditLog.open(path, { fsync: false })
    const refused = broken(/expected at least 2 lines, as the log at .* has noted, got 1/)
    await expect(noteHeads(older, place())).rejects.toEqual(refused)
    writeFileSync(join(folder, 'state'), state)
    await expect(noteHeads(older, place())).rejects.toEqual(refused)
    rmSync(join(folder, 'state'))
    await expect(noteHeads(older, place())).rejects.toEqual(refused)
    await older.append({ type: 'stopped' })
    await expect(noteHeads(older, place())).rejects.toEqual(broken(/line 2: expected the hash/))
    await older.close()
  })

  it('finds its own heads among those of others, and believes no other under its name', async () => {
    const forged = place({
      keys: { privateKey: others.ed25519, ed25519: publicKeys(others).ed25519 },
    })
    const bob = place({ label: 'bob', stateFile: join(folder, 'bob') })
    for (const lines of [1, 2, 3, 4, 5, 6, 7]) {
      await place().note(head(lines))
      await bob.note(head(100 + lines))
      await forged.note(head(1000 + lines))
    }
    for (const data of ['{"data":null}', '{"data":{"v":"mcbn/1","label":"alice","lines":99}}']) {
      await fetch(`${server.url}/ct/v1/add-json`, { method: 'POST', body: data })
    }
    expect(await place().last()).toEqual(head(7))
    expect(await bob.last()).toEqual(head(107))
    // A second reading goes on where the first ended.
    await place().note(head(8))
    expect(await place().last()).toEqual(head(8))
    expect(await place({ stateFile: join(folder, 'fresh') }).last()).toEqual(head(8))
  })

  it('notices two histories that were told as one', async () => {
    await place().note(head(3))
    await place().note(head(3, 'another history'))
    await expect(place().last()).rejects.toEqual(broken(/one head for line 3, got two/))
  })

  it.each([
    ['a tree that ends before what was read', 'back?n=1', broken(/at least 3 entries, got 1/)],
    ['an entry that became another one', 'rewrite?n=0', broken(/entries that give the root/)],
    ['an entry that is hidden', 'hide', broken(/entries that give the root/)],
    ['a tree head of two days ago', 'stale', broken(/a tree head of the last day/)],
    ['a tree head without its signature', 'unsigned', unanswered(/a signature of the log/)],
  ])('refuses, when it starts, %s', async (_, way, error) => {
    for (const lines of [1, 2, 3]) await place().note(head(lines))
    await place().last()
    await place().note(head(4))
    await behave(way)
    await expect(place().last()).rejects.toEqual(error)
  })

  it.each([
    ['a promise under another signature', 'wrong-promise', unanswered(/a signature of the log/)],
    ['a wrong proof', 'wrong-proof', broken(/a proof that an entry is in its tree/)],
    ['a tree that has shrunk', 'back?n=1', broken(/a tree that has grown since/)],
    ['a tree with another past', 'rewrite?n=1', broken(/a tree that has grown since/)],
  ])('refuses, while it notes, %s', async (_, way, error) => {
    const log = place()
    await log.last()
    for (const lines of [1, 2, 3]) await log.note(head(lines))
    await behave(way)
    await expect(log.note(head(4))).rejects.toEqual(error)
  })

  it('waits a day for what was promised, and no longer', async () => {
    const clock = new TestClock(Date.now())
    const log = place({ clock })
    await log.last()
    await behave('drop')
    await log.note(head(1))
    clock.now += 23 * 3_600_000
    await log.note(head(2))
    clock.now += 3_600_000 + 1
    // The server's clock is the machine's: its tree head would be too old as well.
    await expect(log.note(head(3))).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN' })
  })

  it('refuses addresses without TLS, keys of another kind, and files that are something else', async () => {
    for (const url of ['http://log.example/', 'ftp://127.0.0.1/', 'https://a:b@log.example', 'x']) {
      expect(() => place({ url })).toThrow(/--audit-log: expected an https:/)
    }
    expect(() => place({ publicKey: 'x' })).toThrow(/--audit-log-key: expected the log's public/)
    for (const text of ['{}', 'x', '{"size":3,"hashes":[]}', '{"size":0,"hashes":[],"last":"1"}']) {
      writeFileSync(join(folder, 'state'), text)
      await expect(place().last()).rejects.toMatchObject({ name: 'McbnError' })
    }
    const gone = place({ url: 'http://127.0.0.1:1/' })
    rmSync(join(folder, 'state'))
    await expect(gone.last()).rejects.toMatchObject({ code: 'MCBN_CONNECTION_FAILED' })
  })

  it('proves trees of every size up to 70 as the log does, and no other (RFC 9162 section 2.1)', async () => {
    const leaves: Buffer[] = []
    const roots = [new GrowingTree().root]
    const tree = new GrowingTree()
    const ask = async (path: string): Promise<Record<string, unknown>> =>
      (await (await fetch(`${server.url}/ct/v1/${path}`)).json()) as Record<string, unknown>
    const hashes = (value: unknown) =>
      ((value ?? []) as string[]).map((text) => Buffer.from(text, 'base64'))
    for (let at = 0; at < 70; at++) {
      await fetch(`${server.url}/ct/v1/add-json`, { method: 'POST', body: `{"data":${at}}` })
      const { entries } = (await ask(`get-entries?start=${at}&end=${at}`)) as {
        entries: { leaf_input: string }[]
      }
      const bytes = Buffer.concat([
        Buffer.of(0),
        Buffer.from(entries[0]?.leaf_input ?? '', 'base64'),
      ])
      const leaf = createHash('sha256').update(bytes).digest()
      leaves.push(leaf)
      tree.add(leaf)
      roots.push(tree.root)
    }
    let checked = 0
    for (let size = 1; size <= 70; size++) {
      const root = roots[size] as Buffer
      for (const at of new Set([0, size >> 1, size - 1])) {
        const leaf = leaves[at] as Buffer
        const hash = encodeURIComponent(leaf.toString('base64'))
        const proof = await ask(`get-proof-by-hash?hash=${hash}&tree_size=${size}`)
        const path = hashes(proof['audit_path'])
        expect(isIncluded(leaf, at, size, path, root)).toBe(true)
        expect(isIncluded(leaf, at + 1, size, path, root)).toBe(false)
        expect(isIncluded(leaf, at, size, [...path, leaf], root)).toBe(false)
        if (path.length > 0) expect(isIncluded(leaf, at, size, path.slice(1), root)).toBe(false)
        if (size > 1) {
          const other = roots[size - 1] as Buffer
          expect(isIncluded(leaf, at, size, path, other)).toBe(false)
        }
        checked++
      }
      const first = Math.max(1, size - 7)
      const answer = await ask(`get-sth-consistency?first=${first}&second=${size}`)
      const path = first === size ? [] : hashes(answer['consistency'])
      const [old, now] = [
        { size: first, root: roots[first] as Buffer },
        { size, root },
      ]
      expect(isConsistent(old, now, path)).toBe(true)
      expect(isConsistent({ ...old, root: leaves[0] as Buffer }, now, path)).toBe(first === 1)
      expect(isConsistent(old, { size, root: Buffer.alloc(32) }, path)).toBe(false)
      expect(isConsistent(now, { ...old, size: first - 1 }, path)).toBe(false)
      expect(isConsistent(old, now, [...path, root])).toBe(false)
      const again = GrowingTree.of(size, treeOf(leaves.slice(0, size)).hashes)
      expect(again?.root).toEqual(root)
    }
    expect(checked).toBeGreaterThan(200)
  })
})

function treeOf(leaves: readonly Buffer[]): GrowingTree {
  const tree = new GrowingTree()
  for (const leaf of leaves) tree.add(leaf)
  return tree
}
