// Serves a page on loopback, as http.ts of the participant does.

import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
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
}

export async function servePage(
  view: ParticipantView,
  options: ParticipantWebOptions = {},
): Promise<PageServer> {
  const web = createParticipantWeb(view, options)
  const app = new Hono()
  app.route('/', web.routes)
  app.get('/v1/status', (context) => context.json({ mine: true }))
  const port = await new Promise<number>((resolve) => {
    server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, (info: AddressInfo) =>
      resolve(info.port),
    )
  })
  const running = server
  const close = async () => {
    web.close()
    if ('closeAllConnections' in running) running.closeAllConnections()
    await new Promise((resolve) => running.close(resolve))
  }
  return { web, base: `http://127.0.0.1:${port}`, port, close }
}

let server: ReturnType<typeof serve>

/** The same, closed when the running test ends. */
export async function servePageForTest(
  view: ParticipantView,
  options: ParticipantWebOptions = {},
): Promise<PageServer> {
  const page = await servePage(view, options)
  onTestFinished(() => page.close())
  return page
}
