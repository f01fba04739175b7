// An audit in segments: only the last is read at the start, and what was altered before it is still found.

import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AuditLog, readAudit, verifyAudit } from '../../../src/consent/audit/log.js'
import { canonicalBytes } from '../../../src/consent/base/canonical.js'
import { generateParticipantKeys, publicKeys } from '../../../src/consent/base/keys.js'

const keys = generateParticipantKeys()
const signedBy = { label: 'alice', ed25519: publicKeys(keys).ed25519 }
/** Lines of a segment. */
const LINES = 8

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcbn-audit-'))
  path = join(folder, 'audit.jsonl')
})
afterEach(() => rmSync(folder, { recursive: true }))

async function opened(privateKey = keys.ed25519, heard: number[] = []): Promise<AuditLog> {
  return await AuditLog.open(path, {
    fsync: false,
    onLine: ({ seq }) => heard.push(seq),
    checkpoints: {
      ...{ label: 'alice', privateKey, lines: LINES },
      carry: () => ({
        lines: [{ role: 'client', instance: 'i-1', releasedAt: 1, expiresAt: 2 }],
        standing: { withdrawn: true },
      }),
    },
  })
}

async function written(count: number): Promise<AuditLog> {
  const log = await opened()
  for (let at = 0; at < count; at += 1) await log.append({ type: 'started', label: `l${at}` })
  return log
}

const files = () => readdirSync(folder).sort()
const at = (first: number) => join(folder, `audit.${String(first).padStart(12, '0')}.jsonl`)

function change(file: string, from: string, to: string): void {
  const before = readFileSync(file, 'utf8')
  expect(before).toContain(from)
  writeFileSync(file, before.replace(from, to))
}

