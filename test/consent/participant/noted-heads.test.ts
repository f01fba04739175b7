// Heads that are noted elsewhere: a store that was put back to an older copy is not served.

import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AuditLog } from '../../../src/consent/audit/log.js'
import { noteHeads, readHeads } from '../../../src/consent/participant/noted-heads.js'
import { TestClock } from './fixture.js'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcbn-heads-'))
  file = join(folder, 'heads')
})
afterEach(() => rmSync(folder, { recursive: true }))

const path = () => join(folder, 'audit.jsonl')
const opened = () => AuditLog.open(path(), { fsync: false })

describe('participant/noted heads', () => {
  it('refuses an audit that was put back to an older copy', async () => {
    const log = await opened()
    await log.append({ type: 'started' })
    const before = readFileSync(path())
    await log.append({ type: 'withdrawn', withdrawnAt: 1 })
    await (await noteHeads(log, file)).close()
    await log.close()
    writeFileSync(path(), before)
    const older = await opened()
    await expect(noteHeads(older, file)).rejects.toMatchObject({
      code: 'MCBN_AUDIT_BROKEN',
      line: 2,
      message: expect.stringContaining('put back to an older state'),
    })
    // Nor does another line in the place of that one help, nor more of them.
    for (const more of [1, 2, 400]) {
      const lines = Array.from({ length: more }, () => older.append({ type: 'stopped' }))
      await Promise.all(lines)
      await expect(noteHeads(older, file)).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN' })
    }
    await older.close()
    expect(await readHeads(file)).toEqual([log.head])
  })

  it('refuses a file that is something else, and writes nothing to it', async () => {
    const log = await opened()
    for (const text of ['secret\n', `1:${'g'.repeat(64)}\n`, `1:${'a'.repeat(65)}\n`, '-1:\n']) {
      writeFileSync(file, text)
      await expect(noteHeads(log, file)).rejects.toMatchObject({ code: 'MCBN_STORE_INVALID' })
      expect(readFileSync(file, 'utf8')).toBe(text)
    }
    await expect(noteHeads(log, folder)).rejects.toMatchObject({ code: 'MCBN_STORE_INVALID' })
    await log.close()
  })

  it('notes the head at once, each minute in which it went on, and at the end', async () => {
    const clock = new TestClock()
    const log = await opened()
    await log.append({ type: 'started' })
    const first = log.head
    const heads = await noteHeads(log, file, { clock })
    clock.pass(60_000)
    await log.append({ type: 'stopped' })
    const second = log.head
    clock.pass(60_000)
    await expect.poll(() => readHeads(file)).toEqual([first, second])
    await log.append({ type: 'stopped' })
    await heads.close()
    expect(await readHeads(file)).toEqual([first, second, log.head])
    await log.close()
  })

  it('goes on behind a line that a crash has cut off', async () => {
    const log = await opened()
    await log.append({ type: 'started' })
    await (await noteHeads(log, file)).close()
    const first = log.head
    appendFileSync(file, '2:abc')
    await log.append({ type: 'stopped' })
    await (await noteHeads(log, file)).close()
    expect(await readHeads(file)).toEqual([first, log.head])
    truncateSync(file, 0)
    expect(await readHeads(file)).toEqual([])
    await log.close()
  })
})
