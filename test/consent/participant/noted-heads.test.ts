// Heads that are noted elsewhere: a store that was put back to an older copy is not served.

import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { AuditLog } from '../../../src/consent/audit/log.js'
import { fileHeads, readHeads } from '../../../src/consent/participant/heads/file.js'
import { httpHeads } from '../../../src/consent/participant/heads/http.js'
import { noteHeads } from '../../../src/consent/participant/heads/note.js'
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
    await (await noteHeads(log, fileHeads(file))).close()
    await log.close()
    writeFileSync(path(), before)
    const older = await opened()
    await expect(noteHeads(older, fileHeads(file))).rejects.toMatchObject({
      code: 'MCBN_AUDIT_BROKEN',
      line: 2,
      message: expect.stringContaining('put back to an older state'),
    })
    // Nor does another line in the place of that one help, nor more of them.
    for (const more of [1, 2, 400]) {
      const lines = Array.from({ length: more }, () => older.append({ type: 'stopped' }))
      await Promise.all(lines)
      await expect(noteHeads(older, fileHeads(file))).rejects.toMatchObject({
        code: 'MCBN_AUDIT_BROKEN',
      })
    }
    await older.close()
    expect(await readHeads(file)).toEqual([log.head])
  })

  it('refuses a file that is something else, and writes nothing to it', async () => {
    const log = await opened()
    for (const text of ['secret\n', `1:${'g'.repeat(64)}\n`, `1:${'a'.repeat(65)}\n`, '-1:\n']) {
      writeFileSync(file, text)
      await expect(noteHeads(log, fileHeads(file))).rejects.toMatchObject({
        code: 'MCBN_STORE_INVALID',
      })
      expect(readFileSync(file, 'utf8')).toBe(text)
    }
    await expect(noteHeads(log, fileHeads(folder))).rejects.toMatchObject({
      code: 'MCBN_STORE_INVALID',
    })
    await log.close()
  })

  it('notes the head at once, each minute in which it went on, and at the end', async () => {
    const clock = new TestClock()
    const log = await opened()
    await log.append({ type: 'started' })
    const first = log.head
    const heads = await noteHeads(log, fileHeads(file), { clock })
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
    await (await noteHeads(log, fileHeads(file))).close()
    const first = log.head
    appendFileSync(file, '2:abc')
    await log.append({ type: 'stopped' })
    await (await noteHeads(log, fileHeads(file))).close()
    expect(await readHeads(file)).toEqual([first, log.head])
    truncateSync(file, 0)
    expect(await readHeads(file)).toEqual([])
    await log.close()
  })
})

describe('participant/noted heads at an address', () => {
  /** Keeps lines, until it is told to answer something else. */
  const receiver = async () => {
    const kept: string[] = []
    const told = { status: 200, text: undefined as string | undefined, authorization: '' }
    const server = createServer(async (request, response) => {
      told.authorization = `${request.headers.authorization}`
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      if (told.status === 200 && request.method === 'POST') kept.push(`${Buffer.concat(chunks)}`)
      const none = told.status === 200 && kept.length === 0
      response.writeHead(none ? 404 : told.status, { location: '/elsewhere' })
      response.end(told.text ?? kept.join(''))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/heads`
    return { url, kept, told }
  }

  it('refuses an older audit, and one whose past cannot be asked about', async () => {
    const { url, told } = await receiver()
    const place = httpHeads({ url, token: 'secret' })
    const log = await opened()
    await log.append({ type: 'started' })
    const before = readFileSync(path())
    await log.append({ type: 'withdrawn', withdrawnAt: 1 })
    await (await noteHeads(log, place)).close()
    expect(told.authorization).toBe('Bearer secret')
    await log.close()
    writeFileSync(path(), before)
    const older = await opened()
    await expect(noteHeads(older, place)).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN' })
    // What cannot be told is no reason to believe the audit.
    for (const status of [401, 302, 500, 503]) {
      told.status = status
      await expect(place.last()).rejects.toMatchObject({ code: 'MCBN_CONNECTION_FAILED' })
    }
    told.status = 200
    told.text = 'x\n'
    await expect(place.last()).rejects.toMatchObject({ code: 'MCBN_STORE_INVALID' })
    told.text = '\n'.repeat(5 * 1024 * 1024)
    await expect(place.last()).rejects.toThrow(/at most 4194304 bytes/)
    await older.close()
    for (const wrong of ['http://heads.example/', 'https://a@b.example/', 'file:///x', 'x']) {
      expect(() => httpHeads({ url: wrong })).toThrow(/expected an https:/)
    }
  })

  it('adds a line each minute, and tells what it could not add', async () => {
    const { url, kept, told } = await receiver()
    const clock = new TestClock()
    const errors: Error[] = []
    const log = await opened()
    await log.append({ type: 'started' })
    const heads = await noteHeads(log, httpHeads({ url }), {
      clock,
      onError: (e) => errors.push(e),
    })
    expect(kept).toEqual([`1:${log.head.head}\n`])
    await log.append({ type: 'stopped' })
    told.status = 500
    clock.pass(60_000)
    await expect
      .poll(() => errors.map(({ message }) => message))
      .toEqual([expect.stringMatching(/expected a head to be taken, by 2xx, got 500/)])
    told.status = 200
    clock.pass(60_000)
    await expect.poll(() => kept.at(-1)).toBe(`2:${log.head.head}\n`)
    await log.append({ type: 'stopped' })
    told.status = 500
    await heads.close()
    expect(errors).toHaveLength(2)
    await log.close()
  })
})
