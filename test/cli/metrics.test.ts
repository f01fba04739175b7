// mcbn listen and connect --metrics.

import { createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { waitFor } from '../support/wait.js'
import { expectFailure, KEY, mcbn, OTHER_KEY, PSK, startMcbn } from './command.js'
import { logLines } from './log-lines.js'

const METRICS = ['--metrics', '127.0.0.1:0', '--json'] as const

const text = async (url: string) => await (await fetch(url)).text()

describe('cli/metrics', () => {
  it('refuses what is no address, and one that somebody else has', async () => {
    const listen = ['listen', 'tls://127.0.0.1:0', ...PSK]
    expectFailure(await mcbn([...listen, '--metrics', 'here']), 2, /--metrics/)
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise<void>((resolve) => taken.once('listening', resolve))
    onTestFinished(() => void taken.close())
    const address = taken.address()
    const port = typeof address === 'object' ? address?.port : 0
    expectFailure(await mcbn([...listen, '--metrics', `127.0.0.1:${port}`]), 1, /EADDRINUSE/)
  })

  it.each(['tls', 'dtls'])(
    'tells of %s how many came, who failed, and who is there',
    async (to) => {
      const server = startMcbn(['listen', `${to}://127.0.0.1:0`, ...PSK, '--echo', ...METRICS])
      await server.output(/"event":"listening"/)
      const of = (lines: string, event: string) =>
        logLines(lines).find((line) => line.event === event) as unknown as { url: string }
      const { url } = of(server.stdout, 'listening')
      const { url: metrics } = of(server.stderr, 'operations')
      expect(JSON.parse(await text(`${metrics}/readyz`))).toEqual({ ready: true })

      const wrong = ['connect', url, '--psk', `Client1:${OTHER_KEY}`]
      expect((await mcbn(wrong, { input: '' })).exit.code).toBe(1)
      const client = startMcbn(['connect', url, ...PSK, ...METRICS])
      client.write('hello\n')
      await client.output(/hello/)
      const { url: ofClient } = of(client.stderr, 'operations')
      expect(JSON.parse(await text(`${ofClient}/readyz`))).toEqual({ ready: true })
      const opened = (side: string) =>
        new RegExp(
          `^mcbn_sessions_opened_total\\{transport="${to}",side="${side}",protocol="[^"]+"\\} 1$`,
          'm',
        )
      expect(await text(`${ofClient}/metrics`)).toMatch(opened('client'))
      await waitFor('the failure to be counted', async () => {
        const scraped = await text(`${metrics}/metrics`)
        return opened('server').test(scraped) && /handshake_failures_total\{.*\} 1$/m.test(scraped)
      })
      const scraped = await text(`${metrics}/metrics`)
      expect(/^mcbn_dtls_server_sessions /m.test(scraped)).toBe(to === 'dtls')
      expect(scraped).toMatch(/^process_start_time_seconds /m)
      for (const secret of [KEY, 'Client1']) expect(scraped).not.toContain(secret)

      expect((await client.stop()).code).toBe(143)
      expect(await server.stop()).toEqual({ code: 0, signal: null })
      await expect(fetch(metrics)).rejects.toThrow()
    },
  )
})
