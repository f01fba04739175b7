// People hear that somebody waits, over a real HTTP server and by a real program; and whatever those do, a
// participant goes on giving its share.

import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Webhook as Verifier } from 'standardwebhooks'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../../src/consent/base/clock.js'
import {
  type NotificationResult,
  type NotifyOptions,
  notifyOfPending,
} from '../../../src/consent/participant/notify/index.js'
import { temporaryFolder } from '../../support/paths.js'
import { waitFor } from '../../support/wait.js'
import { network, policyOf, refused, released, round, setup, workloadOf } from './fixture.js'

const secret = Buffer.alloc(32, 5)
const verifier = new Verifier(secret.toString('base64'))
/** Of all waits there are, only the order matters: they are short, and told. */
const hasty = (waits: number[]) => ({
  ...systemClock,
  after: (milliseconds: number, callback: () => void) => {
    waits.push(milliseconds)
    return systemClock.after(milliseconds === PATIENT ? 60_000 : milliseconds / 500, callback)
  },
})
/** Milliseconds for one try, where that is not what the test is about. */
const PATIENT = 600_000

interface Got {
  readonly headers: Record<string, string>
  readonly body: string
}

type Answer = (response: ServerResponse, request: IncomingMessage) => void

/** A receiver that answers as told, the last again and again. */
async function receiver(...answers: readonly Answer[]) {
  const got: Got[] = []
  const server = createServer(async (request, response) => {
    const body = await text(request)
    got.push({ headers: request.headers as Record<string, string>, body })
    const answer = answers[Math.min(got.length, answers.length) - 1]
    if (answer === undefined) response.writeHead(204).end()
    else answer(response, request)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/s3cret-path`
  return { url, got }
}

function status(code: number, headers: Record<string, string> = {}): Answer {
  return (response) => response.writeHead(code, headers).end('x')
}

function notifying(options: NotifyOptions) {
  const alice = setup({ policy: policyOf({}, { approval: 'manual' }) })
  const results: NotificationResult[] = []
  const waits: number[] = []
  const notifier = notifyOfPending(alice.participant, {
    ...{ timeout: PATIENT, pause: 0, clock: hasty(waits) },
    onResult: (result) => void results.push(result),
    ...options,
  })
  onTestFinished(() => notifier.close())
  const asks = (instance: string) => round(alice, 'client', workloadOf('client', { instance }))
  return { ...alice, notifier, results, waits, asks }
}

describe('notify/webhook', () => {
  it('never keeps a participant from anything: the receiver takes the connection and says nothing', async () => {
    const { url, got } = await receiver(() => undefined)
    const { participant, asks, notifier } = notifying({ webhook: { url, secret } })
    expect(refused((await asks('1')).answer).code).toBe('manual')
    await waitFor('the notification', () => got.length === 1)
    for (let at = 2; at < 40; at += 1) await asks(`${at}`)
    const id = participant.pending().find(({ facts }) => facts.instance === '7')?.id ?? ''
    await participant.approve(id)
    released((await asks('7')).answer)
    await participant.close()
    await notifier.close()
    expect(got).toHaveLength(1)
  })

  it('tells of forty more with one more, twenty of them by name', async () => {
    let answerFirst: () => void = () => undefined
    const { url, got } = await receiver((response) => {
      answerFirst = () => response.end()
    }, status(200))
    const { asks, results } = notifying({ webhook: { url, secret } })
    await asks('0')
    await waitFor('the first', () => got.length === 1)
    for (let at = 1; at <= 40; at += 1) await asks(`${at}`)
    answerFirst()
    await waitFor('the second', () => results.length === 2)
    const { data } = JSON.parse(got[1]?.body ?? '')
    expect(data.requests).toHaveLength(20)
    expect(data.requests[0].instance).toBe('40')
    expect(data.waiting).toBe(41)
    expect(got).toHaveLength(2)
  })

  it('is signed so that Standard Webhooks verify it, and tells nothing that is not needed', async () => {
    const { url, got } = await receiver()
    const { asks, results, participant } = notifying({ webhook: { url, secret } })
    await asks('4711')
    await waitFor('the result', () => results.length === 1)
    const { body = '', headers = {} } = got[0] ?? {}
    const sent = verifier.verify(body, headers)
    expect(() => verifier.verify(body.replace('4711', '4712'), headers)).toThrow()
    const { label, epoch, descriptorHash } = participant.status()
    expect(sent).toEqual({
      type: 'consent.pending',
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      data: {
        ...{ label, epoch, descriptorHash, network: network.verified.descriptor.network },
        requests: [
          {
            id: participant.pending()[0]?.id,
            ...{ role: 'client', kind: 'local', instance: '4711', project: 'local-project' },
            imageDigest: workloadOf('client').imageDigest,
            firstAskedAt: participant.pending()[0]?.firstAskedAt,
          },
        ],
        waiting: 1,
      },
    })
    // Nothing of arguments, environment or tokens.
    expect(body).not.toMatch(/MCBN_DESCRIPTOR_HASH|\/app\/|eyJ/)
  })

  it('tries again with the same id after 503, 429 and a cut connection, at most five times', async () => {
    const cut: Answer = (response) => response.destroy()
    const later = status(429, { 'retry-after': '30' })
    const { url, got } = await receiver(status(503), later, cut, status(500), status(500))
    const { asks, results, waits, notifier } = notifying({ webhook: { url, secret } })
    await asks('1')
    await waitFor('the end', () => results.length === 1)
    expect(results).toEqual([{ channel: 'webhook', requests: 1, tries: 5, error: 'status 500' }])
    expect(notifier.counters).toEqual({ delivered: 0, failed: 1 })
    expect(new Set(got.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    const pauses = waits.filter((wait) => wait !== PATIENT)
    const least = [1_000, 30_000, 4_000, 8_000]
    expect(pauses).toHaveLength(least.length)
    for (const [at, wait] of pauses.entries()) {
      expect(wait).toBeGreaterThanOrEqual(least[at] ?? 0)
      expect(wait).toBeLessThanOrEqual((least[at] ?? 0) * 1.25)
    }
  })

  it.each([
    ['a refusal', status(403), 'status 403'],
    [
      'a redirect, which is not followed',
      status(307, { location: 'http://127.0.0.1:1/' }),
      'status 307',
    ],
  ])('gives up at once after %s', async (_what, answer, error) => {
    const { url, got } = await receiver(answer)
    const { asks, results } = notifying({ webhook: { url, secret } })
    await asks('1')
    await waitFor('the end', () => results.length === 1)
    expect(results).toMatchObject([{ tries: 1, error }])
    expect(got).toHaveLength(1)
  })

  it('waits a minute at most, whatever it is asked for, and reads no endless answer', async () => {
    const endless: Answer = (response) => {
      const chunk = Buffer.alloc(65_536)
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
      }
      response.on('drain', more).writeHead(200)
      more()
    }
    const { url } = await receiver(status(503, { 'retry-after': '99999999' }), endless)
    const { asks, results, waits } = notifying({ webhook: { url, secret } })
    await asks('1')
    await waitFor('the end', () => results.length === 1)
    expect(results).toEqual([{ channel: 'webhook', requests: 1, tries: 2 }])
    expect(waits.filter((wait) => wait !== PATIENT)).toEqual([60_000])
  })

  it('names neither path nor query of the address when nobody listens there', async () => {
    const url = 'http://127.0.0.1:1/hook/s3cret-path?token=s3cret-token'
    const { asks, results } = notifying({ webhook: { url, secret }, tries: 2 })
    await asks('1')
    await waitFor('the end', () => results.length === 1)
    expect(results[0]?.error).toMatch(/^no connection \(\w+\)$/)
    expect(JSON.stringify(results)).not.toContain('s3cret')
  })

  it('tells of a request once, and of none that was decided meanwhile', async () => {
    const { url, got } = await receiver()
    const { asks, results, participant } = notifying({ webhook: { url, secret } })
    await asks('1')
    await asks('1')
    await waitFor('the end', () => results.length === 1)
    await asks('1')
    await participant.refuse(participant.pending()[0]?.id ?? '')
    await asks('2')
    await waitFor('the second', () => results.length === 2)
    expect(got.map(({ body }) => JSON.parse(body).data.requests.length)).toEqual([1, 1])
    expect(JSON.parse(got[1]?.body ?? '').data.requests[0].instance).toBe('2')
  })
})

describe('notify/command', () => {
  function program(code: string): { path: string; folder: string } {
    const folder = temporaryFolder()
    const path = join(folder, 'notify')
    writeFileSync(path, `#!/bin/sh\ncd '${folder}'\n${code}\n`)
    chmodSync(path, 0o700)
    return { path, folder }
  }

  it('gets the notification on stdin, and nothing of our environment that could be secret', async () => {
    process.env['MCBN_PASSPHRASE_FILE'] = '/secret'
    onTestFinished(() => {
      delete process.env['MCBN_PASSPHRASE_FILE']
    })
    const { path, folder } = program('cat >body; env >env; printf "%s|" "$@" >args')
    const { asks, results } = notifying({ command: [path, 'a b', '$(touch x)'] })
    await asks('1')
    await waitFor('the end', () => results.length === 1)
    expect(results).toEqual([{ channel: 'command', requests: 1, tries: 1 }])
    expect(JSON.parse(readFileSync(join(folder, 'body'), 'utf8'))).toMatchObject({
      type: 'consent.pending',
      data: { waiting: 1, requests: [{ instance: '1' }] },
    })
    expect(readFileSync(join(folder, 'env'), 'utf8')).not.toMatch(/MCBN|NODE|VITEST/)
    expect(readFileSync(join(folder, 'args'), 'utf8')).toBe('a b|$(touch x)|')
    expect(existsSync(join(folder, 'x'))).toBe(false)
  })

  it('is tried again when it fails, need not read, and is not tried again when it is not there', async () => {
    const { path } = program('exec <&-; test -e once && exit 0; touch once; exit 3')
    const first = notifying({ command: [path] })
    await first.asks('1')
    await waitFor('the end', () => first.results.length === 1)
    expect(first.results).toEqual([{ channel: 'command', requests: 1, tries: 2 }])
    const second = notifying({ command: [`${path}-not-there`] })
    await second.asks('1')
    await waitFor('the end', () => second.results.length === 1)
    expect(second.results).toMatchObject([{ tries: 1, error: 'cannot be run (ENOENT)' }])
  })

  it('is ended with all it started when it does not end, even where it ignores being asked', async () => {
    const { path, folder } = program("trap '' TERM\nsleep 1000 & echo $! >pid; wait; sleep 1000")
    const pidFile = join(folder, 'pid')
    const started = () => existsSync(pidFile) && readFileSync(pidFile, 'utf8').endsWith('\n')
    // The time is over as soon as the program has done its worst.
    const clock = {
      ...systemClock,
      after: (_: number, callback: () => void) => {
        const poll = setInterval(() => started() && callback(), 20)
        return () => clearInterval(poll)
      },
    }
    const { asks, results } = notifying({ command: [path], tries: 1, clock })
    await asks('1')
    await waitFor('the end', () => results.length === 1)
    expect(results).toMatchObject([{ error: 'no end in time' }])
    const pid = Number(readFileSync(pidFile, 'utf8'))
    await waitFor('its child to be gone', () => !alive(pid))
  })
})

