// What went over the loopback, and what tshark can read of it.

import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { temporaryFolder } from '../support/paths.js'
import { requirePeer } from '../support/peers.js'
import { run, start } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import { LOOPBACK } from './support.js'

/** Capturing needs root or CAP_NET_RAW: a developer may lack it, CI may not. */
export function mayCapture(): boolean {
  if (!requirePeer('tshark', 'dumpcap')) return false
  const { status, stderr } = spawnSync('dumpcap', ['-i', 'lo', '-L'], { encoding: 'utf8' })
  if (status === 0) return true
  if (process.env['CI'] === 'true') throw new Error(`dumpcap may not capture on lo: ${stderr}`)
  console.warn('\n!!! SKIPPED: dumpcap may not capture on lo; run as root or setcap it\n')
  return false
}

export interface Capture {
  readonly file: string
  stop(): Promise<void>
}

/** Captures a port's packets. A marked datagram that is in the file shows that it has begun, or has all. */
export async function capture(port: number): Promise<Capture> {
  const file = join(temporaryFolder(), 'capture.pcapng')
  const dumpcap = start('dumpcap', ['-q', '-i', 'lo', '-f', `port ${port}`, '-w', file], {
    foreign: true,
  })
  const mark = async (): Promise<void> => {
    const marker = randomUUID()
    const socket = createSocket('udp4')
    try {
      await waitFor('the marker in the capture', async () => {
        socket.send(marker, port, LOOPBACK)
        await new Promise((resolve) => setTimeout(resolve, 100))
        return existsSync(file) && readFileSync(file).includes(marker)
      })
    } catch (cause) {
      throw new Error(dumpcap.report(), { cause })
    } finally {
      socket.close()
    }
  }
  await mark()
  return {
    file,
    stop: async () => {
      await mark()
      await dumpcap.stop()
    },
  }
}

/** The application data that tshark can read, as `protocol text` lines. */
export async function decrypted(
  capture: Capture,
  port: number,
  keyLog: string,
  program = 'tshark',
): Promise<string[]> {
  const tshark = await run(
    program,
    ['-r', capture.file, '-o', `tls.keylog_file:${keyLog}`]
      .concat(['-d', `tcp.port==${port},tls`, '-d', `udp.port==${port},dtls`])
      .concat(['-Y', 'data', '-T', 'fields', '-e', '_ws.col.Protocol', '-e', 'data.data']),
    { foreign: true },
  )
  expect(tshark.exit.code, tshark.report()).toBe(0)
  const lines = tshark.stdout.split('\n').filter((line) => /^D?TLS/.test(line))
  return lines.map((line) => {
    const [protocol, data = ''] = line.split('\t')
    return `${protocol} ${Buffer.from(data, 'hex')}`
  })
}

export function writeLog(lines: readonly string[]): string {
  const file = join(temporaryFolder(), 'keylog.txt')
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''))
  return file
}
