// A stand-in of Consul's HTTP API, for what the resolver uses of it. Debian has no package of Consul any
// more, so this follows its documentation (api-docs: health, acl, features/blocking) and is as strict:
// ACL tokens are checked on each question, a login needs its auth method and bearer token, an index waits
// until it is exceeded or the time (plus up to a sixteenth) is over, filters are evaluated.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Instance {
  /** The service's own address; '' for that of its node. */
  readonly address?: string
  readonly node?: string
  readonly port: number
  readonly weights?: { readonly Passing: number; readonly Warning: number }
  readonly tags?: readonly string[]
  readonly status?: 'passing' | 'warning' | 'critical'
}

export interface Question {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly token: string | undefined
  readonly body: string
}

type Special = (question: Question, response: ServerResponse) => boolean

export class ConsulServer {
  /** Everything that was asked, in order. */
  readonly questions: Question[] = []
  /** Bearer token to answer a login with, by auth method. */
  readonly bearers = new Map<string, string>()
  /** Live ACL tokens. */
  readonly tokens = new Set<string>()
  /** Whether questions need a token. */
  acl = false
  /** Answers instead, when it returns true. */
  special: Special | undefined
  address = ''
  #services = new Map<string, readonly Instance[]>()
  #index = 10n
  #waiting = new Set<() => void>()

  /** Registers a service anew, as one write: the index grows. */
  set(service: string, instances: readonly Instance[], index = this.#index + 1n): void {
    this.#services.set(service, instances)
    this.#index = index
    for (const wake of [...this.#waiting]) wake()
  }

  /** Questions for health, oldest first. */
  get health(): Question[] {
    return this.questions.filter(({ path }) => path.startsWith('/v1/health/'))
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    for await (const chunk of request) body += chunk
    const url = new URL(request.url ?? '', 'http://stand-in')
    const token = request.headers['x-consul-token']?.toString()
    const { method = '' } = request
    const question = { method, path: url.pathname, query: url.searchParams, token, body }
    this.questions.push(question)
    if (this.special?.(question, response)) return
    if (method === 'POST' && question.path === '/v1/acl/login')
      return this.#login(question, response)
    if (method === 'POST' && question.path === '/v1/acl/logout') {
      return text(response, this.tokens.delete(token ?? '') ? 200 : 403, '')
    }
    const [, service] = /^\/v1\/health\/service\/([^/]+)$/.exec(question.path) ?? []
    if (method !== 'GET' || service === undefined) return text(response, 404, 'Not found')
    if (this.acl && !this.tokens.has(token ?? '')) return text(response, 403, 'ACL not found')
    await this.#block(question.query, response)
    if (!response.destroyed) this.#answer(decodeURIComponent(service), question.query, response)
  }

  #login({ body }: Question, response: ServerResponse): void {
    const { AuthMethod, BearerToken, ...more } = JSON.parse(body) as Record<string, unknown>
    if (typeof AuthMethod !== 'string' || Object.keys(more).length > 0) {
      return text(response, 400, 'Bad request')
    }
    if (this.bearers.get(AuthMethod) !== BearerToken)
      return text(response, 403, 'Permission denied')
    const SecretID = randomUUID()
    this.tokens.add(SecretID)
    json(response, { AccessorID: randomUUID(), SecretID, Local: true, AuthMethod })
  }

  /** Waits while nothing newer than `index` is known, `wait` at the longest. */
  async #block(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const index = BigInt(query.get('index') ?? 0)
    const [, amount, unit] = /^(\d+)(s|m|ms)$/.exec(query.get('wait') ?? '5m') ?? []
    const scale = { ms: 1, s: 1_000, m: 60_000 }[unit ?? ''] ?? 0
    const wait = Number(amount) * scale * (1 + Math.random() / 16)
    const until = performance.now() + Math.min(wait, 600_000)
    while (index > 0n && this.#index <= index && performance.now() < until && !response.destroyed) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer)
          this.#waiting.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, until - performance.now())
        this.#waiting.add(wake)
        response.once('close', wake)
      })
    }
  }

  #answer(service: string, query: URLSearchParams, response: ServerResponse): void {
    const wanted = [...(query.get('filter') ?? '').matchAll(/"([^"]+)" in Service\.Tags/g)]
    const entries = (this.#services.get(service) ?? [])
      .filter(({ status = 'passing' }) => !query.has('passing') || status === 'passing')
      .filter(({ tags = [] }) => wanted.every(([, tag]) => tags.includes(`${tag}`)))
      .map(
        ({ address = '', node = '127.0.0.1', port, weights, tags = [], status = 'passing' }) => ({
          Node: { Node: 'n1', Address: node, Datacenter: query.get('dc') ?? 'dc1' },
          Service: {
            ID: `${service}-${port}`,
            Service: service,
            Tags: tags,
            Address: address,
            Port: port,
            Weights: weights ?? { Passing: 1, Warning: 1 },
          },
          Checks: [
            { CheckID: 'serfHealth', Status: 'passing' },
            { CheckID: `service:${service}`, Status: status },
          ],
        }),
      )
    response.setHeader('x-consul-index', `${this.#index}`)
    json(response, entries)
  }

  stop(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}

/** Serves until the running test ends. */
export async function consulServer(): Promise<ConsulServer> {
  const consul = new ConsulServer()
  const server = createServer((request, response) => {
    response.on('error', () => undefined)
    void consul.handle(request, response).catch(() => response.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
    consul.stop()
  })
  consul.address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return consul
}

function json(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json')
  text(response, 200, JSON.stringify(value))
}

function text(response: ServerResponse, status: number, body: string): void {
  response.statusCode = status
  response.end(body)
}