describe('audit/segments, attacked', () => {
  it('finds a line that was altered in a segment that no start reads', async () => {
    await (await written(400)).close()
    change(path, '"label":"l3"', '"label":"l4"')
    const log = await opened()
    const error = { code: 'MCBN_AUDIT_BROKEN', line: 5 }
    await expect(log.verify()).rejects.toMatchObject(error)
    await log.close()
    await expect(verifyAudit(path)).rejects.toMatchObject(error)
    expect(await readAudit(path, { signedBy })).toMatchObject({ lines: 4, broken: error })
  })

  it('refuses to start behind a checkpoint that another key, or nobody, has signed', async () => {
    await (await written(20)).close()
    const last = at(19)
    const before = readFileSync(last)
    const foreign = generateParticipantKeys().ed25519
    const unsigned = { code: 'MCBN_AUDIT_BROKEN', message: expect.stringContaining('checkpoint') }
    await expect(opened(foreign)).rejects.toMatchObject(unsigned)
    const lines = before.toString().split('\n')
    for (const forged of [
      (line: string) => line.replace('"withdrawn":true', '"withdrawn":false'),
      (line: string) => line.replace(/"signature":"./, '"signature":"B'),
      (line: string) => line.replace(/,"signature":"[^"]+"/, ''),
      (line: string) => line.replace('"label":"alice"', '"label":"bob"'),
    ]) {
      // Only the checkpoint, at the end: no later line's hash tells of it.
      const cut = [lines[0], forged(lines[1] ?? ''), ''].join('\n')
      writeFileSync(last, cut)
      await expect(opened()).rejects.toMatchObject(unsigned)
      expect(readFileSync(last, 'utf8')).toBe(cut)
      await expect(verifyAudit(path, { signedBy })).rejects.toMatchObject({
        code: 'MCBN_AUDIT_BROKEN',
      })
    }
    writeFileSync(last, before)
    await (await opened()).close()
  })

  it('refuses a last segment that begins with no checkpoint, and lines carried without one', async () => {
    await (await written(20)).close()
    const last = at(19)
    const [carried = '', checkpoint = '', next = ''] = readFileSync(last, 'utf8').split('\n')
    for (const lines of [[next], [checkpoint, next], [carried], [carried, next]]) {
      writeFileSync(last, lines.map((line) => `${line}\n`).join(''))
      await expect(opened()).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN' })
    }
    // A checkpoint alone would be one that carries nothing, if its hash did not tell of the line before.
    const alone = { ...JSON.parse(checkpoint), prev: '0'.repeat(64) }
    writeFileSync(last, `${canonicalBytes(alone)}\n`)
    await expect(opened()).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN' })
  })

  it('finds a segment that is missing in between, and one whose end was cut off', async () => {
    const log = await written(40)
    await log.close()
    const middle = at(9)
    renameSync(middle, `${middle}.away`)
    await expect(verifyAudit(path)).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN', line: 9 })
    renameSync(`${middle}.away`, middle)
    const size = statSync(middle).size
    truncateSync(middle, size - 10)
    await expect(verifyAudit(path)).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN' })
  })

  it('finds what was altered in the lines that it shows, at any look', async () => {
    const log = await written(20)
    expect(await log.check()).toEqual(log.head)
    change(path, '"label":"l3"', '"label":"l4"')
    await expect(log.check()).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN', line: 5 })
    await log.close()
  })

  it('takes no carried line and no checkpoint from a caller', async () => {
    const log = await written(1)
    for (const type of ['checkpoint', 'carried']) {
      // biome-ignore lint/suspicious/noExplicitAny: what no caller may write
      await expect(log.append({ type, label: 'alice' } as any)).rejects.toMatchObject({
        code: 'MCBN_OPTION_TYPE',
      })
    }
    await log.close()
  })
})

describe('audit/segments', () => {
  it('goes on in a new file, and verifies as one chain', async () => {
    const log = await written(40)
    expect(files().slice(0, 3)).toEqual([
      'audit.000000000009.jsonl',
      'audit.000000000019.jsonl',
      'audit.000000000029.jsonl',
    ])
    expect(await log.verify()).toEqual(log.head)
    // Two lines more for each segment: what is carried, and the checkpoint.
    expect(log.head.lines).toBe(40 + 2 * 4)
    expect(log.recent().map(({ seq }) => seq)).toEqual(Array.from({ length: 48 }, (_, n) => n + 1))
    await log.close()
    expect(await verifyAudit(path)).toEqual(log.head)
    expect(await verifyAudit(path, { signedBy })).toEqual(log.head)
    expect(statSync(at(9)).mode & 0o777).toBe(0o600)
  })

  it('reads the last segment alone when it starts, and remembers the lines before it', async () => {
    const before = await written(43)
    await before.close()
    const heard: number[] = []
    const log = await opened(keys.ed25519, heard)
    expect(log.head).toEqual(before.head)
    expect(heard[0]).toBe(49)
    expect(log.recent()).toEqual(before.recent())
    await log.append({ type: 'stopped' })
    expect(await log.verify()).toEqual(log.head)
    await log.close()
  })

  it('begins where segments were moved elsewhere, if the key vouches for it', async () => {
    const log = await written(40)
    await log.close()
    rmSync(path)
    rmSync(at(9))
    await expect(verifyAudit(path)).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN', line: 1 })
    expect(await readAudit(path, { signedBy, last: 1 })).toMatchObject({ from: 19, ...log.head })
    const again = await opened()
    expect(await again.verify()).toEqual(log.head)
    await again.close()
    const other = { ...signedBy, ed25519: publicKeys(generateParticipantKeys()).ed25519 }
    await expect(verifyAudit(path, { signedBy: other })).rejects.toMatchObject({
      code: 'MCBN_AUDIT_BROKEN',
    })
  })

  it('makes segments of one long file that an earlier build has written', async () => {
    const old = await AuditLog.open(path, { fsync: false })
    for (let n = 0; n < 100; n += 1) await old.append({ type: 'started', label: `l${n}` })
    await old.close()
    const log = await opened()
    await log.append({ type: 'stopped' })
    await log.close()
    expect(files()).toEqual(['audit.000000000101.jsonl', 'audit.jsonl'])
    expect((await verifyAudit(path, { signedBy })).lines).toBe(103)
    const heard: number[] = []
    await (await opened(keys.ed25519, heard)).close()
    expect(heard).toEqual([101, 102, 103])
  })

  it('tells its head after any number of lines, of one segment', async () => {
    const log = await opened()
    const heads = []
    for (let n = 0; n < 30; n += 1) {
      await log.append({ type: 'started', label: `l${n}` })
      heads.push(log.head)
    }
    rmSync(at(9))
    for (const head of heads) {
      const missing = head.lines >= 9 && head.lines < 19
      if (!missing) expect(await log.headAt(head.lines)).toEqual(head)
    }
    expect(await log.headAt(log.head.lines + 1)).toBeUndefined()
    await log.close()
  })

  it('sets a torn last line of a segment aside', async () => {
    await (await written(20)).close()
    appendFileSync(at(19), '{"event":"st')
    const log = await opened()
    expect(log.recent().at(-1)).toMatchObject({ event: 'repaired', bytes: 12 })
    expect(await log.verify()).toEqual(log.head)
    await log.close()
  })

  it('keeps order and hashes of many calls at once over segments', async () => {
    const log = await opened()
    const calls = Array.from({ length: 500 }, (_, n) =>
      log.append({ type: 'started', label: `l${n}` }),
    )
    const labels = (await Promise.all(calls)).map((line) => line['label'])
    expect(labels).toEqual(Array.from({ length: 500 }, (_, n) => `l${n}`))
    expect(await log.verify()).toEqual(log.head)
    await log.close()
  })

  it('goes on in the file that it has while no new one can be made', async () => {
    const log = await written(8)
    // A folder in its place: what a full disk does to a new file, this does to its name.
    mkdirSync(at(9))
    for (let n = 0; n < 4; n += 1) await log.append({ type: 'stopped' })
    rmdirSync(at(9))
    for (let n = 0; n < 20; n += 1) await log.append({ type: 'stopped' })
    expect(files()).toEqual(['audit.000000000017.jsonl', 'audit.000000000027.jsonl', 'audit.jsonl'])
    expect(await log.verify()).toEqual(log.head)
    await log.close()
  })
})
