// docs/TUTORIAL.md, typed line by line into one shell, by somebody who has nothing but the package.

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { installedCommand } from '../image/installed.js'
import { repositoryRoot } from '../support/paths.js'
import { requirePeer } from '../support/peers.js'
import { launch } from '../support/process.js'

interface Line {
  readonly typed: string
  /** What the page shows of the output of this block. */
  readonly shown: readonly string[]
}

/** Half an hour: it is a test of a page, not of a machine. */
const WHOLE_MS = 1_800_000

/** Every line of every block of `sh`; a block of `text` behind it is what its last line prints. */
function lines(page: string): Line[] {
  const found: Line[] = []
  for (const [, language, body = ''] of page.matchAll(/^```(sh|text)\n([\s\S]*?)^```$/gm)) {
    const rows = body.trimEnd().split('\n')
    if (language === 'sh') found.push(...rows.map((typed) => ({ typed, shown: [] })))
    else {
      const last = found.pop()
      if (last !== undefined) found.push({ ...last, shown: rows })
    }
  }
  return found
}

const runnable = process.platform === 'linux' && process.env['MCBN_SANITIZED'] === undefined

describe.skipIf(!runnable || !requirePeer('curl'))('docs/TUTORIAL.md', () => {
  it(
    'does what it says, line by line',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'mcbn-tutorial-'))
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
      const here = join(folder, 'here')
      const bin = join(folder, 'bin')
      for (const one of [here, bin]) mkdirSync(one)
      const command = await installedCommand(folder)
      writeFileSync(join(bin, 'mcbn'), `#!/bin/sh\nexec '${process.execPath}' '${command}' "$@"\n`)
      chmodSync(join(bin, 'mcbn'), 0o755)
      // Nothing of the tester may be in it.
      const shell = launch('bash', ['--norc', '--noprofile'], {
        cwd: here,
        env: { PATH: `${bin}:${process.env['PATH']}`, SSLKEYLOGFILE: undefined },
        lifetime: WHOLE_MS,
        foreign: true,
      })
      onTestFinished(async () => {
        shell.process.stdin?.end('kill $(jobs -p)\n')
        await shell.exited
      })
      const page = readFileSync(join(repositoryRoot, 'docs/TUTORIAL.md'), 'utf8')
      const all = lines(page)
      expect(all.length).toBeGreaterThan(30)
      let from = 0
      for (const [at, { typed, shown }] of all.entries()) {
        // stderr goes where stdout goes, as on a terminal; a line tells when it is done, and how.
        shell.process.stdin?.write(`{ ${typed}\n} 2>&1; echo "== ${at}: $?"\n`)
        const [done, status] = await shell.output(new RegExp(`^== ${at}: (\\d+)$`, 'm'), WHOLE_MS)
        const printed = shell.stdout.slice(from)
        expect(status, `${typed}\n${printed}\n${shell.stderr}`).toBe('0')
        for (const row of shown) expect(printed, typed).toContain(row)
        from = shell.stdout.length
        expect(done).toBeDefined()
      }
    },
    WHOLE_MS,
  )
})
