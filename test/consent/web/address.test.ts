// The page's own address: what strangers, proxies and other machines try there, and what they get.

import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { text } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type ServeParticipantWebOptions,
  serveParticipantWeb,
} from '../../../src/consent/participant/web/serve.js'
import {
  createParticipantWeb,
  type ParticipantWebOptions,
} from '../../../src/consent/participant/web/web.js'
import { MemoryParticipant } from './memory-participant.js'

async function serve(
  webOptions: ParticipantWebOptions = {},
  options: ServeParticipantWebOptions = {},
) {
  const web = createParticipantWeb(new MemoryParticipant(), webOptions)
  const server = await serveParticipantWeb(web, options)
  onTestFinished(async () => {
    web.close()
    await server.close()
  })
  return { web, ...server }
}

/** The answer to bytes as they are. */
async function sent(port: number, bytes: string, host = '127.0.0.1'): Promise<string> {
  const socket = connect(port, host)
  socket.write(bytes)
  return await text(socket)
}

const request = (lines: readonly string[], target = '/') =>
  `${[`GET ${target} HTTP/1.1`, ...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`

describe('web/address', () => {
  it.each([
    ['Forwarded: for=192.0.2.1', 'RFC 7239'],
    ['FORWARDED: for=127.0.0.1;host=localhost', 'told to be near'],
    ['X-Forwarded-For: 127.0.0.1', 'before RFC 7239'],
    ['X-Forwarded-Host: localhost', 'a name'],
    ['X-Forwarded-Proto: https', 'nothing but that it is one'],
    ['X-Forwarded: x', 'odd'],
    ['X-Real-IP: 127.0.0.1', 'nginx'],
    ['X-Original-URL: /', 'IIS'],
    ['Via: 1.1 proxy', 'RFC 9110 section 7.6.3'],
    ['CF-Connecting-IP: 192.0.2.1', 'a network of proxies'],
  ])('refuses a request with %s (%s)', async (header) => {
    const { port } = await serve()
    for (const target of ['/', '/web/main.js', '/web/state']) {
      const answer = await sent(port, request(['Host: localhost', header], target))
      expect(answer).toMatch(/^HTTP\/1\.1 403 /)
      expect(answer).toContain(header.slice(0, header.indexOf(':')).toLowerCase())
    }
    expect(await sent(port, request(['Host: localhost']))).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('takes it under a name that the owner has given, and under no other', async () => {
    const { port } = await serve({ hosts: ['consent.example'] })
    const forwarded = 'X-Forwarded-For: 192.0.2.1'
    const status = async (host: string) =>
      (await sent(port, request([host, forwarded]))).slice(9, 12)
    expect(await status('Host: consent.example')).toBe('200')
    expect(await status('Host: Consent.Example:443')).toBe('200')
    expect(await status('Host: localhost')).toBe('403')
    expect(await status('Host: consent.example.evil.example')).toBe('403')
  })

  it('refuses two Hosts, none, and a PROXY preface (RFC 9112 section 3.2)', async () => {
    const { port } = await serve({ hosts: ['consent.example'] })
    const twice = request(['Host: localhost', 'Host: evil.example'])
    expect(await sent(port, twice)).toMatch(/^HTTP\/1\.1 40[03] /)
    const again = request(['Host: consent.example', 'host: consent.example'])
    expect(await sent(port, again)).toMatch(/^HTTP\/1\.1 40[03] /)
    expect(await sent(port, request([]))).toMatch(/^HTTP\/1\.1 400 /)
    const preface = 'PROXY TCP4 127.0.0.1 127.0.0.1 5 6\r\n'
    expect(await sent(port, preface + request(['Host: localhost']))).toMatch(/^HTTP\/1\.1 400 /)
    const absolute = request(['Host: localhost'], 'http://evil.example/')
    expect(await sent(port, absolute)).not.toMatch(/^HTTP\/1\.1 200 /)
  })

  it('listens on loopback alone unless told otherwise', async () => {
    const { host, port } = await serve()
    expect(host).toBe('127.0.0.1')
    const other = Object.values(networkInterfaces())
      .flatMap((found) => found ?? [])
      .find(({ internal, family }) => !internal && family === 'IPv4')
    if (other === undefined) return
    await expect(sent(port, request(['Host: localhost']), other.address)).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    })
  })

  it('answers no other machine, wherever it listens, unless its name is given', async () => {
    const other = Object.values(networkInterfaces())
      .flatMap((found) => found ?? [])
      .find(({ internal, family }) => !internal && family === 'IPv4')
    if (other === undefined) return
    const host = '0.0.0.0'
    const { port } = await serve({}, { host })
    // From this machine's outer address: as another machine would be seen.
    const socket = connect({ port, host: other.address, localAddress: other.address })
    socket.write(request(['Host: localhost']))
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 403 .*tunnel/s)
  })

  it('lets its owner in while strangers hold all the connections that there may be', async () => {
    const { web, port, url } = await serve()
    const strangers = Array.from({ length: 400 }, () => connect(port, '127.0.0.1'))
    onTestFinished(() => {
      for (const socket of strangers) socket.destroy()
    })
    await Promise.all(
      strangers.map((socket) => {
        socket.on('error', () => undefined)
        // The head of a request that never ends.
        return new Promise((resolve) =>
          socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n', resolve),
        )
      }),
    )
    const answer = await fetch(`${url}/web/login`, {
      method: 'POST',
      headers: { origin: url, 'content-type': 'application/json' },
      body: JSON.stringify({ secret: web.token }),
    })
    expect(answer.status).toBe(200)
  })

  it('names the option that is wrong', async () => {
    const web = createParticipantWeb(new MemoryParticipant())
    await expect(serveParticipantWeb(web, { port: 70_000 })).rejects.toMatchObject({
      code: 'MCBN_OPTION_RANGE',
    })
    await expect(serveParticipantWeb(web, { prot: 1 } as object)).rejects.toMatchObject({
      code: 'MCBN_OPTION_UNKNOWN',
    })
  })
})
