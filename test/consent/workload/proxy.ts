// Frank: everything between workloads and participants goes through him. He can pass it on, alter it, keep
// it back, or answer himself.

import {
  createServer,
  request as forward,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { LOOPBACK } from '../../tls/support.js'

/** What Frank does with a message, or with its answer: gives another one, or the same. */
export type Meddle = (path: string, message: Json) => Json | Promise<Json>
// biome-ignore lint/suspicious/noExplicitAny: Frank does with messages what no type would allow.
export type Json = any

export interface Frank {
  readonly url: string
  /** What came through, request and answer, in order. */
  readonly seen: { readonly path: string; readonly sent: Json; readonly got: Json }[]
  /** Alters what a workload sends. */
  onRequest: Meddle
  /** Alters what a participant answers. */
  onAnswer: Meddle
  /** Takes everything and answers nothing. */
  drop: boolean
  /** Instead of all this. */
  serve: ((asked: IncomingMessage, answer: ServerResponse, body: string) => void) | undefined
}

/** Frank in front of one participant; gone when the test ends. */
export async function frankBefore(target: string): Promise<Frank> {
  const same: Meddle = (_path, message) => message
  const sockets = new Set<Socket>()
  const server = createServer((asked, answer) => {
    bodyOf(asked)
      .then((body) => handle(asked, answer, body))
      .catch(() => answer.destroy())
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, LOOPBACK)
  await new Promise((resolve) => server.once('listening', resolve))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const frank: Frank = {
    url: `http://${LOOPBACK}:${(server.address() as AddressInfo).port}`,
    seen: [],
    onRequest: same,
    onAnswer: same,
    drop: false,
    serve: undefined,
  }

  async function handle(asked: IncomingMessage, answer: ServerResponse, body: string) {
    if (frank.drop) return
    if (frank.serve) return frank.serve(asked, answer, body)
    const path = `${asked.url}`
    const sent = await frank.onRequest(path, JSON.parse(body))
    const passed = await post(`${target}${path}`, sent)
    const got = await frank.onAnswer(path, passed.body)
    frank.seen.push({ path, sent, got })
    answer.writeHead(passed.status, { 'content-type': 'application/json' })
    answer.end(JSON.stringify(got))
  }

  return frank
}

/** Posts JSON as anybody can. */
export function post(url: string, message: Json): Promise<{ status: number; body: Json }> {
  return new Promise((resolve, reject) => {
    const call = forward(url, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json' },
    })
    call.on('error', reject)
    call.on('response', (response) => {
      bodyOf(response)
        .then((body) => resolve({ status: response.statusCode ?? 0, body: JSON.parse(body) }))
        .catch(reject)
    })
    call.end(JSON.stringify(message))
  })
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
