import { readdirSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { serveBoard } from '../../../src/consent/ceremony/board.js'
import { BoardTransport } from '../../../src/consent/ceremony/board-client.js'
import { driveToEnd } from '../../../src/consent/ceremony/drive.js'
import { parsePlan } from '../../../src/consent/ceremony/plan.js'
import {
  type CeremonyTransport,
  FolderTransport,
  MemoryTransport,
} from '../../../src/consent/ceremony/transport.js'
import { temporaryFolder } from '../../support/paths.js'
import { everybody, forge, keysOf, one, packageOf, type Table, table } from './rehearsal.js'

const save = async () => undefined

/** A board on loopback, until the test ends. */
async function boardOf(at: Table, storage?: CeremonyTransport) {
  const board = await serveBoard({ plan: at.plan, ...(storage !== undefined && { storage }) })
  onTestFinished(() => board.close())
  return board
}

describe('ceremony/transport', () => {
  it.each<readonly [string, (at: Table) => Promise<CeremonyTransport> | CeremonyTransport]>([
    ['memory', () => new MemoryTransport()],
    ['a folder', () => new FolderTransport(temporaryFolder())],
    ['a board', async (at) => new BoardTransport((await boardOf(at)).url)],
  ])('carries a ceremony over %s', async (_what, open) => {
    const at = table('t-of-n', 3, 2)
    const transport = await open(at)
    const all = [...everybody(at).values()]
    await Promise.all(all.map((each) => driveToEnd(each, { transport, save, pollMilliseconds: 5 })))
    expect(new Set(all.map((each) => each.result().descriptor.hashHex)).size).toBe(1)
  })

  it.each<readonly [string, (at: Table) => Promise<CeremonyTransport> | CeremonyTransport]>([
    ['memory', () => new MemoryTransport()],
    ['a folder', () => new FolderTransport(temporaryFolder())],
    ['a board', async (at) => new BoardTransport((await boardOf(at)).url)],
  ])('%s: keeps the first message of a name; the same again does nothing', async (_what, open) => {
    const at = table('n-of-n', 2)
    const transport = await open(at)
    const [first, second] = [1, 2].map((byte) => {
      const commitment = Buffer.alloc(32, byte).toString('base64url')
      return forge(at, 'alice', 'package', { commitment })
    }) as [Buffer, Buffer]
    expect(await transport.get('package-alice')).toBeUndefined()
    await transport.put('package-alice', first)
    await transport.put('package-alice', first)
    await expect(transport.put('package-alice', second)).rejects.toMatchObject({
      code: 'MCBN_CEREMONY_INVALID',
      message: expect.stringContaining('found another one there'),
    })
    expect(Buffer.from((await transport.get('package-alice')) ?? [])).toEqual(first)
  })

  it('a folder: leaves nothing but whole messages, and takes no path for a name', async () => {
    const folder = temporaryFolder()
    const transport = new FolderTransport(folder)
    await transport.put('commit-a', Buffer.from('x'))
    await expect(transport.put('commit-a', Buffer.from('y'))).rejects.toThrow()
    expect(readdirSync(folder)).toEqual(['commit-a.json'])
    for (const name of ['../x', 'a/b', '', '.x', 'A', `a${'b'.repeat(151)}`]) {
      await expect(transport.get(name)).rejects.toMatchObject({ code: 'MCBN_CEREMONY_INVALID' })
    }
  })

  it('a folder: says when it is gone, and reads no file that is too long', async () => {
    const gone = new FolderTransport('/nonexistent/folder')
    await expect(gone.get('plan')).rejects.toMatchObject({
      code: 'MCBN_CONNECTION_FAILED',
      message: expect.stringMatching(/^\/nonexistent\/folder: .*make it \(mkdir\)/),
    })
    await expect(gone.put('plan', Buffer.from('x'))).rejects.toMatchObject({
      code: 'MCBN_CONNECTION_FAILED',
    })
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'plan.json'), Buffer.alloc(128 * 1024 + 1))
    await expect(new FolderTransport(folder).get('plan')).rejects.toMatchObject({
      code: 'MCBN_CEREMONY_INVALID',
    })
  })
})

describe('ceremony/board', () => {
  it('shows the plan it was started with', async () => {
    const at = table('n-of-n', 2)
    const { url } = await boardOf(at)
    const bytes = await new BoardTransport(`${url}/`).get('plan')
    expect(parsePlan(bytes ?? new Uint8Array()).hashHex).toBe(at.plan.hashHex)
  })

  it('takes messages of participants only, each under its own name', async () => {
    const at = table('n-of-n', 2)
    const { url } = await boardOf(at)
    const commit = one(everybody(at), 'alice').outgoing()[0]?.bytes ?? new Uint8Array()
    const strangers = { ...at, keys: new Map([['alice', keysOf(at, 'bob')]]) }
    const forged = packageOf(strangers, 'alice', { commitment: 'A'.repeat(43) })
    const put = async (name: string, body: Uint8Array) =>
      (await fetch(`${url}/v1/${name}`, { method: 'PUT', body: Uint8Array.from(body) })).status
    expect(await put('commit-bob', commit)).toBe(422)
    expect(await put('commit-alice', forged['commit-alice'] ?? new Uint8Array())).toBe(422)
    expect(await put('anything', Buffer.from('hello'))).toBe(422)
    expect(await put('plan', Buffer.from('{}'))).toBe(422)
    expect(await put('commit-alice', commit)).toBe(201)
    expect(await put('commit-alice', commit)).toBe(200)
    expect((await fetch(`${url}/v1/package-bob`)).status).toBe(404)
    expect((await fetch(`${url}/v1/..%2F..%2Fetc`)).status).toBe(422)
    expect((await fetch(`${url}/`)).status).toBe(404)
  })

  it('takes no message that is too long, whether its length is told or not', async () => {
    const at = table('n-of-n', 2)
    const { url } = await boardOf(at)
    const long = Buffer.alloc(16 * 1024 + 1, 0x61)
    const told = await fetch(`${url}/v1/commit-alice`, { method: 'PUT', body: long })
    expect(told.status).toBe(413)
    const chunked = await new Promise<number | undefined>((resolve, reject) => {
      const asked = request(`${url}/v1/commit-alice`, { method: 'PUT' }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      asked.on('error', reject)
      asked.write(long)
      asked.end(long)
    })
    expect(chunked).toBe(413)
  })

  it('may forget everything: participants send their messages again', async () => {
    const at = table('t-of-n', 2, 2)
    const all = [...everybody(at).values()]
    const [alice, bob] = all as [(typeof all)[0], (typeof all)[0]]
    const first = new BoardTransport((await boardOf(at)).url)
    const options = { save, pollMilliseconds: 5 }
    const waiting = AbortSignal.timeout(300)
    await expect(
      driveToEnd(alice, { ...options, transport: first, signal: waiting }),
    ).rejects.toThrow()
    const second = new BoardTransport((await boardOf(at)).url)
    await Promise.all(
      [alice, bob].map((each) => driveToEnd(each, { ...options, transport: second })),
    )
    expect(alice.result().descriptor.hashHex).toBe(bob.result().descriptor.hashHex)
  })

  it('is told apart from an address where nobody answers, or somebody else does', async () => {
    await expect(new BoardTransport('http://127.0.0.1:1').get('plan')).rejects.toMatchObject({
      code: 'MCBN_CONNECTION_FAILED',
    })
    for (const url of ['ftp://x', 'nonsense', 'http://x/?a']) {
      expect(() => new BoardTransport(url)).toThrow(/expected a URL/)
    }
  })
})
