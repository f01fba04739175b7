// Serves a page on loopback, as http.ts of the participant does.

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { onTestFinished } from 'vitest'
import type { ParticipantView } from '../../../src/consent/participant/web/view.js'
import {
  createParticipantWeb,
  type ParticipantWeb,
  type ParticipantWebOptions,
} from '../../../src/consent/participant/web/web.js'

export interface PageServer {
  readonly web: ParticipantWeb
  /** `http://127.0.0.1:<port>` */
  readonly base: string
  readonly port: number
  close(): Promise<void>
  /** Ends without telling anybody, as a process that is killed. */
  kill(): Promise<void>
}

export async function servePage(
  view: ParticipantView,
  options: ParticipantWebOptions = {},
  wanted = 0,
): Promise<PageServer> {
  const web = createParticipantWeb(view, options)
  const app = new Hono()
  app.route('/', web.routes)
  app.get('/v1/status', (context) => context.json({ mine: true }))
  const server = createAdaptorServer({ fetch: app.fetch }) as Server
  await new Promise<void>((resolve) => server.listen(wanted, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const kill = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  const close = () => {
    web.close()
    return kill()
  }
  return { web, base: `http://127.0.0.1:${port}`, port, close, kill }
}

/** The same, closed when the running test ends. */
export async function servePageForTest(
  view: ParticipantView,
  options: ParticipantWebOptions = {},
  wanted = 0,
): Promise<PageServer> {
  const page = await servePage(view, options, wanted)
  onTestFinished(() => page.close())
  return page
}
