// Frank answers: whatever he says, it is bounded, and blames nobody.

import { createServer as createTcp } from 'node:net'
import { describe, expect, it } from 'vitest'
import { postJson } from '../../../src/consent/workload/http.js'
import { join, type Progress } from '../../../src/consent/workload/index.js'
import { listen } from '../../tls/support.js'
import { rejection } from './connections.js'
import { type Frank, frankBefore } from './proxy.js'
import { consentRig } from './rig.js'

type Serve = NonNullable<Frank['serve']>

const ANSWERS: readonly (readonly [string, Serve, RegExp])[] = [
  [
    'a redirect',
    (_asked, answer) => answer.writeHead(302, { location: 'http://127.0.0.1:1/' }).end('{}'),
    /got a redirect \(status 302\), which is not followed/,
  ],
  ['no JSON', (_asked, answer) => answer.end('<html>'), /expected JSON, got 6 bytes/],
  [
    'a megabyte',
    (_asked, answer) => answer.end(JSON.stringify('x'.repeat(1_000_000))),
    /at most 16384 bytes, got more/,
  ],
  [
    'an answer without end',
    (_asked, answer) => {
      const more = () => {
        if (answer.write('x'.repeat(1_000))) setImmediate(more)
        else answer.once('drain', more)
      }
      answer.on('close', () => answer.removeAllListeners('drain'))
      more()
    },
    /at most 16384 bytes, got more/,
  ],
  ['nothing, and hangs up', (_asked, answer) => answer.destroy(), /no answer/],
  [
    'half an answer',
    (_asked, answer) => {
      answer.writeHead(200, { 'content-length': 100 })
      answer.write('{', () => answer.destroy())
    },
    /broke off/,
  ],
  [
    'a prototype',
    (_asked, answer) => answer.end('{"__proto__": {"c": "x"}, "expires": 1}'),
    /challenge/,
  ],
  ['null', (_asked, answer) => answer.end('null'), /challenge: expected an object/],
  ['an error', (_asked, answer) => answer.writeHead(500).end('{"error":"x"}'), /HTTP status 500/],
  [
    'an unsigned refusal',
    (_asked, answer) => answer.end('{"label":"bob","code":"policy"}'),
    /expected a signature/,
  ],
  [
    'a refusal with a signature of nobody',
    (_asked, answer) =>
      answer.end(`{"label":"bob","code":"withdrawn","signature":"${'A'.repeat(86)}"}`),
    /expected a refusal signed by it/,
  ],
  [
    "another participant's refusal",
    (_asked, answer) => answer.end('{"label":"alice","code":"busy"}'),
    /expected its own refusal/,
  ],
]

describe('consent/http', () => {
  for (const [what, serve, message] of ANSWERS) {
    it(`believes nothing and blames nobody when Frank answers with ${what}`, async () => {
      const rig = await consentRig()
      const frank = await frankBefore(`${rig.urls['bob']}`)
      frank.serve = serve
      const enough = new AbortController()
      const steps: Progress[] = []
      const joining = join(
        rig.options('client', {
          participants: { ...rig.urls, bob: frank.url },
          signal: enough.signal,
          onProgress: (step) => {
            if (step.label !== 'bob' || step.state === 'asking') return
            steps.push(step)
            enough.abort(new Error('seen'))
          },
        }),
      )
      expect((await rejection<Error>(joining)).message).toBe('seen')
      expect(steps[0]).toMatchObject({ state: 'silent', message: expect.stringMatching(message) })
      expect(steps[0]?.retryIn).toBeGreaterThan(0)
    })
  }

  it('gives up on a peer that accepts and says nothing', async () => {
    const holder = createTcp((socket) => socket.on('error', () => {}))
    const port = await listen(holder)
    const url = new URL(`http://127.0.0.1:${port}`)
    const answer = postJson(url, 'v1/request', {}, AbortSignal.timeout(200))
    const error = await rejection(answer)
    expect(error.code).toBe('MCBN_CONNECTION_FAILED')
    expect(error.message).toBe(`http://127.0.0.1:${port}: gave no answer in time`)
  })

  it("appends to the URL's own path", async () => {
    const rig = await consentRig()
    const frank = await frankBefore(`${rig.urls['bob']}`)
    const paths: string[] = []
    frank.serve = (asked, answer) => {
      paths.push(`${asked.url}`)
      answer.end('{}')
    }
    for (const path of ['', '/', '/team/bob', '/team/bob/']) {
      await postJson(new URL(`${frank.url}${path}`), 'v1/request', {}, AbortSignal.timeout(2_000))
    }
    expect(paths).toEqual([
      '/v1/request',
      '/v1/request',
      '/team/bob/v1/request',
      '/team/bob/v1/request',
    ])
  })
})
