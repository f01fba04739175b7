import { createHash } from 'node:crypto'
import {
  appendFileSync,
  createReadStream,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type AuditEntry,
  AuditLog,
  readAudit,
  verifyAudit,
} from '../../../src/consent/audit/log.js'
import { canonicalBytes } from '../../../src/consent/base/canonical.js'
import { systemClock } from '../../../src/consent/base/clock.js'
import type { ParticipantAudit } from '../../../src/consent/participant/options.js'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcbn-audit-'))
  path = join(folder, 'audit.jsonl')
})
afterEach(() => rmSync(folder, { recursive: true }))

const released: AuditEntry = { type: 'released', releaseId: 'r1', role: 'client', expiresAt: 7 }
const clock = { ...systemClock, wall: () => Date.UTC(2027, 2, 5, 12) }

async function written(count: number): Promise<AuditLog> {
  const log = await AuditLog.open(path, { clock, fsync: false })
  for (let at = 0; at < count; at += 1) await log.append({ ...released, releaseId: `r${at}` })
  return log
}

const lines = () => readFileSync(path, 'utf8').trimEnd().split('\n')
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

describe('audit', () => {
  it('writes canonical JSON lines, each with the hash of the line before', async () => {
    const log = await written(3)
    expect(lines()[0]).toBe(
      `{"event":"released","expiresAt":7,"prev":"${'0'.repeat(64)}","releaseId":"r0","role":"client","seq":1,"time":"2027-03-05T12:00:00.000Z"}`,
    )
    for (const [at, line] of lines().entries()) {
      expect(canonicalBytes(JSON.parse(line)).toString()).toBe(line)
      if (at > 0) expect(JSON.parse(line)).toMatchObject({ prev: sha256(lines()[at - 1] ?? '') })
    }
    expect(log.head).toEqual({ lines: 3, head: sha256(lines()[2] ?? '') })
    expect(await log.verify()).toEqual(log.head)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    await log.close()
  })

  it('is what a participant takes', async () => {
    const audit: ParticipantAudit = AuditLog.inMemory()
    await audit.append({ type: 'stopped' })
  })

  it('keeps the order of a thousand calls at once, with fsync', async () => {
    const log = await AuditLog.open(path)
    const appended = Array.from({ length: 1000 }, (_, at) =>
      log.append({ ...released, releaseId: `r${at}` }),
    )
    for (const [at, line] of (await Promise.all(appended)).entries()) {
      expect(line).toMatchObject({ seq: at + 1, releaseId: `r${at}` })
    }
    expect((await verifyAudit(path)).lines).toBe(1000)
    expect(log.recent(2).map(({ seq }) => seq)).toEqual([999, 1000])
    await log.close()
  })

  it('goes on with the chain after a restart', async () => {
    await (await written(2)).close()
    const log = await AuditLog.open(path)
    expect(log.recent()).toHaveLength(2)
    expect(await log.append({ type: 'started', label: 'alice' })).toMatchObject({ seq: 3 })
    await log.close()
    expect((await verifyAudit(path)).lines).toBe(3)
    await expect(log.append(released)).rejects.toMatchObject({ code: 'MCBN_SOCKET_CLOSED' })
  })

  it('verifies a stream as it does a path', async () => {
    const log = await written(2000)
    await log.close()
    expect(await verifyAudit(createReadStream(path, { highWaterMark: 37 }))).toEqual(log.head)
    expect(await verifyAudit([])).toEqual({ lines: 0, head: '0'.repeat(64) })
    const missing = { code: 'MCBN_AUDIT_BROKEN', message: 'audit: cannot be read: ENOENT' }
    await expect(verifyAudit(join(folder, 'none'))).rejects.toMatchObject(missing)
  })

  it('keeps the last 10,000 lines in memory, verifiable from where they begin', async () => {
    const log = AuditLog.inMemory({ clock })
    for (let at = 0; at < 10_100; at += 1) await log.append(released)
    expect(await log.verify()).toEqual(log.head)
    expect(log.head.lines).toBe(10_100)
    expect(log.recent()).toHaveLength(256)
  })
})

