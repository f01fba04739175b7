// With --json every command's log is of one schema: each line of real runs is held against it.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/paths.js'
import { freeTcpPort } from '../support/ports.js'
import type { Child } from '../support/process.js'
import { KEY, mcbn, OTHER_KEY, startMcbn } from './command.js'
import { logLines, valid } from './log-lines.js'

const events = (text: string) => logLines(text).map(({ level, event }) => `${level} ${event}`)

async function stop(child: Child): Promise<void> {
  await child.stop()
}

describe('cli/log', () => {
  it('knows what is no line of it', () => {
    const time = '2027-03-05T12:00:00.000Z'
    const good = { time, level: 'info', event: 'listening' }
    expect(valid(good)).toBe(true)
    for (const wrong of [
      { ...good, time: 'now' },
      { ...good, level: 'loud' },
      { ...good, event: 'Listening' },
      { level: 'info', event: 'x' },
      { ...good, event: 'error' },
      { ...good, event: 'warning', message: 'm' },
    ]) {
      expect(valid(wrong), JSON.stringify(wrong)).toBe(false)
    }
  })

  it('is what listen and connect write, and every failure', async () => {
    const folder = temporaryFolder()
    const keys = join(folder, 'keys.psk')
    writeFileSync(keys, `Client1:${KEY}\n`, { mode: 0o644 })
    const listen = startMcbn([
      'listen',
      'tls://127.0.0.1:0',
      '--psk-file',
      keys,
      '--echo',
      '--json',
    ])
    await listen.output(/"listening"/)
    const { port } = logLines(listen.stdout)[0] as unknown as { port: number }
    const target = `tls://127.0.0.1:${port}`
    const asked = ['--psk', `Client1:${KEY}`, '--json']
    const wrong = ['--psk', `Client1:${OTHER_KEY}`, '--json']
    const [connect, mismatch, usage, file, away] = await Promise.all([
      mcbn(['connect', target, ...asked], { input: 'hello' }),
      mcbn(['connect', target, ...wrong]),
      mcbn(['participant', 'serve', '--json']),
      mcbn(['participant', 'status', '--dir', join(folder, 'none'), '--json']),
      mcbn(['connect', `tls://127.0.0.1:${await freeTcpPort()}`, ...asked]),
    ])
    await stop(listen)
    expect(events(listen.stdout)).toEqual(['info listening'])
    expect(events(listen.stderr)).toEqual(
      expect.arrayContaining([
        'warning warning',
        'info connected',
        'info closed',
        'warning peer-error',
      ]),
    )
    expect(connect.stdout).toBe('hello')
    expect(events(connect.stderr)).toEqual(expect.arrayContaining(['info connected']))
    for (const failed of [mismatch, usage, file, away]) {
      expect(failed.stdout).toBe('')
      expect(events(failed.stderr).at(-1)).toBe('error error')
    }
  })
})