describe('notify/options', () => {
  const url = 'http://127.0.0.1:1/s3cret'
  it.each<[string, NotifyOptions, string]>([
    ['no channel', {}, 'MCBN_OPTION_CONFLICT'],
    ['another scheme', { webhook: { url: 'file:///etc/s3cret', secret } }, 'MCBN_OPTION_RANGE'],
    ['no address', { webhook: { url: 's3cret', secret } }, 'MCBN_OPTION_RANGE'],
    ['a password', { webhook: { url: 'http://a:s3cret@b/', secret } }, 'MCBN_OPTION_RANGE'],
    ['a short secret', { webhook: { url, secret: Buffer.from('s3cret') } }, 'MCBN_OPTION_RANGE'],
    ['a relative program', { command: ['s3cret'] }, 'MCBN_OPTION_RANGE'],
    ['a NUL', { command: ['/bin/true', 's3cret\0'] }, 'MCBN_OPTION_RANGE'],
    ['no tries', { command: ['/bin/true'], tries: 0 }, 'MCBN_OPTION_RANGE'],
  ])('refuses %s, and shows no secret', (_what, options, code) => {
    const { participant } = setup()
    let thrown: unknown
    try {
      notifyOfPending(participant, options)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toMatchObject({ code })
    expect(String(thrown)).not.toContain('s3cret')
  })
})

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}