describe('audit/verify names the line', () => {
  const damage: [string, (all: string[]) => string[], number][] = [
    [
      'altered',
      (all) => all.map((line, at) => (at === 2 ? line.replace('client', 'server') : line)),
      4,
    ],
    ['altered at the end', (all) => [...all.slice(0, -1), 'x'], 5],
    ['removed', (all) => all.filter((_, at) => at !== 1), 2],
    ['removed at the beginning', (all) => all.slice(1), 1],
    ['inserted', (all) => [...all.slice(0, 2), all[1] ?? '', ...all.slice(2)], 3],
    ['swapped', ([a = '', b = '', ...rest]) => [b, a, ...rest], 1],
    [
      'written with spaces',
      (all) => all.map((line, at) => (at === 3 ? line.replace(':', ': ') : line)),
      4,
    ],
    ['with a field twice', (all) => all.map((line) => line.replace('{', '{"event":"x",')), 1],
    ['an empty one', (all) => ['', ...all], 1],
    ['longer than any', (all) => [...all, 'x'.repeat(70_000)], 6],
  ]
  it.each(damage)('%s', async (_name, change, line) => {
    await (await written(5)).close()
    const damaged = `${change(lines()).join('\n')}\n`
    expect(damaged).not.toBe(readFileSync(path, 'utf8'))
    writeFileSync(path, damaged)
    const error = {
      code: 'MCBN_AUDIT_BROKEN',
      line,
      message: expect.stringContaining(`line ${line}:`),
    }
    await expect(verifyAudit(path)).rejects.toMatchObject(error)
    // Nor is it written on, or changed in any way.
    await expect(AuditLog.open(path)).rejects.toMatchObject(error)
    expect(readFileSync(path, 'utf8')).toBe(damaged)
    const reading = await readAudit(path)
    expect(reading).toMatchObject({ lines: line - 1, broken: error })
    expect(reading.last).toHaveLength(line - 1)
  })

  it('with a gap in its numbers, though somebody has made the hashes fit', async () => {
    const line = (seq: number, prev: string) =>
      canonicalBytes({ event: 'stopped', prev, seq, time: 't' }).toString()
    const first = line(1, '0'.repeat(64))
    writeFileSync(path, `${first}\n${line(3, sha256(first))}\n`)
    await expect(verifyAudit(path)).rejects.toMatchObject({ line: 2 })
    writeFileSync(path, `${first}\n${line(2, sha256(first))}\n`)
    expect((await verifyAudit(path)).lines).toBe(2)
  })

  it('where its end was cut off, given a head noted earlier', async () => {
    const log = await written(5)
    await log.close()
    const noted = log.head
    writeFileSync(path, `${lines().slice(0, 3).join('\n')}\n`)
    expect((await verifyAudit(path)).lines).toBe(3)
    await expect(verifyAudit(path, { noted })).rejects.toMatchObject({ line: 4 })
    // Written anew from there, the chain holds in itself.
    const other = await AuditLog.open(path)
    for (let at = 0; at < 4; at += 1) await other.append(released)
    await other.close()
    expect((await verifyAudit(path)).lines).toBe(7)
    await expect(verifyAudit(path, { noted })).rejects.toMatchObject({
      line: 5,
      message: expect.stringContaining('noted earlier'),
    })
  })
})

describe('audit after a crash', () => {
  it('sets a torn last line aside, says so in the next line, and goes on', async () => {
    await (await written(3)).close()
    const torn = lines()[2] ?? ''
    truncateSync(path, statSync(path).size - 20)
    await expect(verifyAudit(path)).rejects.toMatchObject({ line: 3 })
    const log = await AuditLog.open(path)
    expect(log.recent().at(-1)).toMatchObject({
      seq: 3,
      event: 'repaired',
      file: 'audit.jsonl.torn-3',
      bytes: torn.length - 19,
    })
    await log.close()
    expect(readFileSync(`${path}.torn-3`, 'utf8')).toBe(torn.slice(0, -19))
    expect((await verifyAudit(path)).lines).toBe(3)
  })

  it('does not overwrite what it set aside before', async () => {
    for (const piece of ['{"a', '{"b']) {
      await (await written(0)).close()
      truncateSync(path, 0)
      appendFileSync(path, piece)
      await (await AuditLog.open(path)).close()
    }
    expect(readdirSync(folder).sort()).toEqual([
      'audit.jsonl',
      'audit.jsonl.torn-1',
      'audit.jsonl.torn-1-1',
    ])
    expect(readFileSync(`${path}.torn-1`, 'utf8')).toBe('{"a')
  })

  it('notices somebody else who writes to the file, or removes it', async () => {
    const log = await written(2)
    appendFileSync(path, `${lines()[1]}\n`)
    const error = { code: 'MCBN_AUDIT_BROKEN', message: expect.stringContaining('somebody else') }
    await expect(log.append(released)).rejects.toMatchObject(error)
    await expect(log.append(released)).rejects.toMatchObject(error)
    await log.close()
    rmSync(path)
    const another = await written(1)
    rmSync(path)
    await expect(another.append(released)).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN' })
    await another.close()
    expect(existsSync(path)).toBe(false)
  })
})

describe('audit keeps secrets out', () => {
  const share = Buffer.alloc(32, 7)
  const hostile: [string, unknown][] = [
    ['an unknown field', { type: 'released', share: share.toString('hex') }],
    ['bytes', { type: 'released', releaseId: share }],
    ['an object', { type: 'released', reason: { share } }],
    ['an event that no audit has', { type: 'share', releaseId: 'r' }],
    ['a fraction', { type: 'released', expiresAt: 0.5 }],
    ['a list of other things', { type: 'refused', details: ['a', share] }],
    ['a name of Object.prototype', { type: 'released', constructor: 'x' }],
    ['a fixed field', { type: 'released', prev: '0' }],
  ]
  it.each(hostile)('refuses %s, and shows none of it', async (_name, entry) => {
    const log = AuditLog.inMemory()
    const error = await log.append(entry as AuditEntry).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'MCBN_OPTION_TYPE' })
    expect(String(error)).not.toContain('0707')
    expect(log.head.lines).toBe(0)
    expect(await log.append(released)).toMatchObject({ seq: 1 })
  })

  it("cuts a stranger's text short, and takes tokens and control characters out of it", async () => {
    const log = AuditLog.inMemory()
    const token = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${'a'.repeat(40)}.${'b'.repeat(40)}`
    const refused = await log.append({
      type: 'refused',
      reason: `bad token ${token}, \u001b[2J\u202e\ud800`,
    })
    expect(refused['reason']).toBe('bad token [token], \ufffd[2J\ufffd\ufffd')
    const line = await log.append({
      type: 'refused',
      details: Array.from({ length: 100 }, () => '\u0000'.repeat(5000)),
      args: Array.from({ length: 100 }, () => '"'.repeat(5000)),
    })
    expect(line['details']).toHaveLength(33)
    expect(JSON.stringify(line).length).toBeLessThan(34_000)
    expect(await log.verify()).toEqual(log.head)
  })

  it('leaves absent fields away', async () => {
    const line = await AuditLog.inMemory().append({ type: 'refused', instance: undefined })
    expect(Object.keys(line).sort()).toEqual(['event', 'prev', 'seq', 'time'])
  })
})
