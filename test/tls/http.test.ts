// What runs over it unchanged: node:http with Express, keep-alive agents, node:http2.

import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import express from 'express'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect } from '../../src/tls/index.js'
import { freshKey, identity, LOOPBACK, readAll, serve } from './support.js'

async function serveHttp(server: http.Server): Promise<{ port: number; key: Buffer }> {
  const key = freshKey()
  const { port } = await serve({ psk: { [identity]: key } }, (socket) =>
    server.emit('connection', socket),
  )
  onTestFinished(() => server.closeAllConnections())
  return { port, key }
}

async function ask(options: http.RequestOptions, body?: Buffer): Promise<http.IncomingMessage> {
  const request = http.request(options)
  request.end(body)
  const [response] = await once(request, 'response')
  return response as http.IncomingMessage
}

describe('node:http', () => {
  it('serves an Express application, whose handlers see the identity', async () => {
    const application = express()
    application.get('/whoami', (request, response) => {
      const { pskIdentity } = request.socket as unknown as { pskIdentity: Buffer }
      response.json({ identity: pskIdentity.toString(), address: request.ip })
    })
    const { port, key } = await serveHttp(http.createServer(application))
    const createConnection = () => connect({ host: LOOPBACK, port, psk: { identity, key } })
    const response = await ask({
      path: '/whoami',
      createConnection,
      headers: { connection: 'close' },
    })
    expect(response.statusCode).toBe(200)
    expect(JSON.parse((await readAll(response)).toString())).toEqual({
      identity,
      address: LOOPBACK,
    })
  })

  it('moves large bodies both ways', async () => {
    const { port, key } = await serveHttp(
      http.createServer((request, response) => void request.pipe(response)),
    )
    const body = Buffer.alloc(3_000_000, 'x')
    const createConnection = () => connect({ host: LOOPBACK, port, psk: { identity, key } })
    const response = await ask({ method: 'POST', createConnection }, body)
    expect((await readAll(response)).equals(body)).toBe(true)
  })

  it('keeps connections alive in an agent', async () => {
    let connections = 0
    const { port, key } = await serveHttp(
      http.createServer((_request, response) => void response.end('ok')),
    )
    class PskAgent extends http.Agent {
      override createConnection(): Duplex {
        connections += 1
        return connect({ host: LOOPBACK, port, psk: { identity, key } })
      }
    }
    const agent = new PskAgent({ keepAlive: true, maxSockets: 1 })
    onTestFinished(() => agent.destroy())
    for (let count = 0; count < 5; count++) {
      const response = await ask({ agent, host: LOOPBACK, port })
      expect((await readAll(response)).toString()).toBe('ok')
    }
    expect(connections).toBe(1)
  })

  it('tells a request that its key is wrong', async () => {
    const { port } = await serveHttp(http.createServer())
    const createConnection = () =>
      connect({ host: LOOPBACK, port, psk: { identity, key: freshKey() } })
    const request = http.request({ createConnection }).end()
    const error = await new Promise((resolve) => request.once('error', resolve))
    expect(error).toMatchObject({ code: 'MCBN_PSK_MISMATCH' })
  })

  it('closes an idle connection by its own timeout', async () => {
    const server = http.createServer((_request, response) => void response.end('ok'))
    server.keepAliveTimeout = 50
    const { port, key } = await serveHttp(server)
    const socket = connect({ host: LOOPBACK, port, psk: { identity, key } })
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    expect((await readAll(socket)).toString()).toContain('200 OK')
  })
})

describe.each([true, false])('node:http2, ALPN %s', (alpn) => {
  it('carries many streams over one connection', async () => {
    const key = freshKey()
    const names = alpn ? { ALPNProtocols: ['h2'] } : {}
    const server = http2.createServer()
    server.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200 })
      stream.end(`you asked for ${headers[':path']}`)
    })
    const { port } = await serve({ psk: { [identity]: key }, ...names }, (socket) =>
      server.emit('connection', socket),
    )
    const session = http2.connect('http://service.example', {
      createConnection: () => connect({ host: LOOPBACK, port, psk: { identity, key }, ...names }),
    })
    onTestFinished(() => session.destroy())
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const stream = session.request({ ':path': `/${index}` })
        return (await readAll(stream)).toString()
      }),
    )
    expect(answers).toEqual(Array.from({ length: 50 }, (_, index) => `you asked for /${index}`))
    session.close()
    await once(session, 'close')
  })
})
