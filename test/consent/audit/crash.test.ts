// What only a separate process can show: being killed between two lines, and a disk that is full.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AuditLog, verifyAudit } from '../../../src/consent/audit/log.js'
import { repositoryRoot } from '../../support/paths.js'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcbn-audit-'))
  path = join(folder, 'audit.jsonl')
})
afterEach(() => rmSync(folder, { recursive: true }))

const WRITER = `
  import { AuditLog } from ${JSON.stringify(join(repositoryRoot, 'src/consent/audit/log.ts'))}
  const log = await AuditLog.open(process.argv.at(-1), { fsync: false })
  for (;;) {
    try {
      const { seq } = await log.append({ type: 'released', releaseId: 'r'.repeat(900) })
      process.stdout.write(seq + '\\n')
    } catch (error) {
      process.stdout.write(error.code + ' ' + error.message + '\\n')
      const again = await log.append({ type: 'stopped' }).catch((e) => ({ seq: e.code }))
      process.stdout.write('then ' + again.seq + '\\n')
      break
    }
  }`

function write(prefix: string) {
  const node = `exec "${process.execPath}" --import tsx --input-type=module -e "$1" "$2"`
  const child = spawn('bash', ['-c', `${prefix} ${node}`, 'bash', WRITER, path], {
    cwd: repositoryRoot,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += String(chunk)
  })
  const exit = new Promise<void>((resolve) => child.on('close', () => resolve()))
  return { child, exit, output: () => output }
}

describe('audit in a process that ends badly', () => {
  it('holds every line that was confirmed when the process is killed', async () => {
    const writer = write('')
    while (writer.output().split('\n').length < 200) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(writer.child.exitCode).toBeNull()
    }
    writer.child.kill('SIGKILL')
    await writer.exit
    const confirmed = Number(writer.output().trimEnd().split('\n').at(-1))
    const log = await AuditLog.open(path)
    expect(log.head.lines).toBeGreaterThanOrEqual(confirmed)
    await log.close()
    expect(await verifyAudit(path)).toEqual(log.head)
  })

  it('takes half a line back when the disk is full, so that the chain goes on', async () => {
    // Node ignores SIGXFSZ: beyond the limit, a write is cut short and the next fails with EFBIG.
    const writer = write('ulimit -f 4;')
    await writer.exit
    const output = writer.output().trimEnd().split('\n')
    expect(output.at(-2)).toBe('MCBN_AUDIT_BROKEN audit: cannot be written: EFBIG')
    // Three lines of some 1,070 bytes fit into 4,096; then a short one does, in the place of the fourth.
    expect(output.slice(0, 3)).toEqual(['1', '2', '3'])
    expect(output.at(-1)).toBe('then 4')
    expect(readFileSync(path).at(-1)).toBe(0x0a)
    expect((await verifyAudit(path)).lines).toBe(4)
  })
})
