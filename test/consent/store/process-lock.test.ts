import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockStore } from '../../../src/consent/store/process-lock.js'
import { repositoryRoot } from '../../support/paths.js'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mcbn-lock-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const path = () => join(dir, 'lock')
const MODULE = JSON.stringify(join(repositoryRoot, 'src/consent/store/process-lock.ts'))

/** Another process that tries to take the store, says how that went, and stays. */
function other() {
  const program = `
    import { lockStore } from ${MODULE}
    try {
      lockStore(process.argv.at(-1))
      console.log('taken')
    } catch (error) {
      console.log(error.code + ' ' + error.message)
    }
    setTimeout(() => {}, 15000)`
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', program, dir],
    { cwd: repositoryRoot, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const said = new Promise<string>((resolve) =>
    child.stdout.once('data', (data) => resolve(`${data}`)),
  )
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return { child, said, gone }
}

describe('store/process-lock', () => {
  it('lets one in, and the next once that has left', () => {
    const unlock = lockStore(dir)
    expect(() => lockStore(dir)).toThrow('expected nobody to use this store, got this process')
    unlock()
    unlock()
    expect(existsSync(path())).toBe(false)
    lockStore(dir)()
  })

  it('keeps out while another process lives, and takes over when it was killed', async () => {
    const holder = other()
    expect(await holder.said).toBe('taken\n')
    expect(() => lockStore(dir)).toThrow(`got process ${holder.child.pid}; stop it first`)
    holder.child.kill('SIGKILL')
    await holder.gone
    expect(existsSync(path())).toBe(true)
    const unlock = lockStore(dir)
    expect(JSON.parse(readFileSync(path(), 'utf8'))).toMatchObject({ pid: process.pid })
    unlock()
  })

  it('lets exactly one of several in when the holder has died', async () => {
    const dead = { pid: 2 ** 22 + 1, started: '1', boot: bootOf(), host: hostname() }
    writeFileSync(path(), JSON.stringify(dead))
    const rivals = [other(), other(), other()]
    const said = await Promise.all(rivals.map((rival) => rival.said))
    for (const rival of rivals) rival.child.kill('SIGKILL')
    await Promise.all(rivals.map((rival) => rival.gone))
    expect(said.filter((text) => text === 'taken\n')).toHaveLength(1)
    expect(said.filter((text) => text.startsWith('MCBN_STORE_INVALID'))).toHaveLength(2)
  })

  function bootOf(): string {
    const unlock = lockStore(dir)
    const { boot } = JSON.parse(readFileSync(path(), 'utf8')) as { boot: string }
    unlock()
    return boot
  }

  it('does not take a process id that is used again for the holder, nor one from before a reboot', () => {
    const boot = bootOf()
    const again = [
      { pid: process.ppid, started: '1', boot, host: hostname() },
      { pid: process.ppid, started: '1', boot: 'another', host: hostname() },
    ]
    for (const holder of again) {
      writeFileSync(path(), JSON.stringify(holder))
      lockStore(dir)()
    }
  })

  it('judges nobody on another host', () => {
    writeFileSync(path(), JSON.stringify({ pid: 1, started: '', boot: '', host: 'elsewhere' }))
    expect(() => lockStore(dir)).toThrow(
      'got process 1 on host elsewhere; whether it still runs cannot be seen from here',
    )
  })

  it('touches nothing that it does not understand', () => {
    writeFileSync(path(), 'what is this?')
    expect(() => lockStore(dir)).toThrow('expected the lock of a process, got something else')
    expect(readFileSync(path(), 'utf8')).toBe('what is this?')
    writeFileSync(
      path(),
      JSON.stringify({ pid: 2 ** 22 + 1, started: '', boot: 'x', host: hostname() }),
    )
    mkdirSync(join(dir, 'lock.takeover'))
    expect(() => lockStore(dir)).toThrow('remove this empty folder')
  })
})
