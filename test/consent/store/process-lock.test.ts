// A folder has one process. The kernel keeps the lock, so it holds where processes cannot see each other, and
// is gone with the process.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockFolder } from '../../../src/consent/store/process-lock.js'
import { findAddon } from '../../../src/native/find.js'

let dir: string
const children: ChildProcess[] = []
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mcbn-lock-'))
})
afterEach(async () => {
  await Promise.all(children.splice(0).map(killed))
  rmSync(dir, { recursive: true })
})

const path = () => join(dir, 'lock')

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** What another process does with the file, in the fewest words: no compiler has to start for it. */
const PROGRAM = `
  const module = { exports: {} }
  process.dlopen(module, process.argv[1])
  const fd = require('node:fs').openSync(process.argv[2], 'a+', 0o600)
  console.log(module.exports.tryLockFile(fd) ? 'taken ' + process.pid : 'refused')
  setInterval(() => {}, 1000)`

/** Another process that tries to lock the folder, says how that went, and stays. */
async function other(...before: string[]): Promise<{ child: ChildProcess; said: string }> {
  const command = [...before, process.execPath, '-e', PROGRAM, `${findAddon()}`, path()]
  const child = spawn(`${command[0]}`, command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const [said] = await once(child.stdout as NodeJS.ReadableStream, 'data')
  return { child, said: `${said}`.trim() }
}

describe('store/process-lock', () => {
  it('lets one in, and the next once that has left; the file stays', () => {
    const unlock = lockFolder(dir)
    expect(() => lockFolder(dir)).toThrow('got this process; close it there first')
    expect(JSON.parse(readFileSync(path(), 'utf8'))).toMatchObject({ pid: process.pid })
    unlock()
    unlock()
    lockFolder(dir)()
  })

  it('keeps out while another process lives, and takes over when it was killed', async () => {
    const holder = await other()
    expect(holder.said).toBe(`taken ${holder.child.pid}`)
    expect(() => lockFolder(dir)).toThrow('got another process; stop it first')
    expect((await other()).said).toBe('refused')
    await killed(holder.child)
    const unlock = lockFolder(dir)
    expect((await other()).said).toBe('refused')
    unlock()
    expect((await other()).said).toMatch(/^taken/)
  })

  it('lets exactly one of several in', async () => {
    const rivals = await Promise.all([other(), other(), other()])
    expect(rivals.map(({ said }) => said.split(' ')[0]).sort()).toEqual([
      'refused',
      'refused',
      'taken',
    ])
  })

  it('says who has it, and believes nothing else that stands in the file', async () => {
    await other()
    const holder = { pid: 17, host: 'elsewhere', since: '2026-01-02T03:04:05.000Z' }
    writeFileSync(path(), JSON.stringify(holder))
    expect(() => lockFolder(dir)).toThrow(
      `${dir}: expected nobody to use this folder, got process 17 on elsewhere, since 2026-01-02T03:04:05.000Z`,
    )
    for (const text of ['', 'what is this?', '{"pid":17,"host":"a\\u001b[2J","since":"today"}']) {
      writeFileSync(path(), text)
      expect(() => lockFolder(dir)).toThrow('got another process')
    }
  })

  it('follows no link', () => {
    symlinkSync(join(dir, 'elsewhere'), path())
    expect(() => lockFolder(dir)).toThrow('expected to be able to open it')
  })

  const unshare = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
  const canUnshare = spawnSync('unshare', [...unshare.slice(1), 'true']).status === 0
  if (!canUnshare)
    console.warn('store/process-lock: NOT tested across PID namespaces: no unshare here')

  it.skipIf(!canUnshare && process.env['CI'] !== 'true')(
    'holds across PID namespaces, where nobody sees the other, and ends with a kill there',
    async () => {
      const holder = await other(...unshare)
      // Its number there: of whom it is here says nothing.
      expect(holder.said).toBe('taken 1')
      const rival = await other(...unshare)
      expect(rival.said).toBe('refused')
      expect(() => lockFolder(dir)).toThrow('expected nobody to use this folder')
      await killed(holder.child)
      // --kill-child has the kernel kill the namespace with its parent; it is gone when its output has ended.
      const unlock = await eventually(() => lockFolder(dir))
      expect((await other(...unshare)).said).toBe('refused')
      unlock()
    },
  )
})

/** The kernel takes its time to end a whole namespace, and tells nobody. */
async function eventually<Result>(attempt: () => Result): Promise<Result> {
  for (;;) {
    try {
      return attempt()
    } catch {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
