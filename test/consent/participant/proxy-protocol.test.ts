// The PROXY protocol: from proxies of the list it has to be there, from others it is no HTTP; and Debian's haproxy.

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../../src/consent/base/clock.js'
import {
  type ServeParticipantOptions,
  serveParticipant,
} from '../../../src/consent/participant/http.js'
import { readProxyHeader } from '../../../src/consent/participant/proxy-protocol.js'
import { temporaryFolder } from '../../support/paths.js'
import { requirePeer } from '../../support/peers.js'
import { freeTcpPort } from '../../support/ports.js'
import { start } from '../../support/process.js'
import { setup } from './fixture.js'

const SIGNATURE = '0d0a0d0a000d0a515549540a'
const TCP4 = `${SIGNATURE}2111000ccb007105c00002011f901b58`
const TCP6 = `${SIGNATURE}21210024${'20010db8000100020003000400050006'}${'00'.repeat(16)}1f901b58`

/** The address where a header is read, else what came of it. */
function read(hex: string): string | undefined {
  const found = readProxyHeader(Buffer.from(hex, 'hex'))
  return typeof found === 'string' ? found : (found.address ?? 'its own')
}

async function served(options: ServeParticipantOptions = {}) {
  const { participant } = setup({ clock: systemClock })
  const server = await serveParticipant(participant, { requestsPerSecond: 1, ...options })
  onTestFinished(async () => {
    await server.close()
    await participant.close()
  })
  return server
}

const GET = 'GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

/** Bytes by hand, in these pieces. @returns the status, or `closed`. */
async function say(port: number, pieces: readonly Buffer[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.setNoDelay()
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => undefined)
  const closed = once(socket, 'close')
  for (const piece of pieces) {
    if (!socket.destroyed)
      await new Promise<void>((resolve) => socket.write(piece, () => resolve()))
  }
  await closed
  return /^HTTP\/1\.1 (\d{3})/.exec(`${Buffer.concat(chunks)}`)?.[1] ?? 'closed'
}

const bytes = (hex: string, text = '') =>
  Buffer.concat([Buffer.from(hex, 'hex'), Buffer.from(text)])

describe('participant/proxy protocol: a header', () => {
  it.each([
    ['another beginning', `0d0a0d0b${TCP4.slice(8)}`, 'invalid'],
    ['text of version 1', Buffer.from('PROXY TCP4 1.2.3.4 ').toString('hex'), 'invalid'],
    ['another version', `${SIGNATURE}1111${TCP4.slice(28)}`, 'invalid'],
    ['another command', `${SIGNATURE}2211${TCP4.slice(28)}`, 'invalid'],
    ['UDP', `${SIGNATURE}2112${TCP4.slice(28)}`, 'invalid'],
    ['a Unix socket', `${SIGNATURE}213100d8${'00'.repeat(216)}`, 'invalid'],
    ['TCP over IPv4 without its addresses', `${SIGNATURE}2111000b${'00'.repeat(11)}`, 'invalid'],
    ['TCP over IPv6 with those of IPv4', `${SIGNATURE}2121000c${TCP4.slice(32)}`, 'invalid'],
    ['a length that is a flood', `${SIGNATURE}21111001`, 'invalid'],
    ['a beginning alone', SIGNATURE.slice(0, 8), 'more'],
    ['all but its last byte', TCP4.slice(0, -2), 'more'],
    ['nothing', '', 'more'],
    ['the address of a client', TCP4, '203.0.113.5'],
    ['one of IPv6', TCP6, '2001:db8:1:2:3:4:5:6'],
    [
      'one that is mapped',
      `${SIGNATURE}21210024${'00'.repeat(10)}ffffcb007105${'00'.repeat(16)}00000000`,
      '::ffff:203.0.113.5',
    ],
    ['what proxies add', `${SIGNATURE}21110010${TCP4.slice(32)}04000100`, '203.0.113.5'],
    ['a proxy that asks for itself', `${SIGNATURE}20000000`, 'its own'],
    ['one that does not say', `${SIGNATURE}21000000`, 'its own'],
  ])('reads %s', (_, hex, expected) => {
    expect(read(hex)).toBe(expected)
  })
})

describe('participant/proxy protocol: a server', () => {
  const proxyProtocol = ['127.0.0.0/8']

  it('ends connections of the list without a header, and takes none from others', async () => {
    const { port } = await served({ proxyProtocol })
    expect(await say(port, [bytes('', GET)])).toBe('closed')
    expect(await say(port, [bytes(`${SIGNATURE}2112${TCP4.slice(28)}`, GET)])).toBe('closed')
    const others = await served({ proxyProtocol: ['192.0.2.1'] })
    expect(await say(others.port, [bytes(TCP4, GET)])).toBe('400')
    expect(await say(others.port, [bytes('', GET)])).toBe('200')
    await expect(served({ proxyProtocol: ['10.0.0.0/33'] })).rejects.toThrow(/^proxyProtocol\[0\]/)
  })

  it('waits for a header no longer than for a request', async () => {
    const { port } = await served({ proxyProtocol, requestTimeout: 100 })
    expect(await say(port, [bytes(SIGNATURE)])).toBe('closed')
  })

  it('answers in one piece or in many, and counts by the client that is told', async () => {
    const { port } = await served({ proxyProtocol })
    const other = `${SIGNATURE}2111000c${'cb007106'}${TCP4.slice(40)}`
    expect(
      await say(
        port,
        [...bytes(TCP4, GET)].map((byte) => Buffer.of(byte)),
      ),
    ).toBe('200')
    const statuses: string[] = []
    for (let at = 0; at < 12; at += 1) statuses.push(await say(port, [bytes(TCP4, GET)]))
    expect(statuses).toContain('429')
    expect(await say(port, [bytes(other), bytes('', GET)])).toBe('200')
    expect(await say(port, [bytes(`${SIGNATURE}20000000`, GET)])).toBe('200')
  })
})

describe.runIf(requirePeer('haproxy'))('participant/proxy protocol: haproxy', () => {
  it('tells for whom it connects, and looks for itself whether the server lives', async () => {
    const folder = temporaryFolder()
    const { port } = await served({ proxyProtocol: ['127.0.0.1'] })
    const front = await freeTcpPort()
    const file = join(folder, 'haproxy.cfg')
    writeFileSync(
      file,
      `global
  log stdout format raw local0
defaults
  mode tcp
  timeout connect 10s
  timeout client 10s
  timeout server 10s
frontend front
  bind 127.0.0.1:${front}
  default_backend participant
backend participant
  server one 127.0.0.1:${port} send-proxy-v2 check inter 200ms fall 1
`,
    )
    const haproxy = start('haproxy', ['-db', '-f', file], { foreign: true, lifetime: 60_000 })
    const ask = async (localAddress: string): Promise<number> => {
      const asked = httpRequest({
        port: front,
        host: '127.0.0.1',
        localAddress,
        path: '/v1/status',
      })
      asked.setHeader('connection', 'close')
      asked.end()
      const [response] = await once(asked, 'response')
      response.resume()
      await once(response, 'close')
      return response.statusCode
    }
    await expect.poll(() => ask('127.0.0.2').catch(() => 0), { timeout: 30_000 }).toBe(200)
    await expect.poll(() => ask('127.0.0.2'), { timeout: 30_000 }).toBe(429)
    expect(await ask('127.0.0.3')).toBe(200)
    expect(`${haproxy.stdout}${haproxy.stderr}`).not.toMatch(/is DOWN/)
    await haproxy.stop()
  })
})
